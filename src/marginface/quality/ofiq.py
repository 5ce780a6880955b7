"""Quality scores as OFIQ writes them: one line a file, semicolons, a native column and a `.scalar` column a component.

OFIQ is the reference implementation of ISO/IEC 29794-5. Its sample program writes

    Filename;UnifiedQualityScore;...;UnifiedQualityScore.scalar;...;assessment_time_in_ms

with scalars of 0 to 100, higher better, and -1 where a component failed. We write the native column of each of our
methods under our own name and a `.scalar` of 0 to 100: **the rank of the image in this very file**, for our methods
have no fixed range. Reading takes any such file, OFIQ's or ours, and its `.scalar` columns unless told otherwise.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError

FAILED = -1.0
"""The scalar of an image without a value."""


def write_ofiq(path: str | Path, keys: Sequence[str], scores: Mapping[str, npt.NDArray[np.float64]]) -> None:
    """Write the scores of all images; the file is written aside and renamed.

    Args:
        path: of the CSV.
        keys: (N,) names of the images, which become `Filename`.
        scores: (N,) by method; NaN becomes the native 0 and the scalar -1, as OFIQ does it.
    """
    path = Path(path)
    names = list(scores)
    native = [np.nan_to_num(scores[name], nan=0.0) for name in names]
    scalar = [scalars(scores[name]) for name in names]
    aside = path.with_name(f".{path.name}.writing")
    with aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(["Filename", *names, *(f"{name}.scalar" for name in names)])
        for row, key in enumerate(keys):
            numbers = [f"{column[row]:.6g}" for column in native] + [f"{column[row]:.4f}" for column in scalar]
            writer.writerow([key, *numbers])
    os.replace(aside, path)


def scalars(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each score's rank among all, 0 the lowest, 100 the highest, ties in their middle; NaN becomes -1."""
    found = np.isfinite(scores)
    result = np.full(len(scores), FAILED)
    ordered = np.sort(scores[found])
    below, not_above = (np.searchsorted(ordered, scores[found], side=side) for side in ("left", "right"))
    result[found] = 100 * (below + not_above - 1) / 2 / max(len(ordered) - 1, 1)
    return result


def read_ofiq(path: str | Path, keys: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the `.scalar` columns of an OFIQ file for these images, by component; NaN where OFIQ failed (-1).

    A row belongs to the image whose key its `Filename` is or ends with, so that a file made with other folders in front
    fits too. Rows of other images are passed over; columns that say the same of every image are left out.

    Raises:
        InputError: no such file, not of this form, or an image without a row.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: this quality file cannot be read ({error.strerror}).") from error
    rows = list(csv.reader(text.splitlines(), delimiter=";"))
    header = rows[0] if rows else []
    columns = {name: place for place, name in enumerate(header) if name.endswith(".scalar")}
    if not header or header[0] != "Filename" or not columns:
        raise InputError(
            f"{path}: this is not a quality file as OFIQ writes it; "
            "its first line is `Filename;NAME;...;NAME.scalar;...`."
        )
    row_of = _rows_by_key(rows[1:], set(keys))
    absent = [key for key in keys if key not in row_of]
    if absent:
        raise InputError(f"{path}: {len(absent):,} of {len(keys):,} images have no line there, first {absent[0]}.")
    found = {}
    for name, place in columns.items():
        try:
            values = np.array([float(row_of[key][place]) for key in keys])
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: the column {name} has a line that holds no number ({error}).") from error
        values[values == FAILED] = np.nan
        if np.nanmin(values, initial=np.inf) < np.nanmax(values, initial=-np.inf):
            found[name.removesuffix(".scalar")] = values
    return found


def _rows_by_key(rows: Sequence[Sequence[str]], keys: set[str]) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}
    for row in rows:
        parts = row[0].replace("\\", "/").split("/") if row else []
        for start in range(len(parts)):  # the longest ending that is a key
            key = "/".join(parts[start:])
            if key in keys:
                found[key] = row
                break
    return found
