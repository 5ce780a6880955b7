"""IJB-B and IJB-C as their files lie in the copies that the field passes round: 1:1 and 1:N over templates.

    META/ijbc_face_tid_mid.txt          image template media
    META/ijbc_template_pair_label.txt   template template label(0/1)
    META/ijbc_name_5pts_score.txt       image x1 y1 .. x5 y5 detection-score
    META/ijbc_1N_gallery_G1.csv, ijbc_1N_gallery_G2.csv, ijbc_1N_probe_mixed.csv     header; template,subject,...

IJB-B has `ijbb_` and S1, S2. The 1:N protocol (IARPA, NIST) searches every probe in each of the two galleries, which
share nobody: a probe is mated in one and a stranger to the other.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.protocols.aligned import AlignedRecords
from marginface.protocols.names_of_images import ImageNames
from marginface.protocols.people import people_of_pairs
from marginface.protocols.plans import Search, SearchPlan, TemplatePairs
from marginface.protocols.settings import ProtocolSettings
from marginface.protocols.templates import PoolingConfig, Templates
from marginface.records.open import open_records
from marginface.records.record import RecordSource

GALLERIES = {"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")}


@dataclass(frozen=True, kw_only=True)
class _IjbConfig(ProtocolSettings):
    """What all four share."""

    meta: Path
    """The folder of the text files."""
    pooling: PoolingConfig = field(default_factory=PoolingConfig)
    """How images become templates."""
    align: bool = True
    """Align the images by the landmarks of `*_name_5pts_score.txt`; false where they are aligned crops already."""

    def open(self, data: str) -> RecordSource:
        """Return the images, aligned as they are read unless they are aligned crops."""
        source = open_records(data)
        if not self.align:
            return source
        path = self.meta / f"{self.set_name}_name_5pts_score.txt"
        names, numbers = read_points(path)
        place, points = ImageNames(source.keys), np.full((len(source), 5, 2), np.nan, np.float32)
        for name, row in zip(names, numbers, strict=True):
            position = place.find(name)
            if position is not None:
                points[position] = row[:10].reshape(5, 2)
        return AlignedRecords(source, points, where=str(path))

    @property
    def set_name(self) -> str:
        """`ijbb` or `ijbc`: the prefix of the files."""
        return self.kind_name[:4]

    def _templates(self, keys: Sequence[str]) -> Templates:
        """Return the templates of `face_tid_mid`; who they are comes from the caller."""
        path = self.meta / f"{self.set_name}_face_tid_mid.txt"
        names, template, media = read_templates(path)
        ids, number = np.unique(template, return_inverse=True)
        score = None
        if self.pooling.detector_score:
            points = self.meta / f"{self.set_name}_name_5pts_score.txt"
            score = scores_of(names, points)
        return Templates(
            image=ImageNames(keys).positions(names, str(path)),
            template=number.astype(np.int64),
            media=media,
            names=tuple(map(str, ids.tolist())),
            person=np.full(len(ids), -1, np.int64),
            detector_score=score,
        )


@dataclass(frozen=True, kw_only=True)
class IjbbConfig(_IjbConfig):
    """IJB-B, 1:1."""

    kind: Literal["ijbb"] = "ijbb"

    def plan(self, source: RecordSource) -> TemplatePairs:
        """Return the comparisons of the pair list; people are those of the 1:N files, or what mated pairs tie."""
        return _verification(self, source.keys)


@dataclass(frozen=True, kw_only=True)
class IjbcConfig(_IjbConfig):
    """IJB-C, 1:1."""

    kind: Literal["ijbc"] = "ijbc"

    def plan(self, source: RecordSource) -> TemplatePairs:
        """Return the comparisons of the pair list; people are those of the 1:N files, or what mated pairs tie."""
        return _verification(self, source.keys)


@dataclass(frozen=True, kw_only=True)
class IjbbSearchConfig(_IjbConfig):
    """IJB-B, 1:N: galleries S1 and S2."""

    kind: Literal["ijbb-1n"] = "ijbb-1n"

    def plan(self, source: RecordSource) -> SearchPlan:
        """Return the searches of all probes in either gallery."""
        return _identification(self, source.keys)


@dataclass(frozen=True, kw_only=True)
class IjbcSearchConfig(_IjbConfig):
    """IJB-C, 1:N: galleries G1 and G2."""

    kind: Literal["ijbc-1n"] = "ijbc-1n"

    def plan(self, source: RecordSource) -> SearchPlan:
        """Return the searches of all probes in either gallery."""
        return _identification(self, source.keys)


def read_templates(path: Path) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return image names, template ids and media ids of a `face_tid_mid` file, (R,) each."""
    names, template, media = [], [], []
    for number, line in enumerate(_lines(path), 1):
        words = line.split()
        if len(words) != 3 or not (words[1].lstrip("-").isdigit() and words[2].lstrip("-").isdigit()):
            raise InputError(f"{path}: line {number}: expected `image template media`, got {line.strip()!r}.")
        names.append(words[0])
        template.append(int(words[1]))
        media.append(int(words[2]))
    if not names:
        raise InputError(f"{path}: there are no templates in it.")
    return names, np.array(template, np.int64), np.array(media, np.int64)


def read_points(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return image names and (R, 11) numbers of a `name_5pts_score` file: five points, then the detection score."""
    names, rows = [], []
    for number, line in enumerate(_lines(path), 1):
        words = line.split()
        try:
            rows.append([float(word) for word in words[1:]])
        except ValueError:
            rows.append([])
        if len(rows[-1]) != 11:
            raise InputError(f"{path}: line {number}: expected a name, ten coordinates and a score, got {line[:80]!r}.")
        names.append(words[0])
    return names, np.array(rows, np.float32).reshape(-1, 11)


def scores_of(names: Sequence[str], path: Path) -> npt.NDArray[np.float32]:
    """Return the detection score of each name.

    Raises:
        InputError: a name without one.
    """
    listed, numbers = read_points(path)
    score = dict(zip(listed, numbers[:, 10].tolist(), strict=True))
    missing = [name for name in names if name not in score]
    if missing:
        raise InputError(f"{path}: {len(missing):,} images, first {missing[0]}, have no detection score.")
    return np.array([score[name] for name in names], np.float32)


def read_pair_list(path: Path) -> npt.NDArray[np.int32]:
    """Return (P, 3) template, template, label of a `template_pair_label` file."""
    try:
        rows = np.loadtxt(path, dtype=np.int32, ndmin=2)
    except OSError as error:
        raise InputError(f"{path}: this list of pairs cannot be read ({error}).") from error
    except ValueError as error:
        raise InputError(f"{path}: expected lines `template template label` of whole numbers ({error}).") from error
    if rows.shape[1] != 3 or not len(rows) or not np.isin(rows[:, 2], (0, 1)).all():
        raise InputError(f"{path}: expected lines `template template label` with labels 0 and 1.")
    return rows


def read_subjects(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (T,) template ids and (T,) subject ids of a 1:N table, each template once, ascending.

    The first two columns are taken, whatever the header calls them; a row an image, so templates recur.
    """
    subject_of: dict[int, int] = {}
    rows = csv.reader(_lines(path))
    next(rows, None)
    for number, row in enumerate(rows, 2):
        if len(row) < 2 or not (row[0].strip().isdigit() and row[1].strip().isdigit()):
            raise InputError(f"{path}: line {number}: the first two columns must be template and subject numbers.")
        template, subject = int(row[0]), int(row[1])
        if subject_of.setdefault(template, subject) != subject:
            raise InputError(f"{path}: line {number}: template {template} is of two subjects.")
    if not subject_of:
        raise InputError(f"{path}: there are no templates below the header.")
    pairs = np.array(sorted(subject_of.items()), np.int64)
    return pairs[:, 0], pairs[:, 1]


def _verification(config: _IjbConfig, keys: Sequence[str]) -> TemplatePairs:
    templates = config._templates(keys)
    path = config.meta / f"{config.set_name}_template_pair_label.txt"
    rows = read_pair_list(path)
    left, right = (_numbers_of(rows[:, side], templates, path) for side in (0, 1))
    mated = rows[:, 2] == 1
    subjects = _known_subjects(config, templates)
    notes: tuple[str, ...] = ()
    if subjects is None:
        subjects = people_of_pairs(len(templates), left, right, mated)
        notes = ("People are told by mated pairs: templates that no mated pair ties count as different people.",)
    return TemplatePairs(config.kind_name, _named(templates, subjects), config.pooling, left, right, mated, notes)


def _identification(config: _IjbConfig, keys: Sequence[str]) -> SearchPlan:
    templates = config._templates(keys)
    prefix, galleries = config.set_name, GALLERIES[config.set_name]
    files = [config.meta / f"{prefix}_1N_gallery_{name}.csv" for name in galleries]
    probe_file = config.meta / f"{prefix}_1N_probe_mixed.csv"
    person = np.full(len(templates), -1, np.int64)
    members = []
    for path in (*files, probe_file):
        ids, subjects = read_subjects(path)
        numbers = _numbers_of(ids, templates, path).astype(np.int64)
        person[numbers] = subjects
        members.append(numbers)
    searches = tuple(Search(name, members[-1], one) for name, one in zip(galleries, members[:-1], strict=True))
    return SearchPlan(config.kind_name, _named(templates, person), config.pooling, searches)


def _known_subjects(config: _IjbConfig, templates: Templates) -> npt.NDArray[np.int64] | None:
    """Return (T,) subjects from the 1:N tables, or None where they do not lie there or leave a template out."""
    tables = [
        *(config.meta / f"{config.set_name}_1N_gallery_{name}.csv" for name in GALLERIES[config.set_name]),
        config.meta / f"{config.set_name}_1N_probe_mixed.csv",
    ]
    if not all(path.is_file() for path in tables):
        return None
    person = np.full(len(templates), -1, np.int64)
    for path in tables:
        ids, subjects = read_subjects(path)
        person[_numbers_of(ids, templates, path)] = subjects
    return None if (person < 0).any() else person


def _named(templates: Templates, person: npt.NDArray[np.int64]) -> Templates:
    return Templates(
        templates.image, templates.template, templates.media, templates.names, person, templates.detector_score
    )


def _numbers_of(ids: npt.NDArray[np.integer], templates: Templates, path: Path) -> npt.NDArray[np.int32]:
    """Return the number of each template id."""
    known = np.array([int(name) for name in templates.names], np.int64)  # ascending
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    missing = np.flatnonzero(known[place] != ids)
    if missing.size:
        raise InputError(
            f"{path}: template {ids[missing[0]]} is not in face_tid_mid, nor are {missing.size - 1:,} other entries."
        )
    return place.astype(np.int32)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from file
    except OSError as error:
        raise InputError(f"{path}: this file of the protocol cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not a text file.") from error
