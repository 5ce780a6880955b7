"""Which group each image belongs to: from a table of one's own, or from RFW's folders.

identity,group        or        image,group
ada,female                      ada/1.jpg,female
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.protocols.names_of_images import ImageNames
from marginface.protocols.pairs import Groups, Pairs, lfw_pairs, read_table
from marginface.protocols.settings import ProtocolSettings
from marginface.records.record import RecordSource


@dataclass(frozen=True, kw_only=True)
class RfwConfig(ProtocolSettings):
    """RFW: LFW's protocol once for each of four groups, 6,000 pairs each.

    The data are `<group>/<person>/<person>_0001.jpg`; the pairs `<group>/<group>_pairs.txt`, as published.
    """

    pairs_folder: Path
    """The folder `txts` with a folder for each group."""
    kind: Literal["rfw"] = "rfw"

    def plan(self, source: RecordSource) -> Pairs:
        """Return the pairs of all groups, with the group of each image."""
        files = sorted(self.pairs_folder.glob("*/*_pairs.txt"))
        if not files:
            raise InputError(f"{self.pairs_folder}: there is no <group>/<group>_pairs.txt below it.")
        groups = [file.parent.name for file in files]
        of_image = np.full(len(source.keys), -1, np.int64)
        parts = []
        for number, (group, file) in enumerate(zip(groups, files, strict=True)):
            inside = np.array([i for i, key in enumerate(source.keys) if group in PurePosixPath(key).parts], np.int64)
            if not len(inside):
                raise InputError(f"{file}: the source has no folder {group!r}.")
            of_image[inside] = number
            found = lfw_pairs(file, [source.keys[i] for i in inside], name=group)
            parts.append((inside[found.left], inside[found.right], found.mated, found.fold))
        left, right, mated = (np.concatenate([part[k] for part in parts]) for k in range(3))
        folds = [part[3] for part in parts if part[3] is not None]
        fold = np.concatenate(folds) if len(folds) == len(parts) else None
        folders = [str(PurePosixPath(key).parent) for key in source.keys]
        person = np.unique(folders, return_inverse=True)[1].astype(np.int64)
        return Pairs(self.kind, left, right, mated, fold, Groups(tuple(groups), of_image), person)


def read_groups(path: Path, keys: Sequence[str], identities: Sequence[str], labels: npt.NDArray[np.int64]) -> Groups:
    """Return the groups of a table with the columns `identity,group` or `image,group`.

    Raises:
        InputError: no such file, other columns, nobody of the source in it, or one group only.
    """
    rows = read_table(path)
    _, header = next(rows, (1, []))
    by = next((column for column in ("identity", "image") if column in header), None)
    if by is None or "group" not in header:
        raise InputError(f"{path}: the columns identity,group or image,group are needed; it holds {', '.join(header)}.")
    named: dict[str, str] = {}
    for number, values in rows:
        if len(values) != len(header):
            raise InputError(f"{path}: line {number}: expected {len(header)} values, got {len(values)}.")
        row = dict(zip(header, values, strict=True))
        named[row[by]] = row["group"]
    if by == "identity":
        of_person = [named.get(name) for name in identities]
        of_key = [of_person[label] for label in labels.tolist()]
    else:
        place, images = ImageNames(keys), [None] * len(keys)
        of_key = list[str | None](images)
        for name, group in named.items():
            position = place.find(name)
            if position is not None:
                of_key[position] = group
    names = sorted({group for group in of_key if group})
    if len(names) < 2:
        raise InputError(f"{path}: {len(names)} of its groups are found in the source; two at least are compared.")
    number_of = {name: i for i, name in enumerate(names)}
    return Groups(tuple(names), np.array([number_of.get(group or "", -1) for group in of_key], np.int64))
