"""Our own shards: a folder on disk or in an object store that opens at once and knows when its bytes changed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.blob_store import BlobStore, LocalFolder, open_store, sha256_of
from marginface.records.names import JoinedNames, NameBlock, Names
from marginface.records.packed_format import JOURNAL, MANIFEST, FileEntry, Manifest, read_names
from marginface.records.packed_shard import Shard
from marginface.records.record import Record, RecordSource
from marginface.records.select import without


def open_packed(
    path: str, *, verify: str = "", excluded: str = "", cache: str | None = None, cache_gb: str = "10"
) -> RecordSource:
    """Return the packed set at a path or URL, without what its own exclusion lists name.

    Args:
        path: the folder, or a URL such as s3://bucket/faces.
        verify: "yes" compares every image with its CRC-32 as it is read; by default only what comes from a URL.
        excluded: "keep" leaves the set's own exclusion lists aside.
        cache: see `open_store`.
        cache_gb: see `open_store`; a number in words.

    Raises:
        InputError: nothing finished there, parts that are missing or damaged, or an option's value that is none.
    """
    for option, value, allowed in (("verify", verify, ("yes", "no")), ("excluded", excluded, ("keep",))):
        if value and value not in allowed:
            raise InputError(f"packed:{path}: {option}={value} is not known; it takes {' or '.join(allowed)}.")
    try:
        gigabytes = float(cache_gb)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < 1e9:
        raise InputError(f"packed:{path}: cache_gb={cache_gb} is not a size; give a number of 10^9 bytes above 0.")
    store = open_store(path, cache=cache, cache_gb=gigabytes)
    always = verify == "yes" or (not verify and not isinstance(store, LocalFolder))
    source = PackedRecords(store, verify=always)
    if excluded == "keep" or not source.manifest.exclude:
        return source
    return without(source, source.excluded_keys())


class PackedRecords:
    """All records of a packed set. Shards are opened when first asked for; nothing is parsed but the manifest."""

    def __init__(self, store: BlobStore, *, verify: bool = False) -> None:
        """Read the manifest and see that every file it names is there with its size.

        Args:
            store: where the files lie.
            verify: compare every image with its CRC-32 as it is read.

        Raises:
            InputError: no manifest, or a file that is missing or has another size.
        """
        self._store = store
        self.verify = verify
        """May be changed at any time."""
        self.manifest = read_manifest(store)
        self._starts = [0]
        for entry in self.manifest.shards:
            self._starts.append(self._starts[-1] + entry.num_images)
        self._num_labels = self.manifest.num_identities
        self._forget()

    def _forget(self) -> None:
        self._shard = lru_cache(maxsize=_most_open_shards())(self._open_shard)
        self._identity_block = lru_cache(maxsize=None)(self._open_identities)

    @property
    def location(self) -> str:
        """Where it was opened from, as a person would type it."""
        return f"packed:{self._store.location}"

    @cached_property
    def identities(self) -> Names:
        """(C,) names, decoded when asked for; the label is the position."""
        starts = [0]
        for entry in self.manifest.identities:
            starts.append(starts[-1] + entry.num_names)
        return JoinedNames(starts, lambda number: self._identity_block(number))

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) labels in 0..C-1, read-only; 8 bytes an image from the first use on.

        Raises:
            InputError: a label that nobody has the name for.
        """
        labels = np.empty(len(self), dtype=np.int64)
        for number, start in enumerate(self._starts[:-1]):
            part = self._shard(number).labels
            if part.size and int(part.max()) >= self._num_labels:
                index = int(np.argmax(part >= self._num_labels))
                raise InputError(self._odd_label(self._shard(number), index))
            labels[start : self._starts[number + 1]] = part
        labels.flags.writeable = False
        return labels

    @cached_property
    def keys(self) -> Names:
        """(N,) unique keys, decoded when asked for."""
        return JoinedNames(self._starts, lambda number: self._shard(number).keys, self._key_crcs)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Record:
        """Return the record.

        Raises:
            IndexError: outside -N..N-1.
            InputError: a damaged shard, or one that changed after it was opened.
        """
        num = self._starts[-1]
        if not -num <= index < num:
            raise IndexError(f"{self.location} has {num} images, there is no number {index}")
        number = bisect_right(self._starts, index % num) - 1
        shard, place = self._shard(number), index % num - self._starts[number]
        label = shard.label(place)
        if label >= self._num_labels:
            raise InputError(self._odd_label(shard, place))
        return Record(
            key=shard.keys.name_at(place),
            image=shard.image(place, verify=self.verify),
            label=label,
            identity=self.identities.name_at(label),
            landmarks=shard.landmarks(place) if shard.has_landmarks else None,
            meta=shard.meta(place) if shard.has_meta else {},
        )

    @property
    def num_parts(self) -> int:
        """How many shards there are to `part_fault`."""
        return len(self.manifest.shards)

    def part_fault(self, number: int) -> str:
        """Return what is wrong with the bytes of shard `number`, all of them read; "" where they are as written."""
        try:
            return self._shard(number).fault()
        except InputError as error:
            return str(error)

    def excluded_keys(self) -> list[str]:
        """Return the keys that the set's own lists exclude.

        Raises:
            InputError: a list that is damaged.
        """
        keys: list[str] = []
        for entry in self.manifest.exclude:
            keys.extend(self._names_in(entry))
        return keys

    def _open_shard(self, number: int) -> Shard:
        entry = self.manifest.shards[number]
        where = f"{self.location}/{entry.name}"
        return Shard(self._store.open(entry.name, stamp=entry.sha256), where=where, entry=entry)

    def _open_identities(self, number: int) -> NameBlock:
        return self._names_in(self.manifest.identities[number])

    def _names_in(self, entry: FileEntry) -> NameBlock:
        where = f"{self.location}/{entry.name}"
        blob = self._store.open(entry.name, stamp=entry.sha256)
        if sha256_of(blob, entry.num_bytes) != entry.sha256:
            raise InputError(f"{where}: its bytes changed since it was written (SHA-256); copy or convert it again.")
        return read_names(blob.map(0, entry.num_bytes), entry.num_names, where)

    def _key_crcs(self) -> npt.NDArray[np.uint32]:
        parts = [self._shard(number).key_crcs for number in range(len(self._starts) - 1)]
        return np.concatenate([np.zeros(0, np.uint32), *parts])

    def _odd_label(self, shard: Shard, place: int) -> str:
        return (
            f"{shard.where}, {shard.keys[place]}: its label {shard.label(place)} is outside 0..{self._num_labels - 1};"
            " the shard is damaged, copy or convert it again."
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is mapped: another process opens the shards again."""
        kept = ("_store", "verify", "manifest", "_starts", "_num_labels")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __repr__(self) -> str:
        return f"<{self.location}: {len(self):,} images of {len(self.identities):,} people>"


def read_manifest(store: BlobStore) -> Manifest:
    """Return what belongs to the set, after a look at the sizes of all its files.

    Raises:
        InputError: nothing finished there, or a file that is missing or has another size.
    """
    sizes = store.sizes()
    where = f"packed:{store.location}"
    if MANIFEST not in sizes:
        if JOURNAL in sizes:
            raise InputError(f"{where} is not finished; start the same `marginface data convert` again, it goes on.")
        what = "there is no packed.json in it" if sizes else "does not exist or is empty"
        raise InputError(
            f"{where}: {what}; `marginface data convert SOURCE packed:{store.location}` makes a packed set."
        )
    blob = store.open(MANIFEST)
    manifest = Manifest.from_json(blob.read(0, blob.size), f"{where}/{MANIFEST}")
    entries: Sequence[Any] = (*manifest.shards, *manifest.identities, *manifest.exclude)
    wrong = [entry for entry in entries if sizes.get(entry.name) != entry.num_bytes]
    if wrong:
        first, has = wrong[0], sizes.get(wrong[0].name)
        state = "is missing" if has is None else f"has {has} bytes instead of {first.num_bytes}"
        raise InputError(
            f"{where}: {len(wrong)} of its {len(entries)} files are not whole: {first.name} {state}; copy it again."
        )
    return manifest


def _most_open_shards() -> int:
    """Return how many shards to keep open: each holds two descriptors, and half of what is allowed is for others."""
    import resource  # not on Windows, which has no such limit

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 4096 if limit == resource.RLIM_INFINITY else max(8, min(limit // 4, 4096))
