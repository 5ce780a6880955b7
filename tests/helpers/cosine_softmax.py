"""The softmax loss of given cosines under a margin, as heads put its parts together; small and in the open."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from marginface.margins import Margin


def losses_under(margin: Margin, cos_BC: Tensor, labels_B: Tensor, *, scale: float) -> Tensor:
    """Return each row's loss, (B,), differentiable in the cosines: `forward`, then `reweigh` three classes a time."""
    target_cos_B = cos_BC.gather(1, labels_B[:, None])[:, 0]
    penalised_B = margin(target_cos_B, torch.ones_like(target_cos_B))
    others_CB = torch.cat([margin.reweigh(part, penalised_B.detach()) for part in cos_BC.T.split(3)])
    true_BC = F.one_hot(labels_B, cos_BC.shape[1]).bool()
    return F.cross_entropy(scale * torch.where(true_BC, penalised_B[:, None], others_CB.T), labels_B, reduction="none")


def drawn_cosines(num_rows: int, num_classes: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return float64 cosines (B, C) over all of (-1, 1), with gradients on, and labels; hard negatives included."""
    generator = torch.Generator().manual_seed(seed)
    cos_BC = 2.0 * torch.rand(num_rows, num_classes, generator=generator, dtype=torch.float64) - 1.0
    return cos_BC.requires_grad_(), torch.randint(num_classes, (num_rows,), generator=generator)
