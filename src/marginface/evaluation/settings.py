"""What to judge on, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from marginface.config import by_kind
from marginface.metrics.identification import FPIR_TARGETS
from marginface.protocols import PROTOCOLS, ProtocolConfig
from marginface.protocols.templates import QualityPooling

from .embed import Flip


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What to judge on, and how."""

    name: str
    """What tables, logs and the report call it: `lfw`."""
    data: str
    """Aligned faces of people who were not in training, as `open_records` takes them."""
    protocol: Annotated[ProtocolConfig, by_kind("protocol", PROTOCOLS)]
    flip: Flip = "sum"
    """`sum` adds the mirrored image's embedding, as published tables do; `none` takes half the time."""
    fmr_targets: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    """False match rates, 0..1, at which the FNMR is given where the data supports them."""
    fpir_targets: tuple[float, ...] = FPIR_TARGETS
    """Of searches: false positive identification rates, 0..1, at which the FNIR is given."""
    max_rank: int | None = 1
    """Of searches: a mate beyond this rank is missed whatever its score, as published TPIR has it; null sets none."""
    template_quality: QualityPooling = "mean"
    """Of templates: how their quality, for error versus discard, comes from that of their images."""
    groups: Path | None = None
    """Of pairs: table identity,group or image,group; error rates are given for each group too."""
    group_fmr: float = 1e-2
    """FMR over all comparisons that sets the threshold which groups are judged at."""
    magface_ten_fold: bool = False
    """Of pairs: give the ten-fold accuracy by the convention of MagFace's script too."""
    num_replicates: int = 1000
    """Resamplings of the people for the intervals; 0 leaves Wilson's alone, which take pairs for independent."""
    seed: int = 0
    """Of the resampling."""
    skip_broken: bool = False
    """Leave out images that cannot be decoded, with their pairs, and count both, rather than stop."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name is empty; give the evaluation a short name such as lfw.")
        targets = {"fmr_targets": self.fmr_targets, "fpir_targets": self.fpir_targets, "group_fmr": (self.group_fmr,)}
        for field, rates in targets.items():
            outside = [rate for rate in rates if not 0 < rate < 1]
            if outside:
                raise ValueError(f"{field}: {outside[0]:g} is not a rate; give values between 0 and 1, such as 1e-3.")
            if len(set(rates)) != len(rates):
                raise ValueError(f"{field} {list(rates)} names a rate twice.")
        if self.max_rank is not None and self.max_rank < 1:
            raise ValueError(f"max_rank is {self.max_rank}; ranks start at 1, null sets no limit.")
        if self.num_replicates < 0:
            raise ValueError(f"num_replicates is {self.num_replicates}; give 0 or more.")
