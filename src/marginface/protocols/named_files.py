"""Gallery and probe sets whose files say in their names who is on them: TinyFace, SCface and MegaFace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.protocols.gallery_probe import NOBODY
from marginface.protocols.names_of_images import names_of
from marginface.protocols.plans import DistractorPlan, Search, SearchPlan
from marginface.protocols.settings import ProtocolSettings
from marginface.protocols.templates import PoolingConfig, single_images
from marginface.records.joined import JoinedRecords
from marginface.records.open import open_records
from marginface.records.record import RecordSource

SCFACE_DISTANCES = {"1": "4.2 m", "2": "2.6 m", "3": "1.0 m"}
DISTRACTORS = "distractors"
"""Prefix of the keys of MegaFace's distractors."""


@dataclass(frozen=True, kw_only=True)
class TinyFaceConfig(ProtocolSettings):
    """TinyFace: low-resolution probes against their matches and 153,428 distractors.

    The data are the folders `Probe`, `Gallery_Match` and `Gallery_Distractor`, under whatever folder; the person is the
    number before the first underscore of the file name.
    """

    kind: Literal["tinyface"] = "tinyface"

    def plan(self, source: RecordSource) -> SearchPlan:
        """Return the search of all probes among matches and distractors."""
        keys = source.keys
        role = [_folder_of(key, ("probe", "gallery_match", "gallery_distractor")) for key in keys]
        used = np.array([i for i, one in enumerate(role) if one], np.int64)
        if not {"probe", "gallery_match"} <= set(role):
            raise InputError(
                "tinyface: the source has no folders Probe and Gallery_Match; open the one that holds them."
            )
        person = [_leading_number(keys[i]) if role[i] != "gallery_distractor" else NOBODY for i in used]
        templates = single_images(used, np.array(person), [keys[i] for i in used])
        probe = np.flatnonzero([role[i] == "probe" for i in used])
        gallery = np.flatnonzero([role[i] != "probe" for i in used])
        searches = (Search("matches and distractors", probe, gallery),)
        return SearchPlan(
            self.kind, templates, PoolingConfig(), searches, average=False, all_mates=True, ranks=(1, 5, 10, 20)
        )


@dataclass(frozen=True, kw_only=True)
class ScfaceConfig(ProtocolSettings):
    """SCface: mugshots of 130 people, searched by five surveillance cameras at three distances.

    Files are `001_frontal.jpg` (mugshot) and `001_cam1_1.jpg` (person, camera, distance 1 = 4.2 m, 2 = 2.6 m,
    3 = 1.0 m); others, such as the infrared cameras 6 to 8, are passed over.
    """

    kind: Literal["scface"] = "scface"

    def plan(self, source: RecordSource) -> SearchPlan:
        """Return a search for each distance, all against the mugshots."""
        keys = source.keys
        found = [(i, match) for i, key in enumerate(keys) if (match := _SCFACE.fullmatch(names_of(key)[1]))]
        mugshots = [i for i, match in found if match["frontal"]]
        if not mugshots or len(mugshots) == len(found):
            raise InputError(
                "scface: the source needs mugshots named 001_frontal and photographs named 001_cam1_1; "
                f"{len(mugshots):,} of the one and {len(found) - len(mugshots):,} of the other are there."
            )
        templates = single_images(
            [i for i, _ in found], [int(match["person"]) for _, match in found], [keys[i] for i, _ in found]
        )
        gallery = np.flatnonzero([bool(match["frontal"]) for _, match in found])
        searches = []
        for code, distance in SCFACE_DISTANCES.items():
            probe = np.flatnonzero([match["distance"] == code for _, match in found])
            if len(probe):
                searches.append(Search(distance, probe, gallery))
        return SearchPlan(self.kind, templates, PoolingConfig(), tuple(searches), average=False)


_SCFACE = re.compile(r"(?P<person>\d+)_(?:(?P<frontal>frontal)|cam(?P<camera>[1-5])_(?P<distance>[123]))")


@dataclass(frozen=True, kw_only=True)
class MegaFaceConfig(ProtocolSettings):
    """MegaFace's challenge on any probe set and any distractors.

    Every image of the data is searched for every other image of its person, which stands alone in the gallery among
    the distractors. Rank-1 counts couples, so a person with 50 images has 2,450 of them.
    """

    distractors: str
    """Faces of other people, as `open_records` takes them."""
    sizes: tuple[int, ...] = (10, 100, 1000, 10_000, 100_000, 1_000_000)
    """Numbers of distractors; those above what there is are left out, and all there are come last."""
    noise: Path | None = None
    """List of images of the probe set to leave out, a name a line (`facescrub_noises.txt`)."""
    distractor_noise: Path | None = None
    """List of distractors to leave out (`megaface_noises.txt`)."""
    seed: int = 0
    """Of the order in which distractors are added."""
    kind: Literal["megaface"] = "megaface"

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1 or list(self.sizes) != sorted(set(self.sizes)):
            raise ValueError(f"sizes must ascend from 1 or more, got {list(self.sizes)}.")

    def open(self, data: str) -> RecordSource:
        """Return the probe set followed by the distractors, whose keys begin with `distractors/`."""
        return JoinedRecords({"": open_records(data), DISTRACTORS: open_records(self.distractors)})

    def plan(self, source: RecordSource) -> DistractorPlan:
        """Return which images are searched, and the distractors in their seeded order."""
        keys = source.keys
        is_distractor = np.array([key.startswith(f"{DISTRACTORS}/") for key in keys])
        probe, distractor = np.flatnonzero(~is_distractor), np.flatnonzero(is_distractor)
        clean_probe = _without(probe, keys, self.noise)
        clean = _without(distractor, keys, self.distractor_noise)
        if not len(clean):
            raise InputError("megaface: there are no distractors left.")
        sizes = tuple(size for size in self.sizes if size < len(clean)) + (
            (len(clean),) if len(clean) <= self.sizes[-1] else (self.sizes[-1],)
        )
        return DistractorPlan(
            name=self.kind,
            probe=clean_probe,
            person=np.asarray(source.labels)[clean_probe],
            distractor=np.random.default_rng(self.seed).permutation(clean),
            sizes=sizes,
            counts={
                "noisy_probes_left_out": len(probe) - len(clean_probe),
                "noisy_distractors_left_out": len(distractor) - len(clean),
            },
        )


def _folder_of(key: str, folders: Sequence[str]) -> str | None:
    """Return which of the folders, in any case, a key lies in."""
    parts = {part.lower() for part in key.split("/")[:-1]}
    return next((folder for folder in folders if folder in parts), None)


def _leading_number(key: str) -> int:
    number, underscore, _ = PurePosixPath(key).name.partition("_")
    if not (underscore and number.isdigit()):
        raise InputError(f"tinyface: {key}: the name does not begin with the person's number and an underscore.")
    return int(number)


def _without(positions: npt.NDArray[np.int64], keys: Sequence[str], noise: Path | None) -> npt.NDArray[np.int64]:
    """Return the positions whose images a noise list does not name; # begins a comment, the last tab field counts."""
    if noise is None:
        return positions
    try:
        lines = noise.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{noise}: this noise list cannot be read ({error}).") from error
    names = {line.split("\t")[-1].strip() for line in lines if line.strip() and not line.startswith("#")}
    listed = names | {str(PurePosixPath(name).with_suffix("")) for name in names}
    kept = [i for i in positions if not any(form in listed for form in _forms(keys[i]))]
    if len(kept) == len(positions) and names:
        raise InputError(f"{noise}: none of the {len(names):,} images that it lists is in the source.")
    return np.array(kept, np.int64)


def _forms(key: str) -> list[str]:
    """Return how a noise list may name an image: by key, file name or last two parts, with and without extension."""
    path = key.removeprefix(f"{DISTRACTORS}/")
    file, stem, with_folder = names_of(path)
    ending = file[len(stem) :]
    return [path, file, with_folder + ending, path.removesuffix(ending), stem, with_folder]
