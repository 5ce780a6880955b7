"""Drawn people as a source of records: any number of them, each picture a pure function of its address."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from marginface.drawn.camera import encode
from marginface.drawn.identity import Identity, draw_identity, draw_sibling
from marginface.drawn.nuisance import Nuisance, draw_nuisance
from marginface.drawn.portrait import draw_crop
from marginface.errors import InputError
from marginface.records import write_tar as records
from marginface.records.record import Record

_SIBLING_STREAM = 3


class DrawnPeople:
    """`num_people` drawn people with `images_per_person` pictures each; a `RecordSource` drawn on demand.

    Picture (person, index) depends on the seed, the settings and its own two numbers only: not on how many people or
    pictures there are, nor on what was drawn before. So a larger set contains the smaller one.
    """

    def __init__(
        self,
        num_people: int,
        images_per_person: int,
        *,
        seed: int,
        difficulty: float = 1.0,
        size: int = 112,
        siblings: float = 0.0,
        sibling_similarity: float = 0.8,
        first_person: int = 0,
    ) -> None:
        """Args:
        num_people: How many people.
        images_per_person: Pictures of each.
        seed: Of everything, 0 or more.
        difficulty: Factor on all nuisance; 0 is passport photographs, 1 the variety of the web.
        size: Side of the crops, pixels.
        siblings: Share (0..1) of people who have a sibling in the set: persons 2k and 2k + 1 are the pairs.
        sibling_similarity: Correlation of the siblings' traits, 0..1.
        first_person: Number of the first person, to make sets of one seed that share nobody.

        Raises:
            InputError: A setting is out of range.
        """
        for name, value, least in (
            ("num_people", num_people, 1),
            ("images_per_person", images_per_person, 1),
            ("seed", seed, 0),
            ("size", size, 16),
            ("first_person", first_person, 0),
        ):
            if value < least:
                raise InputError(f"{name} is {value}; drawn people need {least} or more")
        for name, share in (("siblings", siblings), ("sibling_similarity", sibling_similarity)):
            if not 0.0 <= share <= 1.0:
                raise InputError(f"{name} is {share}; it must be in 0..1")
        draw_nuisance(seed, 0, 0, difficulty=difficulty)  # refuses a bad difficulty now, not in a worker later
        self.num_people = num_people
        self.images_per_person = images_per_person
        self.seed = seed
        self.difficulty = difficulty
        self.size = size
        self.siblings = siblings
        self.sibling_similarity = sibling_similarity
        self.first_person = first_person

    @property
    def location(self) -> str:
        spec = f"people={self.num_people}&images={self.images_per_person}&seed={self.seed}"
        spec += f"&difficulty={self.difficulty:g}&size={self.size}&siblings={self.siblings:g}"
        spec += f"&sibling_similarity={self.sibling_similarity:g}" if self.siblings else ""
        return f"drawn:?{spec}" + (f"&first={self.first_person}" if self.first_person else "")

    @property
    def identities(self) -> tuple[str, ...]:
        return tuple(person_name(self.first_person + label) for label in range(self.num_people))

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        return np.repeat(np.arange(self.num_people, dtype=np.int64), self.images_per_person)

    @property
    def keys(self) -> Sequence[str]:
        return _keys(self.first_person, self.num_people, self.images_per_person)

    def __len__(self) -> int:
        return self.num_people * self.images_per_person

    def __getitem__(self, index: int) -> Record:
        if not -len(self) <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        label, number = divmod(index % len(self), self.images_per_person)
        return self.record(self.first_person + label, number)

    def __repr__(self) -> str:
        return f"DrawnPeople({self.location!r})"

    def identity(self, person: int) -> Identity:
        """Return the truth about a person (numbered from 0, whatever `first_person` is)."""
        return _identity(self.seed, person, self.siblings, self.sibling_similarity)

    def sibling_of(self, person: int) -> int | None:
        """Return the number of the person's sibling, or None."""
        return person ^ 1 if _are_siblings(self.seed, person // 2, self.siblings) else None

    def nuisance(self, person: int, index: int) -> Nuisance:
        """Return the truth about a picture's circumstances."""
        return draw_nuisance(self.seed, person, index, difficulty=self.difficulty)

    def record(self, person: int, index: int) -> Record:
        """Return picture `index` of a person; its `meta` holds the nuisance and the photograph's landmarks."""
        nuisance = self.nuisance(person, index)
        picture = draw_crop(self.identity(person), nuisance, size=self.size)
        name = person_name(person)
        return Record(
            key=f"{name}/{index:03d}.jpg",
            image=encode(picture.image, nuisance),
            label=person - self.first_person,
            identity=name,
            landmarks=picture.landmarks,
            meta={
                "nuisance": dataclasses.asdict(nuisance),
                "photograph_landmarks": picture.photograph_landmarks.tolist(),
            },
        )


def person_name(person: int) -> str:
    """Return the identity's name: `person-00012`."""
    return f"person-{person:05d}"


def write_tar(
    people: DrawnPeople,
    path: str | Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write all pictures as `identity/image.jpg` members of a tar, the same bytes for the same people, and return it.

    Args:
        people: Who to draw.
        path: The tar; written aside and renamed, so that a file of that name is always whole.
        workers: Processes that draw; 1 draws in this one. Does not change what is written.
        progress: Called with (pictures written, pictures in all).

    Raises:
        InputError: `workers` is less than 1.
        WorkError: The file could not be written.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; drawing needs 1 or more")

    def members() -> Iterator[tuple[str, bytes]]:
        done = 0
        for pictures in _drawn(people, workers):
            yield from pictures
            done += len(pictures)
            if progress is not None:
                progress(done, len(people))

    records.write_tar(members(), path)
    return Path(path)


def _drawn(people: DrawnPeople, workers: int) -> Iterator[list[tuple[str, bytes]]]:
    numbers = range(people.first_person, people.first_person + people.num_people)
    if workers == 1:
        for person in numbers:
            yield _draw_person(people, person)
        return
    # "spawn": a forked OpenCV or BLAS with threads may hang
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        yield from pool.map(_draw_person, [people] * len(numbers), numbers, chunksize=4)


def _draw_person(people: DrawnPeople, person: int) -> list[tuple[str, bytes]]:
    records = (people.record(person, index) for index in range(people.images_per_person))
    return [(record.key, record.image) for record in records if isinstance(record.image, bytes)]


@lru_cache(maxsize=4)
def _keys(first: int, num_people: int, images_per_person: int) -> tuple[str, ...]:
    return tuple(
        f"{person_name(person)}/{index:03d}.jpg"
        for person in range(first, first + num_people)
        for index in range(images_per_person)
    )


@lru_cache(maxsize=256)
def _identity(seed: int, person: int, siblings: float, similarity: float) -> Identity:
    if person % 2 and _are_siblings(seed, person // 2, siblings):
        return draw_sibling(seed, person, of=person - 1, similarity=similarity)
    return draw_identity(seed, person)


def _are_siblings(seed: int, pair: int, siblings: float) -> bool:
    return bool(np.random.default_rng([seed, _SIBLING_STREAM, pair]).random() < siblings)
