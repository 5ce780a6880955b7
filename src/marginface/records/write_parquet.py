"""Records into parquet files that Hugging Face's `load_dataset` reads as images with labels. Needs pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from marginface.records.arrow_files import require_pyarrow
from marginface.records.image_bytes import encoded
from marginface.records.record import RecordSource
from marginface.records.unfinished import unfinished
from marginface.records.write_aside import Progress, no_progress

GROUP_ROWS = 1000
"""About 10 MB of crops: what a reader decodes at once."""
PART_ROWS = 10_000
"""So much is done again after an interruption at most."""


def write_parquet(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write a table with the columns image {bytes, path}, label, key, landmarks; return how many rows.

    A path that ends in `.parquet` becomes one file, any other a folder of files `data/train-00000-of-00005.parquet`,
    as the hub has them. Either is written in parts of `PART_ROWS` rows, since a parquet file cannot be written on once
    its writer is gone: after an interruption the same call goes on behind the last whole part, see `unfinished`. One
    file is joined from its parts at the end, which takes its size twice on the disk for that moment.

    Raises:
        InputError: `path` exists, a record cannot be read, or pyarrow is absent.
        WorkError: it cannot be written.
    """
    arrow = require_pyarrow()
    schema = arrow.schema(
        [
            ("image", arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])),
            ("label", arrow.int64()),
            ("key", arrow.string()),
            ("landmarks", arrow.list_(arrow.float32())),
        ],
        metadata=_metadata(list(records.identities)),
    )
    num_parts = max(-(-len(records) // PART_ROWS), 1)
    with unfinished(path, records, written_as="parquet", part_rows=PART_ROWS) as work:
        one_file = path.suffix == ".parquet"
        folder = work.folder / "parts" if one_file else work.target / "data"
        folder.mkdir(parents=True, exist_ok=True)
        parts = [folder / f"train-{number:05d}-of-{num_parts:05d}.parquet" for number in range(num_parts)]
        for number, part in enumerate(parts):
            rows = range(number * PART_ROWS, min((number + 1) * PART_ROWS, len(records)))
            if part.exists():
                progress(rows.stop, len(records))
                continue
            with work.part(part) as aside:
                _write(aside, schema, _groups(records, rows, schema, progress))
        if one_file:
            with work.part(work.target) as aside:
                _write(aside, schema, _groups_of(parts))
    return len(records)


def _write(path: Path, schema: Any, groups: Iterable[Any]) -> None:
    with require_pyarrow().parquet.ParquetWriter(path, schema, compression="none") as writer:  # JPEGs do not shrink
        for group in groups:
            writer.write_table(group)


def _groups(records: RecordSource, rows: range, schema: Any, progress: Progress) -> Iterator[Any]:
    """Yield the row groups of these records."""
    for start in range(rows.start, rows.stop, GROUP_ROWS):
        end = min(start + GROUP_ROWS, rows.stop)
        yield require_pyarrow().Table.from_pylist([_row(records, i) for i in range(start, end)], schema=schema)
        progress(end, len(records))


def _groups_of(parts: Sequence[Path]) -> Iterator[Any]:
    """Yield the row groups of parquet files, one after the other."""
    for part in parts:
        file = require_pyarrow().parquet.ParquetFile(part)
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def _row(records: RecordSource, index: int) -> dict[str, Any]:
    record = records[index]
    points = None if record.landmarks is None else record.landmarks.ravel().tolist()
    return {
        "image": {"bytes": encoded(record.image), "path": None},
        "label": record.label,
        "key": record.key,
        "landmarks": points,
    }


def _metadata(identities: list[str]) -> dict[bytes, bytes]:
    """Return what tells Hugging Face's `datasets` that there are images, and what the labels are called."""
    features = {
        "image": {"_type": "Image"},
        "label": {"names": identities, "_type": "ClassLabel"},
        "key": {"dtype": "string", "_type": "Value"},
        "landmarks": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"},
    }
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
