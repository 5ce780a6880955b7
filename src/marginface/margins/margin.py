"""What a margin is: the penalised cosine of the true class, and for a few also what becomes of the others.

Letters: B batch, K some of the classes.
A margin sees one cosine a row (the true class) and the length of the row's embedding. It knows nothing of class
centres, chunks, shards or samples; those belong to heads, so any margin works on any head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from torch import Tensor, nn


class Margin(nn.Module):
    """Base of all margins. `forward` is a pure function of its inputs and differentiable by autograd.

    Two kinds have more than inputs, in training only: running statistics, which live in buffers and so are saved with
    the head (AdaFace), and draws from torch's generator, which the training loop seeds at each step (ElasticFace).

    Heads call it in float64 where the device has it (B numbers cost nothing there, and 1 - cos^2 loses half of the
    digits near 1 in float32), so a margin must follow the dtype of its input.

    With several ranks each calls its margin on its own rows; statistics of the global batch are sums over ranks.

    Attributes:
        normalised: whether the head normalises embeddings and class centres. Without it (plain softmax) what stands
            here as a cosine is their dot product.
    """

    normalised: ClassVar[bool] = True

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine of the true class, (B,), before the scale.

        Args:
            target_cos_B: cosine between embedding and true class centre, in [-1, 1].
            norm_B: length of the embedding before normalising, >= 0; gradients flow back into it.
        """
        raise NotImplementedError

    def penalty(self, norm_B: Tensor) -> Tensor | None:
        """Return an extra loss of each row, (B,), already weighted (MagFace's lambda * g), or None for no such loss."""
        return None

    def reweigh(self, cos_KB: Tensor, penalised_B: Tensor) -> Tensor:
        """Return what the cosines to the other classes become, (K, B), entry by entry.

        Heads call it for some classes at a time, after `forward` of the same batch and again in backward, and
        differentiate it with respect to `cos_KB` alone. They do so on a copy of the margin made after that `forward`,
        so statistics are those of its batch. A margin that does not override it costs nothing here.

        Args:
            cos_KB: cosines to K classes, in the dtype of the class centres; entries of a row's true class are ignored.
            penalised_B: what `forward` returned, without its graph.
        """
        return cos_KB

    def adapt_scale(self, scale: float, target_cos_B: Tensor, rest_of_scale: Callable[[float], Tensor]) -> float:
        """Return the scale for this batch, constant for the gradient; called once a batch, before `forward`.

        Args:
            scale: the head's own.
            target_cos_B: cosine to the true class, without its graph.
            rest_of_scale: gives the log-sum-exp over the other classes of a scale times their cosines, (B,), at the
                cost of one pass over the classes.
        """
        return scale


class MarginConfig(Protocol):
    """A frozen dataclass with a `kind` and its settings, which builds a margin."""

    @property
    def kind(self) -> str:
        """The key in `MARGINS`, or `module:Class` for a margin from elsewhere."""

    def build(self) -> Margin:
        """Return the margin."""
