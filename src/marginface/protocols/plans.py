"""What a protocol asks for, before any embedding is known: pairs of templates, or searches in galleries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from marginface.protocols.pairs import Pairs
from marginface.protocols.templates import PoolingConfig, Templates


@dataclass(frozen=True, eq=False)
class TemplatePairs:
    """Comparisons of templates: 1:1."""

    name: str
    templates: Templates
    pooling: PoolingConfig
    left: npt.NDArray[np.int32]
    """(P,) templates; 32 bits, for IJB-C lists 15.7 million."""
    right: npt.NDArray[np.int32]
    mated: npt.NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    """What a reader of the numbers should know of how people were told apart."""

    @property
    def images(self) -> npt.NDArray[np.int64]:
        """Positions of all images that are needed, ascending."""
        return np.unique(self.templates.image)

    @property
    def assessed(self) -> npt.NDArray[np.int64]:
        """Positions of the images whose quality decides what error versus discard leaves out: all."""
        return self.images


@dataclass(frozen=True, eq=False)
class Search:
    """One gallery and the probes that are searched in it: templates by number."""

    name: str
    probe: npt.NDArray[np.int64]
    gallery: npt.NDArray[np.int64]
    """Distractors among them are templates whose person is `NOBODY`."""


@dataclass(frozen=True, eq=False)
class SearchPlan:
    """Searches of templates: 1:N."""

    name: str
    templates: Templates
    pooling: PoolingConfig
    searches: tuple[Search, ...]
    average: bool = True
    """Whether the mean over the searches is a number of the protocol (IJB's two galleries, not SCface's distances)."""
    joined: Search | None = None
    """All galleries as one, whose ranks are given beside the average; it is not part of the average."""
    count_absent: bool = False
    """Whether a template without any image is searched and found by nobody, rather than left out."""
    all_mates: bool = False
    """Whether probes have several mates, so that average precision says more than the rank."""
    ranks: tuple[int, ...] = (1, 5, 10)
    notes: tuple[str, ...] = ()

    @property
    def all_searches(self) -> tuple[Search, ...]:
        """Those that are averaged, and the joined one."""
        return self.searches if self.joined is None else (*self.searches, self.joined)

    @property
    def images(self) -> npt.NDArray[np.int64]:
        """Positions of all images that are needed, ascending."""
        used = np.zeros(len(self.templates), np.bool_)
        for search in self.all_searches:
            used[search.probe] = used[search.gallery] = True
        return np.unique(self.templates.image[used[self.templates.template]])

    @property
    def assessed(self) -> npt.NDArray[np.int64]:
        """Positions of the images whose quality decides what error versus discard leaves out: those of the probes."""
        used = np.zeros(len(self.templates), np.bool_)
        for search in self.searches:
            used[search.probe] = True
        return np.unique(self.templates.image[used[self.templates.template]])


@dataclass(frozen=True, eq=False)
class DistractorPlan:
    """MegaFace's challenge: each image is searched for each other one of its person, alone among distractors."""

    name: str
    probe: npt.NDArray[np.int64]
    """(Q,) positions of the images of the probe set."""
    person: npt.NDArray[np.int64]
    """(Q,) who they are."""
    distractor: npt.NDArray[np.int64]
    """(G,) positions of the distractors, in the order in which they are added."""
    sizes: tuple[int, ...]
    """Numbers of distractors at which ranks are given, ascending."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What noise lists took away."""
    ranks: tuple[int, ...] = (1, 10)
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> npt.NDArray[np.int64]:
        """Positions of all images that are needed, ascending."""
        return np.union1d(self.probe, self.distractor[: self.sizes[-1]])

    @property
    def assessed(self) -> npt.NDArray[np.int64]:
        """Positions of the images whose quality decides what error versus discard leaves out: the probe set."""
        return np.unique(self.probe)


Plan = Pairs | TemplatePairs | SearchPlan | DistractorPlan
