"""What any network must beat: the pixels themselves, and the same network before training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from marginface.backbones import BackboneConfig
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard

from .embed import Flip

GREY = (0.299, 0.587, 0.114)
"""Luma of RGB, ITU-R BT.601."""


def raw_pixels(images: Tensor, *, side: int = 16) -> Tensor:
    """Return (B, side * side) float32: grey, averaged down, each image with mean 0 and variance 1.

    The cosine of two of them is the correlation of the small grey pictures. An image of one colour gives zeros.
    """
    colour = torch.tensor(GREY, device=images.device)
    grey = (images.float() @ colour)[:, None]  # (B, 1, H, W)
    small = F.adaptive_avg_pool2d(grey, side).flatten(1)
    centred = small - small.mean(dim=1, keepdim=True)
    spread = centred.square().mean(dim=1, keepdim=True).sqrt()
    return centred / spread.clamp_min(1e-3)  # on a scale of 0..255: below it there is only rounding


class RawPixels:
    """An embedder that has learned nothing: `raw_pixels` of the aligned crop."""

    name = "raw pixels"
    description = "16 x 16 grey pixels, mean and contrast removed; nothing learned."
    fingerprint = "raw-pixels-16"
    embedding_dim = 256

    def __init__(self, *, input_size: int = 112) -> None:
        self.contract = InputContract(input_size=input_size)

    def embed(self, images: Tensor, *, flip: Flip = "sum") -> Tensor:
        """Return (B, 256) float32 for (B, H, W, 3) uint8 RGB crops; `sum` adds those of the mirrored images."""
        vectors = raw_pixels(images)
        return vectors + raw_pixels(images.flip(2)) if flip == "sum" else vectors


def untrained(
    backbone_config: BackboneConfig, *, contract: InputContract | None = None, seed: int = 0, name: str = "untrained"
) -> FaceModel:
    """Return the network that a run with this backbone and seed starts from, as a model that can be judged.

    What it reaches is owed to the architecture and to the alignment of the crops, not to training.

    Args:
        backbone_config: of the run.
        contract: of the run's model; the standard one unless given.
        seed: of the run.
        name: of the row in tables.
    """
    contract = InputContract() if contract is None else contract
    backbone = backbone_config.build(input_size=contract.input_size, seed=seed)
    description = f"The network before training; its weights are random, from seed {seed}."
    return FaceModel(backbone, backbone_config, contract, ModelCard(name=name, description=description))
