"""Circle loss: each cosine is pulled as hard as it is wrong (Sun et al., CVPR 2020, arXiv:2002.10857).

Letters: B batch, K some of the other classes, c cosine to the true class, c_j to another.
With class labels (its general loss with one positive a row) it is the softmax over

    f(c)   = [1 + m - c]+ (c - (1 - m))          the true class: optimum 1 + m, boundary 1 - m
    N(c_j) = [c_j + m]+ (c_j - m)                others: optimum -m, boundary m

times the scale, which the paper calls gamma. The brackets are weights: constant for the gradient, so df/dc = 1 + m - c
(1.25 at c = 0 for m = 0.25) and dN/dc_j = c_j + m, as in the gradients that the paper prints. f(c) = N(c_j) on the
circle (c - 1)^2 + c_j^2 = 2 m^2, which gave the name; a smaller m is a smaller circle and asks for more.

Cosines shrink to products below 1 here, so the scale must be large: the paper has 256 for faces, and the default 64 of
a head pulls too weakly. Since other classes are changed too, a loss of Circle says nothing beside one of another kind.

Differs from the paper: nothing in the class-level form; its other form, over pairs of embeddings, is not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from marginface.margins.margin import Margin


@dataclass(frozen=True, kw_only=True)
class CircleConfig:
    """Settings of Circle loss with class labels; the paper's scale beside it is 256."""

    kind: Literal["circle"] = "circle"
    margin: float = 0.25
    """m: how far from 1 and 0 cosines may be at the boundary, in (0, 1); smaller is stricter."""

    def __post_init__(self) -> None:
        if not 0.0 < self.margin < 1.0:
            raise ValueError(f"margin {self.margin} is outside (0, 1); it is a cosine, 0.25 is usual.")

    def build(self) -> Circle:
        """Return the margin."""
        return Circle(self.margin)


def circle(target_cos_B: Tensor, margin: float) -> Tensor:
    """Return [1 + m - c]+ (c - (1 - m)) for the true class, (B,); the bracket gets no gradient."""
    weight_B = (1.0 + margin - target_cos_B.detach()).clamp_min(0.0)
    return weight_B * (target_cos_B - (1.0 - margin))


def circle_of_others(cos_KB: Tensor, margin: float) -> Tensor:
    """Return [c + m]+ (c - m) for the other classes, (K, B); the bracket gets no gradient."""
    weight_KB = (cos_KB.detach() + margin).clamp_min(0.0)
    return weight_KB * (cos_KB - margin)


class Circle(Margin):
    """Cosines weighed by their distance from where they should be."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the weighed cosine of the true class; norms play no part."""
        return circle(target_cos_B, self.margin)

    def reweigh(self, cos_KB: Tensor, penalised_B: Tensor) -> Tensor:
        """Return the weighed cosines to other classes, (K, B)."""
        return circle_of_others(cos_KB, self.margin)

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"margin={self.margin}"
