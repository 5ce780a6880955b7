"""The settings that all heads share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from marginface.config import by_kind
from marginface.errors import InputError
from marginface.margins import MARGINS, ArcFaceConfig, MarginConfig

Memory = Literal["store", "recompute"]


@dataclass(frozen=True, kw_only=True)
class SpheresConfig:
    """MultiFace (Xu et al., arXiv:2101.09899): the embedding is cut into slices, each with class centres of its own."""

    count: int = 2
    """N: how many slices of D / N dimensions; it has to divide D."""
    slice_norm: Literal["global", "per_slice"] = "global"
    """Either "global": the embedding is normalised as a whole and a slice keeps its length, about 1 / sqrt(N), so its
    cosines are that much smaller (as the authors' code does); or "per_slice": each slice is normalised."""
    reduction: Literal["sum", "mean"] = "sum"
    """Of the spheres' losses; the authors' code takes the sum, so the gradient grows with N."""

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError(f"count is {self.count}; give 2 spheres or more, or leave spheres out.")


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """What every head can be told. A kind adds its own settings and `build`."""

    kind: str
    scale: float | Literal["auto"] = 64.0
    """Multiplies the cosines before the softmax; 64 for large sets, 30 is common for small ones. "auto" is
    sqrt(2) ln(C - 1), the fixed scale of AdaCos (Zhang et al., CVPR 2019, arXiv:1905.00292)."""
    margin: Annotated[MarginConfig, by_kind("margin", MARGINS)] = field(default_factory=ArcFaceConfig)
    """What is done to the cosine of the true class."""
    memory: Memory = "store"
    """Either "store": one (C, B) float32 buffer is kept from forward to backward, 3 matrix products are done; or
    "recompute": nothing of that size is kept, 4 products are done."""
    sub_centres: int = 1
    """K: centres a class, of which the nearest counts (Deng et al., "Sub-center ArcFace", ECCV 2020)."""
    spheres: SpheresConfig | None = None
    """Cut the embedding into slices with centres of their own; null does not."""
    filter_above: float | None = None
    """Inter-class filtering: a cosine to another class above this counts as 0, since such a pair is more likely one
    person under two names; insightface uses 0.4. null does not filter."""

    def __post_init__(self) -> None:
        if isinstance(self.scale, str):
            if self.scale != "auto":
                raise ValueError(f"scale {self.scale!r} must be a positive number or auto; 64 is usual.")
        elif not (math.isfinite(self.scale) and self.scale > 0.0):
            raise ValueError(f"scale {self.scale} must be a positive number; 64 is usual.")
        else:
            check_scale(self.margin, self.scale)
        if self.sub_centres < 1:
            raise ValueError(f"sub_centres is {self.sub_centres}; give 1 or more (3 is usual for noisy labels).")
        if self.filter_above is not None and not -1.0 < self.filter_above < 1.0:
            raise ValueError(f"filter_above is {self.filter_above}; it is a cosine between -1 and 1, 0.4 is usual.")

    @property
    def wants_fused_update(self) -> bool:
        """Whether the head is to move its centres itself, in backward."""
        return False

    def scale_for(self, num_classes: int) -> float:
        """Return the scale for C classes, "auto" resolved.

        Raises:
            InputError: the margin refuses the resolved scale.
        """
        if self.scale != "auto":
            return self.scale
        if num_classes < 3:
            raise InputError(f"scale auto is 0 for {num_classes} classes; give a number.")
        scale = math.sqrt(2.0) * math.log(num_classes - 1)
        try:
            check_scale(self.margin, scale)
        except ValueError as error:
            raise InputError(f"scale auto for {num_classes} classes: {error}") from error
        return scale


def check_scale(margin: MarginConfig, scale: float) -> None:
    """Let a margin refuse a scale: MagFace's penalty has a least weight which depends on it, plain softmax has none."""
    check = getattr(margin, "check", None)
    if check is not None:
        check(scale=scale)
