"""Plain softmax: nothing is normalised, no margin (the classifier of DeepFace, Taigman et al., CVPR 2014).

Letters: B batch.
f(x, w_y) = x . w_y: the logit is the dot product of embedding and class centre, whose lengths take part. So the loss
can fall by longer vectors alone, and what is compared later, the angle, is trained only on the side. NormFace is the
same with both sides normalised.

Differs from the usual classifier: no bias, which has no part in a comparison of two embeddings. The lengths are the
scale, so the head's own must be 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from marginface.margins.margin import Margin


@dataclass(frozen=True, kw_only=True)
class SoftmaxConfig:
    """Settings of plain softmax: none."""

    kind: Literal["softmax"] = "softmax"

    def check(self, *, scale: float) -> None:
        """Refuse a scale: dot products have one already.

        Raises:
            ValueError: the head's scale is not 1.
        """
        if scale != 1.0:
            raise ValueError(
                f"scale {scale} does not go with kind: softmax, whose logits are dot products of vectors of any "
                "length; set scale: 1, or take kind: normface for scaled cosines."
            )

    def build(self) -> Softmax:
        """Return the margin."""
        return Softmax()


class Softmax(Margin):
    """The dot product with the true class centre, as it is."""

    normalised: ClassVar[bool] = False

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return `target_cos_B`, which is a dot product here."""
        return target_cos_B
