"""One's own people in parts: images to train on, images to judge by, and people who stay strangers.

    split/train.txt         images of the known people that training sees
    split/test.txt          their other images
    split/calibration.txt   all images of some strangers: they set the score from which an answer is believed
    split/unknown.txt       all images of other strangers: they are judged by

A line holds one key; `tar:faces.tar?only=split/test.txt` opens a part.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.record import RecordSource
from marginface.records.select import require_trainable, subset
from marginface.training.run_folder import write_text

PARTS = ("train", "test", "calibration", "unknown")


@dataclass(frozen=True, eq=False)
class StaffSplit:
    """Positions in the source, ascending; no two parts share an image, and strangers share nobody with anybody."""

    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    calibration: npt.NDArray[np.int64]
    """Empty, as `unknown`, where no strangers were asked for."""
    unknown: npt.NDArray[np.int64]

    def part(self, source: RecordSource, name: str) -> RecordSource:
        """Return the records of one part."""
        return subset(source, getattr(self, name))


def split_staff(source: RecordSource, *, test_share: float, unknown_share: float, seed: int) -> StaffSplit:
    """Return the parts of a source, drawn by `seed`.

    Which images of a person are for the test depends on the seed and on her alone, not on who else is there. Of the
    strangers one half, rounded down, is for calibration.

    Args:
        source: one's own people.
        test_share: of each known person's images, 0..1; at least one stays on either side.
        unknown_share: of the people, 0..1; at least two people unless 0.
        seed: of the draws.

    Raises:
        InputError: shares outside their range, too few people, or people with one image.
    """
    if not 0 < test_share < 1:
        raise InputError(f"--test-share {test_share:g} is no share; give more than 0 and less than 1, such as 0.3.")
    if not 0 <= unknown_share < 1:
        raise InputError(f"--unknown-share {unknown_share:g} is no share; give 0 (no strangers) to less than 1.")
    require_trainable(source)
    labels, num_people = np.asarray(source.labels), len(source.identities)
    counts = np.bincount(labels, minlength=num_people)
    lonely = [source.identities[i] for i in np.flatnonzero(counts < 2).tolist()]
    if lonely:
        who = ", ".join(lonely[:3]) + (f" and {len(lonely) - 3} more" if len(lonely) > 3 else "")
        have = "has" if len(lonely) == 1 else "have"
        raise InputError(
            f"{source.location}: {who} {have} one image; everybody needs two, one to train on and one to judge by. Add "
            f"images, or leave them out."
        )
    num_unknown = max(2, round(unknown_share * num_people)) if unknown_share else 0
    if num_people - num_unknown < 2:
        raise InputError(
            f"{source.location}: of {num_people} people {num_unknown} would be strangers, which leaves fewer than two "
            f"to know; give a smaller --unknown-share, or 0 for none."
        )
    strangers = np.random.default_rng((seed, 0)).permutation(num_people)[:num_unknown]
    test: list[int] = []
    for label in np.setdiff1d(np.arange(num_people), strangers):
        images = np.flatnonzero(labels == label)
        rng = np.random.default_rng((seed, 1, zlib.crc32(source.identities[label].encode())))
        num_test = min(max(1, round(test_share * len(images))), len(images) - 1)
        test += rng.permutation(images)[:num_test].tolist()
    is_test = np.isin(np.arange(len(source)), test)
    is_stranger = np.isin(labels, strangers)
    for_threshold = np.isin(labels, strangers[: num_unknown // 2])
    return StaffSplit(
        train=np.flatnonzero(~is_stranger & ~is_test),
        test=np.flatnonzero(is_test),
        calibration=np.flatnonzero(is_stranger & for_threshold),
        unknown=np.flatnonzero(is_stranger & ~for_threshold),
    )


def store_split(split: StaffSplit, source: RecordSource, folder: Path) -> None:
    """Write the lists of a split, or check that those that are there say the same.

    Raises:
        InputError: there are other lists already: the data, the shares or the seed have changed.
        WorkError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        text = "".join(f"{source.keys[i]}\n" for i in getattr(split, name))
        path = folder / f"{name}.txt"
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{path}: this split was drawn from other data, shares or seed; give those again to --resume, or "
                f"choose another --out."
            )
        write_text(path, text)
