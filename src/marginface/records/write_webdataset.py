"""Records into WebDataset shards: `KEY.jpg`, `KEY.cls` and `KEY.json`, which the webdataset library reads too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from marginface.records.image_bytes import encoded, suffix_of
from marginface.records.record import RecordSource
from marginface.records.write_aside import Progress, new_folder, no_progress
from marginface.records.write_tar import write_tar

SHARD_IMAGES = 10_000


def write_webdataset(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write the folder `path` with `shard-000000.tar` and so on, and return how many images.

    The JSON keeps key, identity, label and landmarks. Written aside and renamed; after an interruption the same call
    goes on behind the last whole shard of the same records.

    Raises:
        InputError: `path` exists, or a record cannot be read.
        WorkError: it cannot be written.
    """
    with new_folder(path, keep_partial=True) as aside:
        _forget_others(records, aside)
        for start in range(0, len(records), SHARD_IMAGES):
            end = min(start + SHARD_IMAGES, len(records))
            shard = aside / f"shard-{start // SHARD_IMAGES:06d}.tar"
            if shard.exists():
                progress(end, len(records))
            else:
                write_tar(_members(records, start, end, progress), shard)
        (aside / "source.json").unlink()
    return len(records)


def _forget_others(records: RecordSource, aside: Path) -> None:
    """Remove what an interrupted run over other records has left behind."""
    about = json.dumps([records.location, len(records), SHARD_IMAGES, int(records.labels.sum())])
    told = aside / "source.json"
    if not told.exists() or told.read_text(encoding="utf-8") != about:
        for shard in aside.glob("*.tar"):
            shard.unlink()
        told.write_text(about, encoding="utf-8")


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
