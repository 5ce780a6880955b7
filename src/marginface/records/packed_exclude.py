"""Images that a packed set leaves out from now on, without rewriting a shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from marginface.errors import InputError
from marginface.records.blob_store import open_store
from marginface.records.names import positions_of
from marginface.records.packed import PackedRecords, read_manifest
from marginface.records.packed_format import MANIFEST, names_entry, names_file


def exclude_records(path: str | Path, keys: Sequence[str]) -> int:
    """Exclude images from a packed set without rewriting it, and return how many it excludes in all.

    The set then opens without them; `?excluded=keep` still shows them, `include_all` takes every exclusion back.

    Raises:
        InputError: no finished set there, or a key that it does not have.
        WorkError: the list could not be written.
    """
    store = open_store(str(path))
    source = PackedRecords(store)
    before = set(source.excluded_keys())
    new = [key for key in dict.fromkeys(keys) if key not in before]
    missing = [new[i] for i in np.flatnonzero(positions_of(new, source.keys) < 0)]
    if missing:
        raise InputError(f"{source.location}: {len(missing)} of these keys, first {missing[0]!r}, are not in it.")
    if not new:
        return len(before)
    data = names_file(new)
    entry = names_entry(f"exclude-{len(source.manifest.exclude):05d}.names", data, len(new))
    store.save(entry.name, data)
    store.save(MANIFEST, replace(source.manifest, exclude=(*source.manifest.exclude, entry)).to_json())
    return len(before) + len(new)


def include_all(path: str | Path) -> None:
    """Take every exclusion of a packed set back.

    Raises:
        InputError: no finished set there.
    """
    store = open_store(str(path))
    manifest = read_manifest(store)
    store.save(MANIFEST, replace(manifest, exclude=()).to_json())
    for entry in manifest.exclude:
        store.remove(entry.name)
