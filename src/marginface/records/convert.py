"""Any source into any format that can be written, named as a source is: `packed:DIR`, `tar:FILE`, `recordio:DIR`."""

from __future__ import annotations

import os
from pathlib import Path

from marginface.errors import InputError, one_of
from marginface.records.blob_store import is_url
from marginface.records.image_pairs import PairedImages
from marginface.records.packed_write import SHARD_BYTES, write_packed
from marginface.records.record import RecordSource
from marginface.records.write import WRITERS
from marginface.records.write_aside import Progress, no_progress
from marginface.records.write_pairs import pairs_path, write_pairs


def convert(
    source: RecordSource,
    target: str,
    progress: Progress = no_progress,
    *,
    append: bool = False,
    shard_bytes: int | None = None,
) -> int:
    """Write all records of `source` to `target`, and return how many it holds then.

    Stopped at any moment, it goes on when the same is asked for again, and the bytes come out as without the stop; only
    `list:`, which copies no image, is begun anew. None is ever taken for whole before it is.

    Args:
        source: the records.
        target: `scheme:path`, for a scheme of `WRITERS`.
        progress: called with (images done, images in all).
        append: add to a packed set.
        shard_bytes: of a packed set: a shard ends with the image that reaches this size.

    Raises:
        InputError: an unknown scheme, a target that holds something else, or a setting that it has no use for.
        WorkError: it could not be written.
    """
    scheme, _, path = target.partition(":")
    if scheme not in WRITERS or not path:
        raise InputError(f"{target}: write for example packed:faces or tar:faces.tar{one_of(scheme, list(WRITERS))}.")
    path = os.path.expanduser(path)
    if scheme == "packed":
        if isinstance(source, PairedImages) and is_url(path):
            raise InputError(f"{target}: the pairs of {source.location} cannot lie beside a URL; convert to a folder.")
        if isinstance(source, PairedImages) and append:
            raise InputError(f"{target}: the pairs of {source.location} cannot be appended; convert to another folder.")
        num = write_packed(source, path, progress, append=append, shard_bytes=shard_bytes or SHARD_BYTES)
        if isinstance(source, PairedImages):
            write_pairs(source, pairs_path(Path(path)))
        return num
    if append or shard_bytes is not None:
        raise InputError(f"{target}: only packed: sets can be appended to, or have a size of shards; leave that out.")
    return WRITERS[scheme](source, Path(path), progress)
