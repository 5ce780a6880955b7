"""Records into WebDataset shards: `KEY.jpg`, `KEY.cls` and `KEY.json`, which the webdataset library reads too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from marginface.records.image_bytes import encoded, suffix_of
from marginface.records.record import RecordSource
from marginface.records.unfinished import unfinished
from marginface.records.write_aside import Progress, no_progress
from marginface.records.write_tar import write_tar

SHARD_IMAGES = 10_000


def write_webdataset(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write the folder `path` with `shard-000000.tar` and so on, and return how many images.

    The JSON keeps key, identity, label and landmarks. After an interruption the same call goes on behind the last
    whole shard, see `unfinished`.

    Raises:
        InputError: `path` exists, or a record cannot be read.
        WorkError: it cannot be written.
    """
    with unfinished(path, records, written_as="webdataset", shard_images=SHARD_IMAGES) as work:
        work.target.mkdir(exist_ok=True)
        for start in range(0, len(records), SHARD_IMAGES):
            end = min(start + SHARD_IMAGES, len(records))
            shard = work.target / f"shard-{start // SHARD_IMAGES:06d}.tar"
            if shard.exists():
                progress(end, len(records))
                continue
            with work.part(shard) as aside:
                write_tar(_members(records, start, end, progress), aside)
    return len(records)


def _members(records: RecordSource, start: int, end: int, progress: Progress) -> Iterator[tuple[str, bytes]]:
    for i in range(start, end):
        record = records[i]
        image = encoded(record.image)
        words = {"key": record.key, "identity": record.identity, "label": record.label}
        if record.landmarks is not None:
            words["landmarks"] = record.landmarks.tolist()
        yield f"{i:09d}{suffix_of(image)}", image
        yield f"{i:09d}.cls", str(record.label).encode()
        yield f"{i:09d}.json", json.dumps(words).encode()
        progress(i + 1, len(records))
