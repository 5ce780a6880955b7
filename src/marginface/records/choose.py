"""Which images of a source: by people, by number of images, by a published list, or drawn. Lists of keys, no copies."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.record import RecordSource
from marginface.records.write_aside import new_file

Indices = npt.NDArray[np.int64]


def chosen(
    source: RecordSource,
    *,
    numbers: Sequence[int] | None = None,
    people: Sequence[str] | None = None,
    first: int | None = None,
    at_least: int | None = None,
) -> Indices:
    """Return the positions of the images that pass every condition, applied in the order of the arguments.

    So AdaFace's 70,722 identities of MS1MV2 are the numbers of its `ms1mv2_train_subset_index.txt`, and of these the
    people with `at_least` 5 images.

    Args:
        source: the records.
        numbers: positions in the source, from 0.
        people: names of identities.
        first: so many identities, the first by label.
        at_least: people with so many images or more among those left.

    Raises:
        InputError: a number or a name that the source does not have, or nothing that is left.
    """
    places = np.arange(len(source)) if numbers is None else _checked(numbers, source)
    labels = source.labels
    if people is not None:
        known = {name: label for label, name in enumerate(source.identities)}
        unknown = [name for name in people if name not in known]
        if unknown:
            raise InputError(f"{source.location}: {len(unknown)} of these people, first {unknown[0]!r}, are not in it.")
        wanted = np.array(sorted({known[name] for name in people}), dtype=np.int64)
        places = places[np.isin(labels[places], wanted)]
    if first is not None:
        places = places[np.isin(labels[places], np.unique(labels[places])[:first])]
    if at_least is not None:
        counts = np.bincount(labels[places], minlength=len(source.identities))
        places = places[counts[labels[places]] >= at_least]
    if not len(places):
        raise InputError(f"{source.location}: no image is left; choose less strictly.")
    return places


def split(source: RecordSource, *, people: int, image_share: float, seed: int) -> Mapping[str, Indices]:
    """Return positions under "train", "test" and "strangers", drawn by `seed`; every image is in exactly one.

    Args:
        source: the records.
        people: how many become strangers, with all their images.
        image_share: of everybody else's images for "test", rounded; at least one of each person's stays in "train".
        seed: of the draws. A person's own draw depends on nobody else.

    Raises:
        InputError: nobody is left to train on, or a share outside 0 to 1.
    """
    num_people = len(source.identities)
    if not 0 <= people < num_people:
        raise InputError(f"{source.location}: cannot hold out {people} of {num_people} people; leave at least one.")
    if not 0 <= image_share < 1:
        raise InputError(f"a share of {image_share:g} of the images is none; give 0 to less than 1, such as 0.2.")
    if not people and not image_share:
        raise InputError("there is nothing to split off; hold out people, a share of the images, or both.")
    labels = source.labels
    strange = np.zeros(num_people, dtype=bool)
    strange[np.random.default_rng((seed, 0)).permutation(num_people)[:people]] = True
    part = np.where(strange[labels], 2, 0)
    if image_share:
        order = np.argsort(labels, kind="stable")
        ends = np.cumsum(np.bincount(labels, minlength=num_people))
        for label in np.flatnonzero(~strange).tolist():
            own = order[ends[label - 1] if label else 0 : ends[label]]
            num = min(round(image_share * len(own)), len(own) - 1)
            name = zlib.crc32(source.identities[label].encode("utf-8", "surrogateescape"))
            if num > 0:
                part[np.random.default_rng((seed, 1, name)).choice(own, num, replace=False)] = 1
    return {name: np.flatnonzero(part == i) for i, name in enumerate(("train", "test", "strangers"))}


def numbers_in(path: str | Path) -> list[int]:
    """Return the whole numbers of a text file, with commas, spaces or line ends between them.

    Raises:
        InputError: no such file, or something else in it.
    """
    try:
        words = re.split(r"[\s,]+", Path(path).read_text(encoding="utf-8").strip())
        return [int(word) for word in words if word]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: this list of numbers cannot be read ({error}).") from error


def names_in(path: str | Path) -> list[str]:
    """Return the lines of a text file that are not blank.

    Raises:
        InputError: no such file, or an empty one.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise InputError(f"{path}: this list of people cannot be read ({error}).") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: this list of people is empty; expected a name a line.")
    return names


def write_keys(source: RecordSource, indices: Indices, path: str | Path) -> None:
    """Write the keys at these positions, a line each, as `only=` and `exclude=` take them; aside and renamed.

    Raises:
        InputError: a key that has a line end in it.
        WorkError: it could not be written.
    """
    keys = source.keys
    with (
        new_file(Path(path)) as aside,
        open(aside, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file,
    ):
        for index in indices.tolist():
            if len(keys[index].splitlines()) != 1:
                raise InputError(f"{keys[index]!r} is empty or has a line end in it; a list cannot hold it.")
            file.write(f"{keys[index]}\n")


def _checked(numbers: Sequence[int], source: RecordSource) -> Indices:
    outside = [number for number in numbers if not 0 <= number < len(source)]
    if outside:
        raise InputError(
            f"{source.location}: {len(outside)} of these numbers, first {outside[0]}, are outside 0..{len(source) - 1};"
            " is the list for another data set?"
        )
    return np.array(list(dict.fromkeys(numbers)), dtype=np.int64)
