"""IJB-S: faces of surveillance videos searched among enrolled people (Kalka et al., BTAS 2018, CS6).

    META/cs6_metadata.csv                                    header; subject,file,...   a row a face of a file
    META/cs6_surveillance_to_single-booking_probe.csv        header; a video a line, `videos/4012.mp4`
    META/cs6_surveillance_to_surveillance_probe.csv
    META/cs6_uav_to_single-booking_probe.csv                 videos and images
    META/galleries/cs6_surveillance_to_single_g1.csv         header; template,subject,file,...   and _g2;
                                                             the same of booking and of surveillance

These names, and what their first columns hold, are as PFE's `IJBSTest` reads the protocol folder (Shi and Jain, ICCV
2019), whose pickle is what the field passes round; a pickle is not opened here. So are the names of the crops:

    <subject>/videos_4012_<frame>.jpg        a frame of videos/4012.mp4, cut around that subject
    <subject>/img_77.jpg                     img/77.png

A subject in a video is one template, for several people walk through one video. What the detector missed has no crop,
and a template without any stays a template: nobody is like it, so its searches miss, as in published tables.

Rates: FNIR in each of the two galleries, which share nobody, averaged; ranks also in both as one, where every probe is
mated: published rank-1, 5 and 10 are those.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np

from marginface.errors import InputError
from marginface.protocols.plans import Search, SearchPlan
from marginface.protocols.settings import ProtocolSettings
from marginface.protocols.templates import PoolingConfig, Templates
from marginface.records.record import RecordSource

Test = Literal[
    "surveillance-to-single",
    "surveillance-to-booking",
    "surveillance-to-surveillance",
    "multi-view-to-booking",
    "uav-to-booking",
]
PROBES = {
    "surveillance-to-single": "cs6_surveillance_to_single-booking_probe.csv",
    "surveillance-to-booking": "cs6_surveillance_to_single-booking_probe.csv",
    "surveillance-to-surveillance": "cs6_surveillance_to_surveillance_probe.csv",
    "multi-view-to-booking": "cs6_surveillance_to_surveillance_probe.csv",
    "uav-to-booking": "cs6_uav_to_single-booking_probe.csv",
}
METADATA = "cs6_metadata.csv"


class _Template(NamedTuple):
    subject: int
    files: tuple[str, ...]
    """`videos/4012.mp4`, `img/77.png`."""


@dataclass(frozen=True, kw_only=True)
class IjbsConfig(ProtocolSettings):
    """One of IJB-S's tests."""

    meta: Path
    """The folder of the protocol's tables."""
    test: Test = "surveillance-to-single"
    """Which probes are searched in which galleries; `multi-view` pools all videos of a person into one template."""
    pooling: PoolingConfig = field(default_factory=PoolingConfig)
    """How frames become templates; a video is one media."""
    kind: Literal["ijbs"] = "ijbs"

    def plan(self, source: RecordSource) -> SearchPlan:
        """Return the searches of the test's probes in galleries 1 and 2, and in both as one."""
        probes = self._probes()
        gallery_of = {name: self._gallery(name) for name in ("g1", "g2")}
        listed = [*probes, *(one for gallery in gallery_of.values() for one in gallery)]
        crops = _crops(source.keys)
        image, template, media = [], [], []
        for number, one in enumerate(listed):
            for place, file in enumerate(one.files):
                found = crops.get((one.subject, _crop_name(file)), [])
                image += found
                template += [number] * len(found)
                media += [place] * len(found)
        if not image:
            raise InputError(
                f"ijbs: none of the crops of {len(listed):,} templates is in the source; their keys are "
                f"<subject>/videos_4012_<frame>.jpg and <subject>/img_77.jpg, such as {_example(listed[0])}."
            )
        templates = Templates(
            image=np.array(image, np.int64),
            template=np.array(template, np.int64),
            media=np.array(media, np.int64),
            names=tuple(f"{one.subject}:{one.files[0]}" for one in listed),
            person=np.array([one.subject for one in listed], np.int64),
        )
        probe, end = np.arange(len(probes)), len(probes)
        searches = []
        for name, gallery in gallery_of.items():
            searches.append(Search(name.upper(), probe, np.arange(end, end + len(gallery))))
            end += len(gallery)
        return SearchPlan(
            self.kind,
            templates,
            self.pooling,
            tuple(searches),
            joined=Search("G1 and G2", probe, np.arange(len(probes), end)),
            all_mates=False,
            count_absent=True,
            notes=_without_crops(templates, len(probes)),
        )

    def _probes(self) -> list[_Template]:
        metadata = self.meta / METADATA
        pairs = dict.fromkeys((_subject(row, 0, metadata, n), row[1]) for n, row in _rows(metadata, 2))
        path = self.meta / PROBES[self.test]
        wanted = {row[0] for _, row in _rows(path, 1)}
        unknown = sorted(wanted - {file for _, file in pairs})
        if unknown:
            raise InputError(f"{path}: {len(unknown):,} files, first {unknown[0]}, are not in {METADATA}.")
        if self.test != "multi-view-to-booking":
            return [_Template(subject, (file,)) for subject, file in pairs if file in wanted]
        videos: dict[int, list[str]] = {subject: [] for subject, file in pairs if file in wanted}
        for subject, file in pairs:
            if subject in videos and file.startswith("videos"):
                videos[subject].append(file)
        return [_Template(subject, tuple(files)) for subject, files in videos.items()]

    def _gallery(self, number: str) -> list[_Template]:
        kind = self.test.rpartition("-")[2]
        path = self.meta / "galleries" / f"cs6_surveillance_to_{kind}_{number}.csv"
        files: dict[int, list[str]] = {}
        for line, row in _rows(path, 3):
            of_subject = files.setdefault(_subject(row, 1, path, line), [])
            if row[2] not in of_subject:
                of_subject.append(row[2])
        return [_Template(subject, tuple(names)) for subject, names in files.items()]


def _crops(keys: Iterable[str]) -> dict[tuple[int, str], list[int]]:
    """Return the positions of all crops by subject and name without frame and extension: `videos_4012`, `img_77`."""
    found: dict[tuple[int, str], list[int]] = {}
    for i, key in enumerate(keys):
        path = PurePosixPath(key)
        words = path.stem.split("_")
        if path.parent.name.isdigit() and len(words) > 1:
            found.setdefault((int(path.parent.name), "_".join(words[:2])), []).append(i)
    return found


def _crop_name(file: str) -> str:
    """Return `videos_4012` for `videos/4012.mp4`."""
    path = PurePosixPath(file)
    return f"{path.parent.name}_{path.stem}"


def _example(template: _Template) -> str:
    return f"{template.subject}/{_crop_name(template.files[0])}_0.jpg"


def _without_crops(templates: Templates, num_probes: int) -> tuple[str, ...]:
    absent = np.bincount(templates.template, minlength=len(templates)) == 0
    probes, gallery = int(absent[:num_probes].sum()), int(absent[num_probes:].sum())
    if not probes and not gallery:
        return ()
    return (
        f"{probes:,} of {num_probes:,} probe templates and {gallery:,} of {len(templates) - num_probes:,} gallery "
        "templates have no crop, for nobody was detected there; they count as unlike everybody: their searches miss.",
    )


def _subject(row: Sequence[str], column: int, path: Path, line: int) -> int:
    if not row[column].isdigit():
        raise InputError(f"{path}: line {line}: column {column + 1} must be a subject's number, got {row[column]!r}.")
    return int(row[column])


def _rows(path: Path, num_columns: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, stripped values) below the header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            next(rows, None)
            for number, row in enumerate(rows, 2):
                if not row:
                    continue
                if len(row) < num_columns:
                    raise InputError(f"{path}: line {number}: expected {num_columns} columns, got {len(row)}.")
                yield number, [value.strip() for value in row]
    except OSError as error:
        raise InputError(f"{path}: this table of the protocol cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not a text file.") from error
