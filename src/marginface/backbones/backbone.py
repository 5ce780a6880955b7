"""What all backbones share: the config's shape, the sizes they accept, seeded weights, the fp32 end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from marginface.errors import InputError

TOTAL_STRIDE = 16
"""Every convolutional family here halves the image four times: 112 pixels end as a 7 x 7 map."""


class BackboneConfig(Protocol):
    """The config of any backbone, ours or from `my_lab.nets:MyNetConfig`: a frozen dataclass with these members."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def kind(self) -> str:
        """The name in the registry."""

    @property
    def embedding_dim(self) -> int:
        """D, the length of the vector that comes out."""

    def build(self, *, input_size: int, seed: int = 0) -> nn.Module:
        """Return a network from (B, 3, input_size, input_size) to (B, embedding_dim), weights drawn from `seed`."""


def check_embedding_dim(embedding_dim: int) -> None:
    """Raise ValueError unless there is at least one dimension."""
    if embedding_dim < 1:
        raise ValueError(f"embedding_dim is {embedding_dim}; it is the number of values in an embedding, 1 or more.")


def check_dropout(dropout: float) -> None:
    """Raise ValueError unless `dropout` is a probability below 1."""
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout is {dropout}; it is a probability in [0, 1).")


def last_map_side(kind: str, input_size: int) -> int:
    """Return the side of the last feature map, 7 for 112 pixels.

    Raises:
        InputError: the size is not a positive multiple of 16.
    """
    if input_size < TOTAL_STRIDE or input_size % TOTAL_STRIDE:
        lower = max(input_size // TOTAL_STRIDE, 1) * TOTAL_STRIDE
        raise InputError(
            f"{kind} takes square images whose side is a multiple of {TOTAL_STRIDE} pixels, not {input_size}; "
            f"published weights use 112, and {lower} would be near."
        )
    return input_size // TOTAL_STRIDE


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights inside from `seed` alone, and leave the ambient CPU stream where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also move the GPUs' streams
        yield


def check_images(images: Tensor, input_size: int) -> None:
    """Raise ValueError unless `images` is (B, 3, input_size, input_size)."""
    if images.dim() != 4 or tuple(images.shape[1:]) != (3, input_size, input_size):
        raise ValueError(
            f"this backbone was built for images (B, 3, {input_size}, {input_size}), not {tuple(images.shape)}; "
            "build it with another input_size, or resize the images."
        )


def embed_in_full_precision(embedder: nn.Module, features: Tensor) -> Tensor:
    """Return `embedder(features)` outside autocast, in the precision of its weights.

    The last layer costs next to nothing and its rounding goes straight into the cosine and the norm; arcface_torch
    keeps it in fp32 too.
    """
    device = features.device.type
    without = torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
    with without:
        result: Tensor = embedder(features.to(next(embedder.parameters()).dtype))
    return result
