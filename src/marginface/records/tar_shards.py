"""WebDataset shards: many tars in which `KEY.jpg` and `KEY.cls` (or `KEY.json`) belong together, read in place.

The label is the number in `KEY.cls`, or in `KEY.json` one of the fields `label`, `cls`, `class`; `identity` there is a
name, `key` the record's key, `landmarks` are five points (x, y). A pass over the headers finds everything, so access
is random, unlike with the webdataset library; small members are read at the start.
"""

from __future__ import annotations

import glob
import itertools
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from marginface.errors import InputError
from marginface.records.file_at import FileAt
from marginface.records.indexed import IndexedImages, in_order, is_image_name, numbered
from marginface.records.record import Record
from marginface.records.tar_index import Member, tar_members

logger = logging.getLogger(__name__)

_LABEL_FIELDS = ("label", "cls", "class")
_MAX_WORDS_BYTES = 1 << 20
_MAX_SHARDS = 100_000
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass
class _Sample:
    """One image and what is said about it."""

    key: str
    shard: int
    image: Member
    label: str | None = None
    """A number or name."""
    identity: str | None = None
    """A name, where one is told besides the label."""
    landmarks: Any = None


class TarShards(IndexedImages):
    """The images of WebDataset shards in the order in which they lie.

    Whole-number labels keep their order, names are sorted. Samples without an image are passed over; one without a
    label is refused. Keys are the names of the images; where shards number from the start again, with the shard's name
    before.
    """

    def __init__(self, pattern: str | Path) -> None:
        """Read the headers and labels of all shards.

        Args:
            pattern: a tar, a folder of tars, or a pattern: `train-{000..146}.tar`, `train-*.tar`.

        Raises:
            InputError: no such shard, a damaged one, an image without label, or a label that cannot be read.
        """
        location = f"webdataset:{pattern}"
        self._shards = [FileAt(path, where=f"webdataset:{path}") for path in _shard_paths(str(pattern))]
        samples = [sample for number in range(len(self._shards)) for sample in self._samples(number)]
        if not samples:
            raise InputError(f"{location}: there is no image in its {len(self._shards)} shards.")
        self._shard_of = np.array([sample.shard for sample in samples], np.int32)
        self._offsets = np.array([sample.image.offset for sample in samples], np.int64)
        self._sizes = np.array([sample.image.size for sample in samples], np.int64)
        self._landmarks = {i: sample.landmarks for i, sample in enumerate(samples) if sample.landmarks is not None}
        people, order = _people(samples, location)
        keys = self._unique_keys(samples)
        super().__init__(location=location, index=numbered(keys=keys, identity_of=people, order=order))

    def __getitem__(self, index: int) -> Record:
        """Return the record, with landmarks where its JSON has them; see `IndexedImages`."""
        record = super().__getitem__(index)
        landmarks = self._landmarks.get(index % len(self))
        if landmarks is None:
            return record
        return Record(
            key=record.key, image=record.image, label=record.label, identity=record.identity, landmarks=landmarks
        )

    def _read(self, index: int) -> bytes:
        shard = self._shards[int(self._shard_of[index])]
        return shard.read(int(self._offsets[index]), int(self._sizes[index]), self._keys[index])

    def _samples(self, number: int) -> Iterator[_Sample]:
        """Yield the samples of a shard, their labels read."""
        shard = self._shards[number]
        for _, members in itertools.groupby(tar_members(shard.path), key=_key_of):
            sample: _Sample | None = None
            words: list[Member] = []
            for member in members:
                if is_image_name(member.name.rpartition("/")[2]):
                    sample = sample or _Sample(key=member.name.removeprefix("./"), shard=number, image=member)
                elif member.name.endswith((".cls", ".json")):
                    words.append(member)
            if sample is None:
                continue
            for member in words:
                self._say(sample, shard, member)
            if sample.label is None and sample.identity is None:
                raise InputError(
                    f"{shard.where}: {sample.key} has no label; a .cls with a number, or a .json with one of"
                    f" {', '.join(_LABEL_FIELDS)} or identity, is expected beside it."
                )
            yield sample

    def _say(self, sample: _Sample, shard: FileAt, member: Member) -> None:
        """Read what a small member says about a sample."""
        if member.size > _MAX_WORDS_BYTES:
            raise InputError(f"{shard.where}: {member.name} has {member.size:,} bytes, too many for a label.")
        data = shard.read(member.offset, member.size, member.name)
        try:
            if member.name.endswith(".cls"):
                sample.label = str(_whole(int(data.strip() or b"x")))
                return
            words = json.loads(data)
            label = next((words[name] for name in _LABEL_FIELDS if words.get(name) is not None), None)
            if label is not None:
                sample.label = label if isinstance(label, str) else str(_whole(label))
            if words.get("identity") is not None:
                sample.identity = str(words["identity"])
            if isinstance(words.get("key"), str):
                sample.key = words["key"]
            told = f"{sample.label}{sample.identity}{sample.key}"
            told.encode("utf-8", "surrogateescape")  # raises where it is no text
            if words.get("landmarks") is not None:
                sample.landmarks = np.asarray(words["landmarks"], np.float32).reshape(5, 2)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{shard.where}: {member.name} cannot be read as a label ({error}).") from error

    def _unique_keys(self, samples: Sequence[_Sample]) -> list[str]:
        keys = [sample.key for sample in samples]
        if len(set(keys)) == len(keys):
            return keys
        keys = [f"{Path(self._shards[sample.shard].path).stem}/{sample.key}" for sample in samples]
        if len(set(keys)) == len(keys):
            return keys
        seen: set[str] = set()
        twice = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InputError(f"webdataset: {twice} occurs twice; keys name one image each.")


def is_shard(path: str) -> bool:
    """Return whether a tar begins like a shard: an image and, under the same key, its label."""
    try:
        first = tar_members(path, at_most=8)
    except InputError:
        return False  # whoever opens it says why
    images = {_key_of(member) for member in first if is_image_name(member.name.rpartition("/")[2])}
    return any(member.name.endswith((".cls", ".json")) and _key_of(member) in images for member in first)


def _people(samples: Sequence[_Sample], where: str) -> tuple[list[str], list[str]]:
    """Return the identity of each sample, and all identities in the order of their labels."""
    number_of: dict[str, int] = {}
    for sample in samples:
        if sample.identity is None or sample.label is None or not sample.label.isdecimal():
            people = [sample.identity or sample.label or "" for sample in samples]
            return people, in_order(set(people))
        if number_of.setdefault(sample.identity, int(sample.label)) != int(sample.label):
            raise InputError(
                f"{where}: {sample.identity!r} has the label {sample.label} at {sample.key} and"
                f" {number_of[sample.identity]} elsewhere."
            )
    if len(set(number_of.values())) != len(number_of):
        raise InputError(f"{where}: one label stands for several identities.")
    return [sample.identity or "" for sample in samples], sorted(number_of, key=number_of.__getitem__)


def _key_of(member: Member) -> str:
    """Return what the members of one sample share: the path up to the first dot of the file's name."""
    folder, slash, name = member.name.removeprefix("./").rpartition("/")
    return folder + slash + name.partition(".")[0]


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{str(value)[:40]!r} is no whole number from 0")
    return value


def _shard_paths(pattern: str) -> list[str]:
    """Return the tars that a pattern names, sorted within each wildcard."""
    if os.path.isdir(pattern):
        pattern = os.path.join(glob.escape(pattern), "*.tar")
    paths: list[str] = []
    for name in _expanded(pattern):
        found = [name] if os.path.isfile(name) else sorted(glob.glob(name))
        if not found:
            raise InputError(f"webdataset:{pattern}: there is no {name}.")
        paths += found
    return paths


def _expanded(pattern: str) -> Iterator[str]:
    """Yield the names that ranges like {000..146} stand for."""
    found = _RANGE.search(pattern)
    if found is None or os.path.exists(pattern):
        yield pattern
        return
    first, last = found.group(1), found.group(2)
    if len(last) > 18 or not 0 <= int(last) - int(first) < _MAX_SHARDS:
        raise InputError(f"webdataset:{pattern}: {found.group()} is a range of 1 to {_MAX_SHARDS:,} shards, ascending.")
    for number in range(int(first), int(last) + 1):
        yield from _expanded(pattern[: found.start()] + f"{number:0{len(first)}d}" + pattern[found.end() :])
