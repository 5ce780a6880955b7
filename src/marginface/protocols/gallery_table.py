"""Gallery and probe sets of one's own, and IJB-S: a table says who is searched where.

    image,role,person[,template][,media][,gallery]
    a/1.jpg,gallery,ada,A,1,booking
    v/7.jpg,probe,ada,p3,v3,

`role` is gallery, probe or distractor. Images with one `template` are pooled, over `media` first; without the column
each is a template. `gallery` names the gallery that an entry belongs to, where there are several; a probe is searched
in all of them. IJB-S's surveillance-to-single, -booking and -surveillance are three such tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, one_of
from marginface.protocols.gallery_probe import NOBODY
from marginface.protocols.names_of_images import ImageNames
from marginface.protocols.pairs import read_table
from marginface.protocols.plans import Search, SearchPlan
from marginface.protocols.settings import ProtocolSettings
from marginface.protocols.templates import PoolingConfig, Templates
from marginface.records.record import RecordSource

_COLUMNS = ("image", "role", "person", "template", "media", "gallery")
_ROLES = ("gallery", "probe", "distractor")


@dataclass(frozen=True, kw_only=True)
class GalleryConfig(ProtocolSettings):
    """Searches that a table describes."""

    table: Path
    """Columns image,role,person and, if wanted, template, media, gallery."""
    pooling: PoolingConfig = field(default_factory=PoolingConfig)
    """How images become templates."""
    ranks: tuple[int, ...] = (1, 5, 10)
    """k of rank-k."""
    kind: Literal["gallery"] = "gallery"

    def plan(self, source: RecordSource) -> SearchPlan:
        """Return the searches of the table's probes in its galleries."""
        columns = _read(self.table)
        distractor = np.array([role == "distractor" for role in columns["role"]])
        people = np.unique(columns["person"], return_inverse=True)[1]
        # a template is told by its role too: a person's own number may serve as both gallery and probe template
        named = [f"{r}:{t}" for r, t in zip(columns["role"], columns["template"], strict=True)]
        names, first, template = np.unique(np.array(named), return_index=True, return_inverse=True)
        person = np.where(distractor, NOBODY, people)
        if (person[first][template] != person).any():
            wrong = int(np.flatnonzero(person[first][template] != person)[0])
            raise InputError(f"{self.table}: template {columns['template'][wrong]!r} holds images of two people.")
        templates = Templates(
            image=ImageNames(source.keys).positions(columns["image"], str(self.table)),
            template=template.astype(np.int64),
            media=np.unique(columns["media"], return_inverse=True)[1].astype(np.int64),
            names=tuple(names.tolist()),
            person=person[first].astype(np.int64),
        )
        role = np.array(columns["role"])[first]
        gallery_name = np.array(columns["gallery"])[first]
        probe = np.flatnonzero(role == "probe")
        searches = tuple(
            Search(
                name or "gallery", probe, np.flatnonzero((role != "probe") & np.isin(gallery_name, sorted({name, ""})))
            )
            for name in _galleries(role, gallery_name)
        )
        if not len(probe) or not searches:
            raise InputError(f"{self.table}: both probes and gallery entries are needed.")
        mates = np.unique(templates.person[role == "gallery"], return_counts=True)[1]
        return SearchPlan(
            self.kind, templates, self.pooling, searches, ranks=self.ranks, all_mates=bool((mates > 1).any())
        )


def _galleries(role: npt.NDArray, name: npt.NDArray) -> list[str]:
    """Return the galleries' names; the entries of no named one belong to all, or are the only one."""
    names = sorted(set(name[role == "gallery"].tolist()))
    return [one for one in names if one] or names


def _read(path: Path) -> dict[str, list[str]]:
    rows = read_table(path)
    number, header = next(rows, (1, []))
    for column in ("image", "role", "person"):
        if column not in header:
            raise InputError(f"{path}: line {number}: the column {column!r} is missing; it holds {', '.join(header)}.")
    for column in header:
        if column not in _COLUMNS:
            raise InputError(f"{path}: line {number}: there is no column {column!r}{one_of(column, _COLUMNS)}.")
    columns: dict[str, list[str]] = {column: [] for column in _COLUMNS}
    for number, values in rows:
        if len(values) != len(header):
            raise InputError(f"{path}: line {number}: expected {len(header)} values, got {len(values)}.")
        row = dict(zip(header, values, strict=True))
        if row["role"] not in _ROLES:
            raise InputError(f"{path}: line {number}: there is no role {row['role']!r}{one_of(row['role'], _ROLES)}.")
        row.setdefault("template", row["image"])
        row.setdefault("media", row["image"])
        for column in _COLUMNS:
            columns[column].append(row.get(column, ""))
    return columns
