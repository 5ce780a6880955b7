"""Records into a parquet file that Hugging Face's `load_dataset` reads as images with labels. Needs pyarrow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from marginface.records.arrow_files import require_pyarrow
from marginface.records.image_bytes import encoded
from marginface.records.record import RecordSource
from marginface.records.write_aside import Progress, new_file, no_progress, refuse_existing

GROUP_ROWS = 1000
"""About 10 MB of crops: what a reader decodes at once."""


def write_parquet(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write one parquet file with the columns image {bytes, path}, label, key, landmarks; return how many rows.

    Raises:
        InputError: `path` exists, a record cannot be read, or pyarrow is absent.
        WorkError: it cannot be written.
    """
    refuse_existing(path)
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
    with new_file(path) as aside, arrow.parquet.ParquetWriter(aside, schema, compression="none") as writer:
        for start in range(0, len(records), GROUP_ROWS):  # not compressed: JPEGs do not shrink
            rows = [_row(records, i) for i in range(start, min(start + GROUP_ROWS, len(records)))]
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
            progress(start + len(rows), len(records))
    return len(records)


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
