"""Slow, obvious formulas in float64 that fast code is compared with."""

from __future__ import annotations

import copy
from collections.abc import Sequence

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
    losses_B = _sphere_losses(
        F.normalize(embeddings_BD, dim=1), centres_CD[:, None], labels_B, norm_B, scale=scale, margin=margin
    )
    penalty_B = margin.penalty(norm_B)
    return losses_B if penalty_B is None else losses_B + penalty_B


def head_losses(
    embeddings_BD: Tensor, centres: Tensor, labels_B: Tensor, *, head: nn.Module, chosen_C: Tensor | None = None
) -> Tensor:
    """Return each row's loss under all settings of a `MarginHead`: sub-centres, spheres, filter, drawn classes.

    The margins of `head` are copied first, so statistics start where they are now and do not move.
    """
    margins = [copy.deepcopy(m) for m in (head.margin, *head.further_margins)]
    centres_CKD = centres if centres.ndim == 3 else centres[:, None]
    if chosen_C is not None:
        centres_CKD, labels_B = centres_CKD[chosen_C], torch.searchsorted(chosen_C, labels_B)
    norm_B = embeddings_BD.norm(dim=1)
    spheres = len(margins)
    per_slice = head.spheres is not None and head.spheres.slice_norm == "per_slice"
    unit_BD = embeddings_BD if per_slice or not margins[0].normalised else F.normalize(embeddings_BD, dim=1)
    losses = []
    for margin, unit_Bd, centres_CKd in zip(
        margins, unit_BD.chunk(spheres, dim=1), centres_CKD.chunk(spheres, dim=2), strict=True
    ):
        unit_Bd = F.normalize(unit_Bd, dim=1) if per_slice and margin.normalised else unit_Bd
        losses.append(
            _sphere_losses(
                unit_Bd,
                centres_CKd,
                labels_B,
                norm_B,
                scale=head.scale,
                margin=margin,
                filter_above=head.filter_above,
            )
        )
    mean = head.spheres is not None and head.spheres.reduction == "mean"
    losses_B = sum(losses) / (spheres if mean else 1)
    penalty_B = margins[0].penalty(norm_B)
    return losses_B if penalty_B is None else losses_B + penalty_B


def _sphere_losses(
    unit_Bd: Tensor,
    centres_CKd: Tensor,
    labels_B: Tensor,
    norm_B: Tensor,
    *,
    scale: float,
    margin: nn.Module,
    filter_above: float | None = None,
) -> Tensor:
    if margin.normalised:
        centres_CKd = F.normalize(centres_CKd, dim=2)
    cos_BC = torch.einsum("bd,ckd->bck", unit_Bd, centres_CKd).amax(dim=2)
    true_BC = F.one_hot(labels_B, centres_CKd.shape[0]).bool()
    target_B = cos_BC[true_BC]
    others_BC = cos_BC if filter_above is None else torch.where(cos_BC > filter_above, 0.0, cos_BC)

    def rest_of_scale(s: float) -> Tensor:
        return (s * others_BC.detach()).masked_fill(true_BC, -torch.inf).logsumexp(dim=1)

    scale = margin.adapt_scale(scale, target_B.detach(), rest_of_scale)
    penalised_B = margin(target_B, norm_B)
    others_BC = margin.reweigh(others_BC.T, penalised_B.detach()).T
    logits_BC = scale * torch.where(true_BC, penalised_B[:, None], others_BC)
    return F.cross_entropy(logits_BC, labels_B, reduction="none")


def all_equal(values: Sequence[Tensor]) -> bool:
    """Return whether all tensors are bitwise the same."""
    return all(torch.equal(values[0], other) for other in values[1:])
