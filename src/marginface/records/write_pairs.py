"""The pairs of a verification pack as a table that the protocol `csv` reads: left, right, mated and, if any, fold."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from marginface.records.image_pairs import PairedImages
from marginface.records.write_aside import new_file, refuse_existing


def pairs_path(path: Path) -> Path:
    """Return where the pairs of the records at `path` are kept: beside them, as `NAME.pairs.csv`."""
    return path.with_name(f"{path.name}.pairs.csv")


def write_pairs(records: PairedImages, path: Path) -> None:
    """Write the pairs of a pack, images by their keys, aside and renamed; the same table may be there already.

    Raises:
        InputError: another file is there.
        WorkError: it cannot be written.
    """
    pairs, keys = records.pairs, records.keys
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["left", "right", "mated"] + ([] if pairs.fold is None else ["fold"]))
    folds = [] if pairs.fold is None else pairs.fold.tolist()
    for i, (left, right) in enumerate(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)):
        rows.writerow([keys[left], keys[right], int(pairs.mated[i]), *folds[i : i + 1]])
    data = text.getvalue().encode()
    if path.is_file() and path.read_bytes() == data:
        return
    refuse_existing(path)
    with new_file(path) as aside:
        aside.write_bytes(data)
