"""Verification packs: LFW, CFP-FP, CFP-FF, AgeDB-30, CALFW, CPLFW and VGG2-FP as the field passes them round.

The pack is the data: pair i is its images 2i and 2i + 1. Either a `.bin` (insightface) or a folder with `mem_file.dat`
(AdaFace).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from marginface.errors import InputError
from marginface.protocols.pairs import Pairs
from marginface.protocols.settings import ProtocolSettings
from marginface.records.image_pairs import PairedImages
from marginface.records.pairs_bin import PairsBin
from marginface.records.record import RecordSource


@dataclass(frozen=True, kw_only=True)
class PackConfig(ProtocolSettings):
    """All pairs of a pack; the data name the pack."""

    kind: Literal["pack"] = "pack"

    def open(self, data: str) -> RecordSource:
        """Return the images of a pack."""
        path = Path(data.partition(":")[2] if data.startswith(("bin:", "memfile:")) else data)
        if path.is_dir():
            from marginface.records.memfile import MemfilePairs

            return MemfilePairs(path)
        if not path.is_file():
            raise InputError(f"{path} does not exist; a pack is a .bin file or the folder of a memfile.")
        return PairsBin(path)

    def plan(self, source: RecordSource) -> Pairs:
        """Return the pack's pairs in ten consecutive folds."""
        if not isinstance(source, PairedImages):
            raise InputError(f"{source.location} is no pack of pairs; give a .bin file or the folder of a memfile.")
        found = source.pairs
        return Pairs(Path(source.location.partition(":")[2]).stem, found.left, found.right, found.mated, found.fold)
