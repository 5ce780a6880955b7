"""Any source into a packed set: shard by shard, so that it can be stopped at any moment and goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, WorkError
from marginface.records.blob_store import BlobStore, open_store
from marginface.records.names import positions_of
from marginface.records.packed import PackedRecords, read_manifest
from marginface.records.packed_format import (
    JOURNAL,
    MANIFEST,
    FileEntry,
    Manifest,
    ShardEntry,
    names_entry,
    names_file,
)
from marginface.records.packed_shard import Shard
from marginface.records.packed_shard_write import ShardWriter
from marginface.records.record import RecordSource
from marginface.records.unfinished import job_of
from marginface.records.write_aside import Progress, no_progress

SHARD_BYTES = 1 << 28
"""Large enough that 42 million faces are a thousand files, small enough that a stop costs some 40,000 of them."""


def write_packed(
    source: RecordSource,
    path: str | Path,
    progress: Progress = no_progress,
    *,
    append: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> int:
    """Write all records of `source` into a packed set, and return how many images the set has then.

    Stopped at any moment, the same call goes on after the last finished shard, and the files come out as they would
    have without the stop. A set that this source was already written to is left alone.

    Args:
        source: images with their labels, keys, landmarks and meta (JSON values). Decoded ones become PNGs.
        path: the folder, or a URL such as s3://bucket/faces.
        progress: called with (images done, images in all).
        append: add to a finished set. People of the same name are the same people.
        shard_bytes: a shard ends with the image that reaches this size.

    Raises:
        InputError: another set or another unfinished conversion lies there; a record that cannot be packed.
        WorkError: the files could not be written.
    """
    store = open_store(str(path))
    manifest = _before(store, append=append)
    job = job_of(source, shard_bytes=shard_bytes)
    if manifest.made_from and _same(manifest.made_from[-1], job):
        store.remove(JOURNAL)
        return manifest.num_images
    if manifest.shards and not append:
        raise InputError(
            f"packed:{path} already holds {manifest.num_images:,} images; add these to them with --append, or choose"
            " another folder."
        )
    _take_up(store, job, manifest)
    names, labels = _numbered(source, store, manifest)
    if append:
        _refuse_known_keys(source, store)
    shards = list(_shards(source, labels, store, manifest, shard_bytes=shard_bytes, progress=progress))
    manifest = replace(
        manifest,
        shards=(*manifest.shards, *shards),
        identities=(*manifest.identities, names),
        made_from=(*manifest.made_from, job),
    )
    store.save(MANIFEST, manifest.to_json())
    store.remove(JOURNAL)
    return manifest.num_images


def _before(store: BlobStore, *, append: bool) -> Manifest:
    """Return what is there already; an empty manifest where nothing is."""
    there = store.sizes()
    if MANIFEST in there:
        return read_manifest(store)
    foreign = [name for name in there if not name.startswith((".", "shard-", "identities-")) and name != JOURNAL]
    if foreign:
        raise InputError(f"packed:{store.location} holds other files, such as {foreign[0]}; choose an empty folder.")
    if append and JOURNAL not in there:
        raise InputError(f"packed:{store.location}: there is no finished set to append to; leave --append out.")
    return Manifest()


def _take_up(store: BlobStore, job: Mapping[str, Any], manifest: Manifest) -> None:
    """Begin the job, or see that it is the one that was begun before."""
    there = store.sizes()
    if JOURNAL not in there:
        known = {entry.name for entry in manifest.shards}
        stray = sorted(name for name in there if name.startswith("shard-") and name not in known)
        if stray:
            raise InputError(
                f"packed:{store.location} holds shards of nothing that is known, such as {stray[0]}; delete them, or"
                " bring back the packed.json that names them."
            )
        store.save(JOURNAL, (json.dumps(job) + "\n").encode())
        return
    blob = store.open(JOURNAL)
    try:
        begun = json.loads(blob.read(0, blob.size))
        if not isinstance(begun, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise InputError(f"packed:{store.location}/{JOURNAL} is damaged ({error}); delete the folder.") from error
    if not _same(begun, job):
        raise InputError(
            f"packed:{store.location} is an unfinished conversion of {begun.get('source')}"
            f" ({begun.get('num_images')} images), not of {job['source']} as it is now; finish that one first or delete"
            f" {JOURNAL} and the shards that packed.json does not name."
        )


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(name) == other[name] for name in ("num_images", "checksum", "shard_bytes"))


def _numbered(source: RecordSource, store: BlobStore, manifest: Manifest) -> tuple[FileEntry, npt.NDArray[np.int64]]:
    """Write the names of the people who are new to the set; return that file, and the set's label of each label."""
    known: dict[str, int] = {}
    if manifest.shards:
        known = {name: label for label, name in enumerate(PackedRecords(store).identities)}
    new = [name for name in source.identities if name not in known]
    if len(set(new)) != len(new):
        raise InputError(f"{source.location}: two identities have the same name; a packed set tells people by name.")
    known |= {name: manifest.num_identities + i for i, name in enumerate(new)}
    data = names_file(new)
    entry = names_entry(f"identities-{len(manifest.identities):05d}.names", data, len(new))
    store.save(entry.name, data)
    return entry, np.array([known[name] for name in source.identities], dtype=np.int64)


def _refuse_known_keys(source: RecordSource, store: BlobStore) -> None:
    there = PackedRecords(store)
    known = np.flatnonzero(positions_of(source.keys, there.keys) >= 0)
    if known.size:
        first = source.keys[int(known[0])]
        raise InputError(
            f"{there.location} already has {known.size:,} of these keys, first {first!r}; keys are unique."
        )


def _shards(
    source: RecordSource,
    labels: npt.NDArray[np.int64],
    store: BlobStore,
    manifest: Manifest,
    *,
    shard_bytes: int,
    progress: Progress,
) -> Iterator[ShardEntry]:
    """Yield every shard of the job: first those that are finished, then the rest as they are written."""
    number, done = len(manifest.shards), 0
    there = store.sizes()
    while f"shard-{number:05d}.faces" in there:
        name = f"shard-{number:05d}.faces"
        shard = Shard(store.open(name), where=f"packed:{store.location}/{name}")
        if shard.footer.first_image != manifest.num_images + done:
            raise InputError(f"{shard.where} does not follow the shard before it; delete it and start again.")
        yield shard.entry(name)
        number, done = number + 1, done + shard.footer.num_images
    while done < len(source):
        name = f"shard-{number:05d}.faces"
        with _aside(store, name) as (file, aside):
            writer = ShardWriter(file, first_image=manifest.num_images + done)
            while done < len(source) and not (writer.num_images and writer.num_bytes >= shard_bytes):
                record = source[done]
                writer.add(record, int(labels[record.label]))
                done += 1
                progress(done, len(source))
            entry = writer.finish(name)
            file.close()
            store.adopt(name, aside)
        yield entry
        number += 1


@contextmanager
def _aside(store: BlobStore, name: str) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a file to write a shard into, and take away what is left of it and of others that were killed."""
    folder = store.workshop()
    for leftover in folder.glob(f".{name}.*.partial"):
        leftover.unlink(missing_ok=True)
    aside = folder / f".{name}.{os.getpid()}.partial"
    try:
        with open(aside, "w+b") as file:
            yield file, aside
    except OSError as error:
        raise WorkError(f"{aside}: could not be written ({error.strerror or error}).") from error
    finally:
        aside.unlink(missing_ok=True)
