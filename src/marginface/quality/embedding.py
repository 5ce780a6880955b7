"""Measures of what the recogniser itself makes of an image: the embedding's norm, and how steady the embedding is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from marginface.errors import InputError
from marginface.images.normalize import normalize
from marginface.models.face_model import FaceModel, evaluating
from marginface.quality.method import QualityBatch, Scores

SHIFT = 1 / 56
"""Of the side: 2 pixels of 112."""
NUM_MASKS = 100
DROPOUT = 0.5


def norm(batch: QualityBatch) -> Scores:
    """Return the length of the embedding of the image alone.

    Of a model trained with MagFace (Meng et al., CVPR 2021) this is its magnitude, which training ties to how easy an
    image is; AdaFace (Kim et al., CVPR 2022) reads the norm as quality while it trains. Other models were given no
    reason to put quality there; whether they did is what an error versus discard curve shows.
    """
    return np.asarray(np.linalg.norm(batch.embeddings.astype(np.float64), axis=1))


def stability(batch: QualityBatch) -> Scores:
    """Return how little the embedding moves when the crop is mirrored or shifted, 0 to 1.

    Six versions of each crop: as it is, mirrored, and shifted by 1/56 of its side (2 pixels of 112) to the left, right,
    top and bottom, edge pixels repeated. With d the Euclidean distance of the unit embeddings x_i,

        q = 2 sigmoid(-mean over i < j of d(x_i, x_j))

    SER-FIQ's formula (Terhoerst et al., CVPR 2020) with other disturbances and with the mean over couples.
    """
    assert batch.model is not None
    versions = [batch.model.embed(version, flip="none") for version in _versions(batch.crops)]
    return _steadiness(torch.stack(versions))


def dropout_stability(batch: QualityBatch) -> Scores:
    """Return how little the embedding moves when half of the inputs of the last linear layer are left out, 0 to 1.

    SER-FIQ (Terhoerst et al., CVPR 2020) with its on-top variant: 100 masks at dropout 0.5 before the backbone's last
    `nn.Linear`, what is kept doubled, everything after it as in evaluation; q as for `stability`. The 100 masks are the
    same for every image, so that scores do not depend on the batch. A network trained without dropout there (all of
    ours unless the recipe says so) was never asked to bear it.

    Raises:
        InputError: the backbone has no linear layer.
    """
    assert batch.model is not None
    return _steadiness(_with_masks(batch.model, batch.crops))


def _versions(crops: Tensor) -> list[Tensor]:
    size = crops.shape[1]
    step = max(1, round(size * SHIFT))
    places = torch.arange(size)
    earlier, later = (places - step).clamp_min(0), (places + step).clamp_max(size - 1)
    return [crops, crops.flip(2), crops[:, :, earlier], crops[:, :, later], crops[:, earlier], crops[:, later]]


@torch.no_grad()
def _with_masks(model: FaceModel, crops: Tensor) -> Tensor:
    """Return (100, B, D): one pass up to the last linear layer, whose input is then repeated under each mask."""
    linear = [module for module in model.backbone.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise InputError(f"{model.name}: the backbone has no linear layer to put dropout before; leave dropout out.")

    def repeat(_: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        (features,) = inputs
        generator = torch.Generator().manual_seed(0)
        masks = torch.rand((NUM_MASKS, 1, *features.shape[1:]), generator=generator) >= DROPOUT
        kept: Tensor = (features * masks.to(features) / (1 - DROPOUT)).flatten(0, 1)
        return kept

    device = next(model.backbone.parameters()).device
    handle = linear[-1].register_forward_pre_hook(repeat)
    try:
        with evaluating(model.backbone):
            embeddings: Tensor = model.backbone(normalize(crops.to(device), model.contract)).float()
    finally:
        handle.remove()
    return embeddings.reshape(NUM_MASKS, len(crops), -1)


def _steadiness(embeddings: Tensor) -> Scores:
    """Return SER-FIQ's score (B,) of (T, B, D) embeddings."""
    unit = nn.functional.normalize(embeddings.double(), dim=2).transpose(0, 1)  # (B, T, D)
    cosine = unit @ unit.transpose(1, 2)
    distance = (2 - 2 * cosine).clamp_min(0).sqrt()
    num = unit.shape[1]
    above = torch.triu(torch.ones(num, num, dtype=torch.bool, device=unit.device), diagonal=1)
    return np.asarray((2 * torch.sigmoid(-distance[:, above].mean(dim=1))).cpu().numpy(), np.float64)
