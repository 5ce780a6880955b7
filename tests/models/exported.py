"""A small network and its exports, for tests: the slow step, torch to ONNX, happens once."""

from __future__ import annotations

import functools
from typing import Any

import torch

from marginface.backbones import IResNetConfig, iresnet
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard
from marginface.models.exporting import export
from tests.models.published import shaken

CONFIG = IResNetConfig(kind="iresnet18", embedding_dim=16)
SIDE = 32
CARD = ModelCard(name="tiny", licence="research only", commercial_use="not allowed")


@functools.cache
def tiny() -> FaceModel:
    """Return a model with one block a stage."""
    before = iresnet.BLOCKS_PER_STAGE["iresnet18"]
    iresnet.BLOCKS_PER_STAGE["iresnet18"] = (1, 1, 1, 1)
    try:
        backbone = shaken(CONFIG.build(input_size=SIDE))
    finally:
        iresnet.BLOCKS_PER_STAGE["iresnet18"] = before
    return FaceModel(backbone, CONFIG, InputContract(input_size=SIDE, colour_order="bgr"), CARD)


_GRAPHS: dict[tuple[str, bool], Any] = {}
_MAKE = export.onnx_graph


def graph_once(network: Any, example: torch.Tensor, *, for_onnxruntime: bool) -> Any:
    """Return the ONNX graph of `tiny`, converted once for each form."""
    key = (network.takes, network.adds_mirror_image, for_onnxruntime)
    if key not in _GRAPHS:
        _GRAPHS[key] = _MAKE(network, example, for_onnxruntime=for_onnxruntime)
    return _GRAPHS[key]


def crops(count: int = 5, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator)
