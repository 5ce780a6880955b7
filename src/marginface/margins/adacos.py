"""AdaCos: no margin, and a scale that follows the training (Zhang et al., CVPR 2019, arXiv:1905.00292).

Letters: B batch of this rank, G global batch, c_ij cosine of row i to another class j, theta_i angle to its own centre.

    s_0 = the head's scale; the paper's is sqrt(2) ln(C - 1), which is `scale: auto` of a head
    s_t = ln B / cos(min(pi / 4, median of theta_i)),   B = mean over i of the sum over j of exp(s_(t-1) c_ij)

s_t is about the scale at which the probability of the true class is steepest at the median angle. The logit of every
class is s_t c; s_t gets no gradient. Each batch of training first moves the scale, then uses it, the first one too, as
in the public codes; in eval mode the scale of the last batch stays. The paper's fixed form, s_0 for ever, is NormFace
with
`scale: auto`.

All in float64 and in logarithms: exp(s c) summed in float32 overflows from s = 88 on. The median is over the global
batch, of an even number the lower of the two in the middle, as torch's is in those codes.

Differs from the paper: the scale is held within [1, `largest_scale`]. B is a mean of exponentials, so one row that is
near to a wrong class (a wrong label) can rule it; as soon as that row's cosine exceeds cos(pi / 4) the formula feeds on
itself and the scale grows without end. With few classes, on the other hand, B may fall below 1 and the scale below 0.
A head that looks at a share of the classes has a B of those alone, so its scale is lower, by about ln(1 / share).

Differs from the public codes (4uiiurz1's, FaceX-Zoo's; the authors published none): they keep the scale in a plain
attribute, so that it is lost in a checkpoint and differs between ranks. Each part of an accumulated batch counts as a
batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marginface.distributed import gather_rows
from marginface.margins.margin import Margin

SMALLEST_SCALE = 1.0
"""Where the formula gives less, or nothing that is a number, this is the scale."""


@dataclass(frozen=True, kw_only=True)
class AdaCosConfig:
    """Settings of AdaCos with its dynamic scale; the head's scale is where it starts."""

    kind: Literal["adacos"] = "adacos"
    largest_scale: float = 80.0
    """Where the scale stops growing; at least 1. The paper starts from 19.5 for a million classes."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.largest_scale) and self.largest_scale >= SMALLEST_SCALE):
            raise ValueError(f"largest_scale {self.largest_scale} must be a number of at least 1; 80 is the default.")

    def check(self, *, scale: float) -> None:
        """Refuse to start above the largest scale.

        Raises:
            ValueError: the head's scale is above `largest_scale`.
        """
        if scale > self.largest_scale:
            raise ValueError(
                f"scale {scale}, where AdaCos starts, is above its largest_scale {self.largest_scale}; set scale: auto "
                "for the paper's start."
            )

    def build(self) -> AdaCos:
        """Return the margin, which takes the head's scale as its first."""
        return AdaCos(largest_scale=self.largest_scale)


def adacos(rest_G: Tensor, target_cos_G: Tensor) -> Tensor:
    """Return the next scale, (), as the formula gives it.

    Args:
        rest_G: log-sum-exp over the other classes of the last scale times their cosines, of all rows of all ranks.
        target_cos_G: cosine to the true class of the same rows.
    """
    log_mean = rest_G.logsumexp(dim=0) - math.log(rest_G.shape[0])
    median_cos = -(-target_cos_G).median()  # the median angle; arccos turns the order round
    return log_mean / median_cos.clamp_min(math.cos(math.pi / 4))


class AdaCos(Margin):
    """The cosine of the true class as it is, and a scale that is worked out for each batch.

    Attributes:
        batch_scale: (), the scale of the last batch in training; 0 before the first.
    """

    batch_scale: Tensor

    def __init__(self, *, largest_scale: float = 80.0) -> None:
        super().__init__()
        self.largest_scale = largest_scale
        self.register_buffer("batch_scale", torch.tensor(0.0))

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return `target_cos_B`; all of AdaCos is in the scale."""
        return target_cos_B

    @torch.no_grad()
    def adapt_scale(self, scale: float, target_cos_B: Tensor, rest_of_scale: Callable[[float], Tensor]) -> float:
        """Return the scale for this batch; in training all ranks must call it together, as they do a head."""
        last = float(self.batch_scale) or scale
        if not self.training:
            return last
        wide = target_cos_B.double() if target_cos_B.device.type != "mps" else target_cos_B
        rows_G = gather_rows(torch.stack([rest_of_scale(last).to(wide), wide], dim=1))
        following = adacos(rows_G[:, 0], rows_G[:, 1]).nan_to_num(nan=SMALLEST_SCALE)
        self.batch_scale.copy_(following.clamp(SMALLEST_SCALE, self.largest_scale))
        return float(self.batch_scale)  # what was stored, so that a resumed run goes on from the same bits

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"largest_scale={self.largest_scale}"
