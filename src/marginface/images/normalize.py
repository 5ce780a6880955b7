"""uint8 crops -> the float tensor that a model was trained on: the only mean and standard deviation in the house.

Published models differ in colour order and value range, and the wrong pair costs accuracy without any error. So both
are part of the input contract, plain data that travels with the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marginface.errors import InputError, one_of

_SUBTRACT_AND_DIVIDE = {"minus_one_to_one": (127.5, 127.5), "zero_to_one": (0.0, 255.0)}

_IMAGES_A_CHUNK = 8
"""Eight 112-pixel images are 1.2 MB of floats: the passes run in cache, 5 to 10 times faster than over a batch."""


@dataclass(frozen=True, kw_only=True)
class InputContract:
    """What a model expects of its input. Images reach `normalize` as RGB whatever `colour_order` says."""

    input_size: int = 112
    """Side of the square crop, pixels."""
    colour_order: Literal["rgb", "bgr"] = "rgb"
    value_range: Literal["minus_one_to_one", "zero_to_one"] = "minus_one_to_one"
    """(x - 127.5) / 127.5, or x / 255."""
    alignment: str = "arcface_112"
    """The template that crops are aligned to."""

    def __post_init__(self) -> None:
        if self.input_size < 1:
            raise InputError(f"input_size {self.input_size} is not a number of pixels.")
        if self.colour_order not in ("rgb", "bgr"):
            raise InputError(
                f"colour_order {self.colour_order!r} is unknown{one_of(self.colour_order, ('rgb', 'bgr'))}."
            )
        if self.value_range not in _SUBTRACT_AND_DIVIDE:
            choices = one_of(self.value_range, tuple(_SUBTRACT_AND_DIVIDE))
            raise InputError(f"value_range {self.value_range!r} is unknown{choices}.")


def normalize(images: Tensor, contract: InputContract, *, channels_last: bool = False) -> Tensor:
    """Return (B, 3, H, W) float32 in the contract's colour order and range, correctly rounded.

    Args:
        images: (B, H, W, 3) uint8 RGB, on any device.
        contract: the model's.
        channels_last: leave the memory in NHWC order, which convolutions on CPU like and which is twice as quick.

    Raises:
        InputError: the images are not of the contract's size.
        ValueError: not (B, H, W, 3) uint8.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"expected (B, H, W, 3) uint8, got {tuple(images.shape)} {images.dtype}")
    batch, height, width, _ = images.shape
    size = contract.input_size
    if (height, width) != (size, size):
        raise InputError(f"this model takes {size} x {size} pixels, the images have {width} x {height}.")
    if contract.colour_order == "bgr":
        images = images.flip(3)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    floats = torch.empty((batch, 3, height, width), dtype=torch.float32, device=images.device, memory_format=layout)
    subtract, divide = _SUBTRACT_AND_DIVIDE[contract.value_range]
    step = _IMAGES_A_CHUNK if images.device.type == "cpu" else max(batch, 1)
    for start in range(0, batch, step):
        chunk = images[start : start + step].permute(0, 3, 1, 2)
        if not channels_last:
            chunk = chunk.contiguous()  # reordering bytes first is cheaper than reordering floats
        # Dividing, not multiplying by a rounded reciprocal: every value is then the float32 nearest to the formula.
        floats[start : start + step].copy_(chunk).sub_(subtract).div_(divide)
    return floats
