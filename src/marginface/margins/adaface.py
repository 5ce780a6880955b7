"""AdaFace: a margin that follows the image's quality, read off the norm (Kim et al., CVPR 2022, arXiv:2204.00964).

Letters: B batch, n norm clipped to [1e-3, 100] and detached, mu and sigma running mean and deviation of n.

    z = clip(h (n - mu) / (sigma + 1e-3), -1, 1)                    low: a poor image, for this training
    f(theta, n) = cos(theta - m z) - m (1 + z)

z = -1 is ArcFace(m), z = 0 CosFace(m), z = 1 cos(theta - m) - 2m. The cosine is held 1e-3 away from -1 and 1 (no
gradient beyond, as in the code), and the angle within [1e-3, pi - 1e-3] after the margin. Norms get no gradient.

Running statistics, in the order of the code: in training, a batch first moves mu and sigma, then uses them: mu <- t
mean(n) + (1 - t) mu, and so sigma with the unbiased deviation. They start at mu = 20 and sigma = 100, so |z| is near 0
for the first hundreds of steps (at t = 0.01 sigma needs about 500 to come down); short runs never see AdaFace unless
`warm_start` sets both from a first pass. In eval mode they stay as they are.

Differs from the paper: its momentum 0.99 is 1 - t; its equation 18 lacks a parenthesis, s multiplies all of f.

Differs from the authors' code: statistics are those of the global batch, the same on all ranks (it has one pair a
rank); a global batch of one moves mu alone (its deviation is NaN there, for ever); only the target's cosine is clipped,
not all; buffers are written in place, so that they are saved and resumed with the head. Each part of an accumulated
batch counts as a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marginface.distributed import sum_over_ranks
from marginface.errors import InputError
from marginface.margins.margin import Margin


@dataclass(frozen=True, kw_only=True)
class AdaFaceConfig:
    """Settings of AdaFace; defaults are those of every published run."""

    kind: Literal["adaface"] = "adaface"
    margin: float = 0.4
    """m: the margin that z divides between angle and cosine, in (0, pi / 2]."""
    concentration: float = 0.333
    """h: how much of z a deviation of the norm is worth. Not 0; negative where low norms mean good images."""
    ema_weight: float = 0.01
    """t, or t_alpha: share of a batch in the running mean and deviation of norms, in (0, 1]; 1 minus the paper's
    momentum."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and 0.0 < self.margin <= math.pi / 2):
            raise ValueError(f"margin {self.margin} is outside (0, pi / 2]; 0.4 is usual.")
        if not math.isfinite(self.concentration) or self.concentration == 0.0:
            raise ValueError(
                f"concentration {self.concentration} leaves norms out, which is CosFace; take kind: cosface, or 0.333."
            )
        if not 0.0 < self.ema_weight <= 1.0:
            raise ValueError(
                f"ema_weight {self.ema_weight} is outside (0, 1]; for the paper's momentum 0.99 it is 0.01."
            )

    def build(self) -> AdaFace:
        """Return the margin, its running statistics at 20 and 100."""
        return AdaFace(self.margin, concentration=self.concentration, ema_weight=self.ema_weight)


def adaface(target_cos_B: Tensor, quality_B: Tensor, margin: float) -> Tensor:
    """Return cos(theta - margin z) - margin (1 + z), `quality_B` being z in [-1, 1], (B,)."""
    theta_B = target_cos_B.clamp(-1.0 + 1e-3, 1.0 - 1e-3).arccos()
    moved_B = (theta_B - margin * quality_B).clamp(1e-3, math.pi - 1e-3)
    return moved_B.cos() - margin * (1.0 + quality_B)


class AdaFace(Margin):
    """Margin by quality, with running statistics of norms.

    Attributes:
        batch_mean: (), running mean of clipped norms; named as in the authors' checkpoints.
        batch_std: (), running deviation of clipped norms.
    """

    batch_mean: Tensor
    batch_std: Tensor

    def __init__(self, margin: float, *, concentration: float = 0.333, ema_weight: float = 0.01) -> None:
        super().__init__()
        self.margin = margin
        self.concentration = concentration
        self.ema_weight = ema_weight
        self.register_buffer("batch_mean", torch.tensor(20.0))
        self.register_buffer("batch_std", torch.tensor(100.0))

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; in training all ranks must call it together, as they do a head."""
        clipped_B = _clipped(norm_B)
        if self.training:
            self._follow(clipped_B)
        mean, std = self.batch_mean.to(clipped_B.dtype), self.batch_std.to(clipped_B.dtype)
        quality_B = (self.concentration * (clipped_B - mean) / (std + 1e-3)).clamp(-1.0, 1.0)
        return adaface(target_cos_B, quality_B, self.margin)

    @torch.no_grad()
    def warm_start(self, norms: Tensor) -> None:
        """Set the running mean and deviation from the norms of a first pass over (some of) the training images.

        Args:
            norms: (N,) lengths of embeddings; with several ranks each gives its own, and all must call.

        Raises:
            InputError: fewer than two norms over all ranks, or one that is not finite.
        """
        if not bool(norms.isfinite().all()):
            raise InputError("norms to start from are not all finite; look for the embedding that is not.")
        values = _clipped(norms.flatten()).to(self.batch_mean)
        count, mean, std = _global_statistics(values)
        if count < 2:
            raise InputError("a spread needs at least two norms; give those of some hundred images.")
        self.batch_mean.copy_(mean)
        self.batch_std.copy_(std)

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"margin={self.margin}, concentration={self.concentration}, ema_weight={self.ema_weight}"

    @torch.no_grad()
    def _follow(self, clipped_B: Tensor) -> None:
        """Move the running statistics towards those of the global batch."""
        weight = self.ema_weight
        count, mean, std = _global_statistics(clipped_B)
        self.batch_mean.copy_(weight * mean + (1.0 - weight) * self.batch_mean)
        if count >= 2:
            self.batch_std.copy_(weight * std + (1.0 - weight) * self.batch_std)


def _clipped(norm_B: Tensor) -> Tensor:
    return norm_B.detach().clamp(1e-3, 100.0)


def _global_statistics(values_B: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return count, mean and unbiased deviation over all ranks; the deviation of one value is not a number.

    Two sums over ranks, the second about the mean: squares about anything else lose their digits in float32.
    """
    count, total = sum_over_ranks(torch.stack([torch.ones_like(values_B).sum(), values_B.sum()]))
    mean = total / count
    squares = sum_over_ranks((values_B - mean).square().sum())
    return int(count.item()), mean, (squares / (count - 1.0)).sqrt()
