"""What a recipe or the command line says about pairs; each config makes them from a source's keys and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.protocols.generated import generated_pairs
from marginface.protocols.pairs import Pairs, csv_pairs, lfw_pairs
from marginface.protocols.settings import ProtocolSettings
from marginface.records.record import RecordSource


@dataclass(frozen=True, kw_only=True)
class _PairSettings(ProtocolSettings, ABC):
    """A protocol whose pairs need keys and labels only."""

    @abstractmethod
    def pairs(self, keys: Sequence[str], labels: npt.NDArray[np.int64]) -> Pairs:
        """Return pairs as positions in `keys`."""

    def plan(self, source: RecordSource) -> Pairs:
        """Return the pairs of a source."""
        return self.pairs(source.keys, source.labels)


@dataclass(frozen=True, kw_only=True)
class LfwConfig(_PairSettings):
    """LFW's View 2, or another set in its format."""

    pairs_file: Path
    """`pairs.txt` as LFW publishes it."""
    kind: Literal["lfw"] = "lfw"

    def pairs(self, keys: Sequence[str], labels: npt.NDArray[np.int64]) -> Pairs:
        """Return the file's pairs as positions in `keys`; the file says who is who, labels are not asked."""
        return lfw_pairs(self.pairs_file, keys, name=self.kind)


@dataclass(frozen=True, kw_only=True)
class CsvConfig(_PairSettings):
    """Pairs from a table of one's own."""

    pairs_file: Path
    """Columns `left,right,mated` and, if wanted, `fold`."""
    kind: Literal["csv"] = "csv"

    def pairs(self, keys: Sequence[str], labels: npt.NDArray[np.int64]) -> Pairs:
        """Return the file's pairs as positions in `keys`; the file says who is who, labels are not asked."""
        return csv_pairs(self.pairs_file, keys, name=self.pairs_file.stem)


@dataclass(frozen=True, kw_only=True)
class GeneratedConfig(_PairSettings):
    """All mated pairs of the source and a sample of its non-mated ones."""

    kind: Literal["generated"] = "generated"
    num_non_mated: int | Literal["all"] = 100_000
    """At most this many, or "all". 30 / FMR are needed to measure an FMR: 30,000 for 1e-3."""
    max_mated_per_identity: int | None = None
    """At most this many mated pairs of one person; null takes all."""
    seed: int = 0
    """Of the sample."""

    def __post_init__(self) -> None:
        if self.num_non_mated != "all" and self.num_non_mated < 1:
            raise ValueError(f"num_non_mated must be at least 1 or 'all', got {self.num_non_mated}.")
        if self.max_mated_per_identity is not None and self.max_mated_per_identity < 1:
            raise ValueError(f"max_mated_per_identity must be at least 1, got {self.max_mated_per_identity}.")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}.")

    def pairs(self, keys: Sequence[str], labels: npt.NDArray[np.int64]) -> Pairs:
        """Return pairs as positions in `labels`."""
        return generated_pairs(
            labels,
            num_non_mated=self.num_non_mated,
            max_mated_per_identity=self.max_mated_per_identity,
            seed=self.seed,
            name=self.kind,
        )
