"""The dense head: all classes on one device, full softmax, any margin.

Letters: B batch, C classes, D embedding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from marginface.config import by_kind
from marginface.errors import InputError
from marginface.heads.chunked_softmax import target_and_rest
from marginface.heads.head import SMALLEST_NORM, Head, HeadOutput, check_batch, check_finite, initial_class_centres
from marginface.heads.workspace import Workspace
from marginface.margins import MARGINS, ArcFaceConfig, Margin, MarginConfig

Memory = Literal["store", "recompute"]


@dataclass(frozen=True, kw_only=True)
class DenseHeadConfig:
    """Settings of the dense head."""

    kind: Literal["dense"] = "dense"
    scale: float = 64.0
    """Multiplies the cosines before the softmax; 64 for large sets, 30 is common for small ones."""
    margin: Annotated[MarginConfig, by_kind("margin", MARGINS)] = field(default_factory=ArcFaceConfig)
    """What is done to the cosine of the true class."""
    memory: Memory = "store"
    """Either "store": one (C, B) float32 buffer is kept from forward to backward, 3 matrix products are done; or
    "recompute": nothing of that size is kept, 4 products are done."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0.0):
            raise ValueError(f"scale {self.scale} must be a positive number; 64 is usual.")
        check = getattr(self.margin, "check", None)  # MagFace's penalty has a least weight, which depends on the scale
        if check is not None:
            check(scale=self.scale)

    def build(self, *, num_classes: int, embedding_dim: int, seed: int = 0) -> DenseHead:
        """Return the head, with class centres drawn from `seed`."""
        return DenseHead(
            num_classes=num_classes,
            embedding_dim=embedding_dim,
            scale=self.scale,
            margin=self.margin.build(),
            memory=self.memory,
            seed=seed,
        )


class DenseHead(Head):
    """Full softmax over class centres (C, D) that live on one device.

    Everything runs in the centres' float32 whatever the dtype of the embeddings or autocast; the B target cosines and
    the margin run in float64 (float32 on devices without it). Gradients are those of plain torch and are seen by hooks,
    `torch.autograd.grad` and accumulation; their memory is reused once nobody holds it any more (after `zero_grad()`).
    Second derivatives are refused by torch.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        scale: float,
        margin: Margin,
        memory: Memory = "store",
        seed: int = 0,
    ) -> None:
        super().__init__(scale=scale, margin=margin)
        self.memory: Memory = memory
        self.class_centres = initial_class_centres(num_classes, embedding_dim, seed=seed)
        self._workspace = Workspace()

    def forward(self, embeddings_BD: Tensor, labels_B: Tensor) -> HeadOutput:
        """Return the loss of a batch and what the log wants.

        Args:
            embeddings_BD: (B, D) of any floating dtype, not normalised.
            labels_B: (B,) integers in 0..C-1.

        Raises:
            InputError: a batch or label that does not fit, class centres that are not float32 or float64.
            WorkError: an embedding that is not finite.
        """
        check_batch(embeddings_BD, labels_B, num_classes=self.num_classes, embedding_dim=self.embedding_dim)
        if self.class_centres.dtype not in (torch.float32, torch.float64):
            raise InputError(f"class centres are {self.class_centres.dtype}; keep the head in float32.")
        device = embeddings_BD.device.type
        with torch.autocast(device, enabled=False):
            wide_BD = embeddings_BD.to(torch.float32 if device == "mps" else torch.float64)
            norm_B = torch.linalg.vector_norm(wide_BD, dim=1)
            check_finite(norm_B)
            target_cos_B, rest_B = target_and_rest(
                wide_BD / norm_B.clamp_min(SMALLEST_NORM)[:, None],
                self.class_centres,
                labels_B.long(),
                scale=self.scale,
                smallest_norm=SMALLEST_NORM,
                workspace=self._workspace,
                store=self.memory == "store",
            )
            sample_loss_B = F.softplus(rest_B - self.scale * self.margin(target_cos_B, norm_B), threshold=50.0)
            penalty_B = self.margin.penalty(norm_B)
            if penalty_B is not None:
                sample_loss_B = sample_loss_B + penalty_B
        dtype = self.class_centres.dtype
        return HeadOutput(
            loss=sample_loss_B.mean().to(dtype),
            sample_loss_B=sample_loss_B.detach().to(dtype),
            target_cos_B=target_cos_B.detach().to(dtype),
            norm_B=norm_B.detach().to(dtype),
        )

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"{super().extra_repr()}, memory={self.memory!r}"
