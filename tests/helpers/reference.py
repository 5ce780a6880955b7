"""Slow, obvious formulas in float64 that fast code is compared with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def margin_softmax_losses(
    embeddings_BD: Tensor, centres_CD: Tensor, labels_B: Tensor, *, scale: float, margin: nn.Module
) -> Tensor:
    """Return each row's loss, (B,), as a paper writes it: normalise, all logits, margin at the true class, softmax.

    Penalty included. Differentiable by plain autograd; give float64 tensors.
    """
    norm_B = embeddings_BD.norm(dim=1)
    cos_BC = F.normalize(embeddings_BD, dim=1) @ F.normalize(centres_CD, dim=1).T
    true_BC = F.one_hot(labels_B, centres_CD.shape[0]).bool()
    penalised_B = margin(cos_BC[true_BC], norm_B)
    logits_BC = scale * torch.where(true_BC, penalised_B[:, None], cos_BC)
    losses_B = F.cross_entropy(logits_BC, labels_B, reduction="none")
    penalty_B = margin.penalty(norm_B)
    return losses_B if penalty_B is None else losses_B + penalty_B
