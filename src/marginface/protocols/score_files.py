"""Scores in files, so that an auditor needs no model: read and written in the forms that other tools use.

    CSV           left,right,score,mated[,identity_left,identity_right][,fold]     header required, commas or tabs
    four columns  claimed-person real-person probe score                           mated where both persons are one
    pyeer         two files, mated and non-mated: a line a comparison, the score its last word

Scores are similarities, higher is more alike. Image quality comes from OFIQ's CSV (`;`, a column a measure).
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, WorkError
from marginface.metrics.sorted_scores import checked
from marginface.protocols.names_of_images import ImageNames
from marginface.protocols.pairs import TRUTH, read_table
from marginface.records.embedding_table import EmbeddingTable

ScoreFormat = Literal["csv", "four-column", "pyeer"]
_CSV_COLUMNS = ("left", "right", "score", "mated", "identity_left", "identity_right", "fold")


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """Comparisons that somebody else made."""

    score: npt.NDArray[np.float64]
    """(P,) higher is more alike."""
    mated: npt.NDArray[np.bool_]
    left: tuple[str, ...] | None = None
    """(P,) names of what was compared, where the file has them."""
    right: tuple[str, ...] | None = None
    identity_left: tuple[str, ...] | None = None
    """(P,) people, where the file has them: intervals need them."""
    identity_right: tuple[str, ...] | None = None
    fold: npt.NDArray[np.int64] | None = None


def read_scores(path: str | Path, *, non_mated: str | Path | None = None) -> ScoreFile:
    """Return the comparisons of a file, whose form is told by its content.

    Args:
        path: a CSV with a header, four columns, or pyeer's mated scores.
        non_mated: pyeer's second file.

    Raises:
        InputError: no such file, a line that does not fit (named), a score that is no number, one kind absent.
    """
    path = Path(path)
    if non_mated is not None:
        sides = [_last_words(path), _last_words(Path(non_mated))]
        mated = np.repeat([True, False], [len(side) for side in sides])
        return _found(ScoreFile(np.concatenate(sides), mated), path)
    first = next((line for line in _lines(path) if line.strip() and not line.startswith("#")), "")
    if "score" in re.split(r"[,\t]", first.strip().lower()):
        return _found(_from_csv(path), path)
    if len(first.split()) == 4:
        return _found(_from_four_columns(path), path)
    raise InputError(
        f"{path}: these scores are of no known form: give a table with the columns left,right,score,mated, four "
        "columns `claimed real probe score`, or pyeer's two files."
    )


def write_scores(path: str | Path, scores: ScoreFile, *, form: ScoreFormat = "csv") -> tuple[Path, ...]:
    """Write comparisons and return the files made: one, or for pyeer `<stem>_mated.txt` and `<stem>_non_mated.txt`.

    Scores are written with all their digits, so that they come back as they were.

    Raises:
        InputError: four columns are wanted of comparisons without people.
    """
    path = Path(path)
    if form == "pyeer":
        files = tuple(path.with_name(f"{path.stem}_{kind}.txt") for kind in ("mated", "non_mated"))
        for file, kind in zip(files, (True, False), strict=True):
            _write(file, (f"{score!r}" for score in scores.score[scores.mated == kind].tolist()))
        return files
    if form == "four-column":
        if scores.identity_left is None or scores.identity_right is None:
            raise InputError(f"{path}: four columns name the people of each comparison, and these scores have none.")
        probes = scores.right or tuple(map(str, range(len(scores.score))))
        sides = zip(scores.identity_left, scores.identity_right, probes, scores.score.tolist(), strict=True)
        _write(path, (" ".join((*map(_one_word, words), f"{score!r}")) for *words, score in sides))
        return (path,)
    columns: dict[str, Sequence[str]] = {}
    for name in ("left", "right", "identity_left", "identity_right"):
        if getattr(scores, name) is not None:
            columns[name] = getattr(scores, name)
    columns["score"] = [f"{score!r}" for score in scores.score.tolist()]
    columns["mated"] = [str(int(one)) for one in scores.mated]
    if scores.fold is not None:
        columns["fold"] = [str(one) for one in scores.fold.tolist()]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    _write(path, text.getvalue().splitlines())
    return (path,)


def read_ofiq(path: str | Path) -> tuple[tuple[str, ...], dict[str, npt.NDArray[np.float64]]]:
    """Return (N,) file names and (N,) measures of OFIQ's CSV; a name's dots and dashes become underscores.

    A measure that could not be assessed (empty, or no number) is NaN.

    Raises:
        InputError: no such file, or no column `Filename` separated by semicolons.
    """
    rows = csv.reader(_lines(Path(path)), delimiter=";")
    header = [name.strip() for name in next(rows, [])]
    if "Filename" not in header:
        raise InputError(f"{path}: OFIQ's table begins with the header `Filename;UnifiedQualityScore;...`.")
    names, values = [], []
    place = header.index("Filename")
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue
        if len(row) < len(header):
            raise InputError(f"{path}: line {number}: expected {len(header)} values, got {len(row)}.")
        names.append(row[place].strip())
        values.append([_number(word) for i, word in enumerate(row[: len(header)]) if i != place])
    measures = [re.sub(r"\W", "_", name) for name in header if name != "Filename"]
    array = np.array(values, np.float64).reshape(len(names), len(measures))
    kept = {name: array[:, i] for i, name in enumerate(measures) if name}
    return tuple(names), kept


def with_ofiq(table: EmbeddingTable, path: str | Path) -> EmbeddingTable:
    """Return the table with OFIQ's measures as columns; images are matched by key or file name.

    Raises:
        InputError: an image of the table that OFIQ's file lacks.
    """
    names, measures = read_ofiq(path)
    place = ImageNames(names).positions(table.keys, str(path))
    return table.with_columns({name: values[place].astype(np.float32) for name, values in measures.items()})


def write_ofiq(path: str | Path, names: Sequence[str], measures: Mapping[str, npt.ArrayLike]) -> Path:
    """Write (N,) measures beside (N,) file names as OFIQ lays them out, and return the path."""
    columns = [np.asarray(values, np.float64).tolist() for values in measures.values()]
    lines = [";".join(("Filename", *measures))]
    lines += [";".join((name, *(f"{v!r}" for v in row))) for name, *row in zip(names, *columns, strict=True)]
    _write(Path(path), lines)
    return Path(path)


def _from_csv(path: Path) -> ScoreFile:
    rows = read_table(path)
    number, header = next(rows)
    header = [name.lower() for name in header]
    missing = [column for column in ("score", "mated") if column not in header]
    unknown = [column for column in header if column not in _CSV_COLUMNS]
    if missing or unknown:
        what = f"the column {missing[0]!r} is missing" if missing else f"there is no column {unknown[0]!r}"
        raise InputError(f"{path}: line {number}: {what}; columns are {', '.join(_CSV_COLUMNS)}.")
    columns: dict[str, list[str]] = {column: [] for column in header}
    score, mated = [], []
    for number, values in rows:
        if len(values) != len(header):
            raise InputError(f"{path}: line {number}: expected {len(header)} values, got {len(values)}.")
        for column, value in zip(header, values, strict=True):
            columns[column].append(value)
        truth = TRUTH.get(columns["mated"][-1].lower())
        if truth is None:
            raise InputError(f"{path}: line {number}: mated must be 1 or 0, got {columns['mated'][-1]!r}.")
        mated.append(truth)
        score.append(_score(columns["score"][-1], path, number))
    named = {name: tuple(columns[name]) for name in _CSV_COLUMNS if name in columns}
    fold = np.unique(named["fold"], return_inverse=True)[1].astype(np.int64) if "fold" in named else None
    return ScoreFile(
        np.array(score),
        np.array(mated, np.bool_),
        named.get("left"),
        named.get("right"),
        named.get("identity_left"),
        named.get("identity_right"),
        fold,
    )


def _from_four_columns(path: Path) -> ScoreFile:
    rows = []
    for number, line in enumerate(_lines(path), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 4:
            raise InputError(f"{path}: line {number}: expected `claimed real probe score`, got {line.strip()!r}.")
        rows.append((*words[:3], _score(words[3], path, number)))
    claimed, real, probe, score = zip(*rows, strict=True)
    return ScoreFile(
        np.array(score),
        np.array([one == other for one, other in zip(claimed, real, strict=True)]),
        right=probe,
        identity_left=claimed,
        identity_right=real,
    )


def _last_words(path: Path) -> npt.NDArray[np.float64]:
    lines = enumerate(_lines(path), 1)
    return np.array([_score(line.split()[-1], path, n) for n, line in lines if line.strip()], np.float64)


def _score(word: str, path: Path, number: int) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError(f"{path}: line {number}: {word!r} is no score.") from None


def _found(scores: ScoreFile, path: Path) -> ScoreFile:
    try:
        checked(scores.score, scores.mated)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return scores


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _one_word(text: str) -> str:
    return text.replace(" ", "_") or "-"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this file of scores cannot be read ({error}).") from error


def _write(path: Path, lines: Iterable[str]) -> None:
    aside = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        os.replace(aside, path)
    except OSError as error:
        raise WorkError(f"{path}: the scores cannot be written ({error.strerror}).") from error
