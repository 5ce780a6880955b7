"""What is exported: the folded backbone, and as asked for the normalising before it and the mirror image beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from marginface.errors import InputError
from marginface.images.normalize import SUBTRACT_AND_DIVIDE, InputContract

Container = Literal["onnx", "openvino", "torch"]
Takes = Literal["normalised", "pixels", "bytes"]


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """An exported graph: runs, and cannot be trained."""

    kind: Literal["onnx_graph", "openvino_graph", "torch_graph"]
    embedding_dim: int = 512
    backbone: str = "unknown"
    """Kind of the backbone that it was made from."""
    takes: Takes = "normalised"
    """`normalised`: (B, 3, S, S) float32 as the input contract says. `pixels`: (B, 3, S, S) float32 RGB in 0..255.
    `bytes`: (B, S, S, 3) uint8 RGB."""
    adds_mirror_image: bool = False
    """Whether the graph itself adds the embedding of the mirrored image."""
    precision: Literal["float32", "int8"] = "float32"

    def build(self, *, input_size: int, seed: int = 0) -> nn.Module:
        """Raise InputError, for there is nothing to build."""
        raise InputError(f"an exported {self.kind} cannot be trained; give the model folder that it was exported from.")


class WholeGraph(nn.Module):
    """Images in the form of `takes` to embeddings (B, D), not normalised."""

    def __init__(self, backbone: nn.Module, contract: InputContract, *, takes: Takes, adds_mirror_image: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.is_bgr = contract.colour_order == "bgr"
        self.subtract, self.divide = SUBTRACT_AND_DIVIDE[contract.value_range]
        self.takes = takes
        self.adds_mirror_image = adds_mirror_image

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D); with `adds_mirror_image` those of an image and its mirror image added."""
        if self.takes == "bytes":
            images = images.permute(0, 3, 1, 2).float()
        if self.takes != "normalised":
            if self.is_bgr:
                images = images.flip(1)
            images = (images - self.subtract) / self.divide
        if not self.adds_mirror_image:
            return self.backbone(images)  # type: ignore[no-any-return]
        both: Tensor = self.backbone(torch.cat([images, images.flip(3)]))  # one pass with twice the batch
        return both.view(2, -1, both.shape[1]).sum(0)


def example_input(contract: InputContract, takes: Takes) -> Tensor:
    """Return two images of zeros, in the form that a graph takes."""
    side = contract.input_size
    if takes == "bytes":
        return torch.zeros(2, side, side, 3, dtype=torch.uint8)
    return torch.zeros(2, 3, side, side)


def program_of(network: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    """Return `network` as a program of torch operations, for a batch of any size."""
    with torch.no_grad():
        return torch.export.export(network.eval(), (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
