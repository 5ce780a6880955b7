"""What a head is: class centres and a margin that turn embeddings and labels into the loss.

Letters: B batch, C classes, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from marginface.distributed import has_other_ranks
from marginface.errors import InputError, WorkError
from marginface.margins import Margin, MarginConfig

SMALLEST_NORM = 1e-6
"""Vectors shorter than this are divided by it, not by their length: a zero vector stays zero, with finite gradients."""


@dataclass(frozen=True)
class HeadOutput:
    """What a head says about one batch. Only `loss` carries gradients."""

    loss: Tensor
    """(): mean over `num_rows` rows, the margin's own penalty (MagFace's g) included."""
    sample_loss_B: Tensor
    """(B,): the loss of each row; their mean is `loss`."""
    target_cos_B: Tensor
    """(B,): cosine to the true class centre before any margin, in [-1, 1]."""
    norm_B: Tensor
    """(B,): length of each embedding before normalising."""
    num_rows: int
    """How many rows `loss` is the mean of: B, or with a head that is split over ranks the rows of all of them."""


class Head(nn.Module):
    """Base of all heads: `head(embeddings_BD, labels_B).loss.backward()` is all that a training loop needs.

    Attributes:
        class_centres: (C, D), one centre a class, or (C, K, D) with K of them; not normalised.
        margin: the margin applied to the true class.
        scale: what cosines are multiplied by before the softmax.
    """

    class_centres: nn.Parameter

    def __init__(self, *, scale: float, margin: Margin) -> None:
        super().__init__()
        self.scale = scale
        self.margin = margin

    @property
    def num_classes(self) -> int:
        """C, the number of identities."""
        return self.class_centres.shape[0]

    @property
    def embedding_dim(self) -> int:
        """D, the length of an embedding vector."""
        return self.class_centres.shape[-1]

    @property
    def is_sharded(self) -> bool:
        """Whether ranks hold different classes. Then the gradient of the centres is complete on each; a head that is
        copied to all ranks has to have its gradients summed over them."""
        return False

    @property
    def moves_itself(self) -> bool:
        """Whether backward moves the class centres, so that no optimiser may."""
        return False

    def copied_parameters(self) -> Iterator[nn.Parameter]:
        """Yield what every rank has a copy of: its gradients have to be summed over ranks."""
        for parameter in self.parameters():
            if not (self.is_sharded and parameter is self.class_centres):
                yield parameter

    def forward(self, embeddings_BD: Tensor, labels_B: Tensor) -> HeadOutput:
        """Return the loss of a batch and what the log wants.

        Args:
            embeddings_BD: (B, D) of any floating dtype, not normalised; everything inside is float32 at least. With
                several ranks B may be 0 on some of them.
            labels_B: (B,) integers in 0..C-1.
        """
        raise NotImplementedError

    def leave_out(self) -> None:
        """Let a batch pass that has no row for this head, on any rank. What it holds of earlier parts is not lost."""

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"num_classes={self.num_classes}, embedding_dim={self.embedding_dim}, scale={self.scale}"


class HeadConfig(Protocol):
    """A frozen dataclass with a `kind`, a scale, a margin and more, which builds a head."""

    @property
    def kind(self) -> str:
        """The key in `HEADS`, or `module:Class` for a head from elsewhere."""

    @property
    def scale(self) -> float | str:
        """What cosines are multiplied by before the softmax, or "auto"."""

    @property
    def margin(self) -> MarginConfig:
        """The margin's config."""

    @property
    def wants_fused_update(self) -> bool:
        """Whether the head is to move its centres itself, in backward (`MarginHead.fuse_update`)."""

    def build(self, *, num_classes: int, embedding_dim: int, seed: int = 0, mesh: DeviceMesh | None = None) -> Head:
        """Return the head, with class centres drawn from `seed`; a mesh tells which ranks may share the classes."""


def check_batch(embeddings_BD: Tensor, labels_B: Tensor, *, num_classes: int, embedding_dim: int) -> None:
    """Refuse a batch that the head cannot take, in words; costs two reductions over B numbers.

    Raises:
        InputError: shapes or dtypes that do not fit, a batch that is empty where no other rank could have rows, a label
            outside 0..C-1.
    """
    if embeddings_BD.ndim != 2 or embeddings_BD.shape[1] != embedding_dim:
        raise InputError(
            f"embeddings have shape {tuple(embeddings_BD.shape)}, this head takes (batch, {embedding_dim}); "
            "set the same embedding_dim for backbone and head."
        )
    if labels_B.shape != embeddings_BD.shape[:1]:
        raise InputError(
            f"labels have shape {tuple(labels_B.shape)} beside {embeddings_BD.shape[0]} embeddings; "
            "give one label a row."
        )
    is_empty = labels_B.numel() == 0
    if is_empty and not has_other_ranks():
        raise InputError("the batch is empty; give at least one embedding.")
    if not embeddings_BD.dtype.is_floating_point:
        raise InputError(f"embeddings are {embeddings_BD.dtype}; give floating point numbers.")
    if labels_B.dtype.is_floating_point or labels_B.dtype.is_complex or labels_B.dtype == torch.bool:
        raise InputError(f"labels are {labels_B.dtype}; give integers in 0..{num_classes - 1}.")
    if is_empty:
        return
    lowest, highest = (int(x) for x in labels_B.aminmax())
    if lowest < 0 or highest >= num_classes:
        label = lowest if lowest < 0 else highest
        raise InputError(
            f"label {label} is outside 0..{num_classes - 1}; is the identity table the one the head was built with?"
        )


def check_finite(norm_B: Tensor) -> None:
    """Refuse embeddings that are not numbers any more.

    Raises:
        WorkError: an embedding whose length is infinite or not a number; the message gives its row.
    """
    finite_B = norm_B.detach().isfinite()
    if not bool(finite_B.all()):
        row = int((~finite_B).nonzero()[0])
        count = int((~finite_B).sum())
        raise WorkError(
            f"{count} of {norm_B.numel()} embeddings are not finite, the first in row {row} of the batch; "
            "the backbone has diverged (lower the learning rate or lengthen the warm-up)."
        )
