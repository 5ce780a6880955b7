"""What the doctor says: one finding an image, or a couple of names, and which images training should leave out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "one picture, two names",
    "exact copy",
    "near copy",
    "wrong name",
    "nobody here",
    "two people",
    "one person, two names",
    "in both sets",
]

KINDS: dict[Kind, str] = {
    "one picture, two names": "the same picture stands under two names; the name that fits worse is left out",
    "exact copy": "the same bytes as another image of the same person",
    "near copy": "another encoding, size or brightness of another picture of the same person",
    "wrong name": "like no other image of its own name, and like those of another",
    "nobody here": "like no other image of its own name, and like nobody else's either",
    "two people": "one name for two people; the smaller group is left out",
    "one person, two names": "two names for one person; join them",
    "in both sets": "a person or picture of the other set; leave it out before judging on that set",
}
"""What each kind means, in the order of a report."""

EXCLUDED: tuple[Kind, ...] = (
    "one picture, two names",
    "exact copy",
    "wrong name",
    "nobody here",
    "two people",
    "in both sets",
)
"""What an exclusion list holds unless told otherwise. Near copies do no harm beyond their weight, and two names of one
person are cured by joining them, not by losing them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that looks wrong."""

    kind: Kind
    person: str
    """Name that the image stands under, or the first of two names."""
    key: str = ""
    """The image; empty where the finding is about names."""
    other_person: str = ""
    """Who it looks like, or the second name."""
    other_key: str = ""
    """The image that it repeats; empty where there is none."""
    score: float
    """What speaks for the finding: a correlation of pictures for copies, a cosine otherwise."""
    own_score: float | None = None
    """Cosine to the person's other images, where that was asked."""

    @property
    def about(self) -> str:
        """The finding as a sentence."""
        return KINDS[self.kind]


def exclusion_list(findings: Iterable[Finding], kinds: Sequence[Kind] = EXCLUDED) -> list[str]:
    """Return the keys that findings of these kinds name, each once, sorted."""
    return sorted({f.key for f in findings if f.key and f.kind in kinds})
