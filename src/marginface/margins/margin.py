"""What a margin is: the penalised cosine of the true class, and nothing else.

Letters: B batch.
A margin sees one cosine a row (the true class) and the length of the row's embedding. It knows nothing of class
centres, chunks, shards or samples; those belong to heads, so any margin works on any head.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn


class Margin(nn.Module):
    """Base of all margins. `forward` is a pure function of its inputs and differentiable by autograd.

    Two kinds have more than inputs, in training only: running statistics, which live in buffers and so are saved with
    the head (AdaFace), and draws from torch's generator, which the training loop seeds at each step (ElasticFace).

    Heads call it in float64 where the device has it (B numbers cost nothing there, and 1 - cos^2 loses half of the
    digits near 1 in float32), so a margin must follow the dtype of its input.
    """

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


class MarginConfig(Protocol):
    """A frozen dataclass with a `kind` and its settings, which builds a margin."""

    @property
    def kind(self) -> str:
        """The key in `MARGINS`, or `module:Class` for a margin from elsewhere."""

    def build(self) -> Margin:
        """Return the margin."""
