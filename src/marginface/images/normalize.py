"""uint8 crops -> the float tensor that a model was trained on: the only mean and standard deviation in the house.

Published models differ in colour order and value range, and the wrong pair costs accuracy without any error. So both
are part of the input contract, plain data that travels with the weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marginface.errors import InputError, one_of

SUBTRACT_AND_DIVIDE = {"minus_one_to_one": (127.5, 127.5), "zero_to_one": (0.0, 255.0)}


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
        if self.value_range not in SUBTRACT_AND_DIVIDE:
            choices = one_of(self.value_range, tuple(SUBTRACT_AND_DIVIDE))
            raise InputError(f"value_range {self.value_range!r} is unknown{choices}.")


def normalize(
    images: Tensor, contract: InputContract, *, channels_last: bool = False, out: Tensor | None = None
) -> Tensor:
    """Return (B, 3, H, W) float32 in the contract's colour order and range, correctly rounded.

    Args:
        images: (B, H, W, 3) uint8 RGB, on any device.
        contract: the model's.
        channels_last: leave the memory in NHWC order, which convolutions on CPU like and which is twice as quick.
        out: (B or more, 3, H, W) float32 of that memory order, whose first B rows are overwritten and returned; fresh
            memory for each batch costs as much as the arithmetic. By default new memory.

    Raises:
        InputError: the images are not of the contract's size.
        ValueError: not (B, H, W, 3) uint8, or an `out` that does not fit.
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
    if out is None:
        out = torch.empty((batch, 3, height, width), dtype=torch.float32, device=images.device, memory_format=layout)
    elif out.dtype != torch.float32 or out.shape[1:] != (3, height, width) or len(out) < batch:
        raise ValueError(f"out is {tuple(out.shape)} {out.dtype}; expected at least {batch} of (3, {height}, {width})")
    elif not out.is_contiguous(memory_format=layout):
        raise ValueError(f"out is not in memory as {layout}")
    floats = out[:batch]
    if images.device.type == "cpu":
        _look_up(images.contiguous(), _table(contract.value_range), floats, channels_last=channels_last)
    else:
        subtract, divide = SUBTRACT_AND_DIVIDE[contract.value_range]
        floats.copy_(images.permute(0, 3, 1, 2)).sub_(subtract).div_(divide)
    return floats


@functools.cache
def _table(value_range: str) -> npt.NDArray[np.float32]:
    """Return (1, 256) what each value becomes: divided, not multiplied by a reciprocal, so correctly rounded."""
    subtract, divide = SUBTRACT_AND_DIVIDE[value_range]
    return ((np.arange(256, dtype=np.float32) - np.float32(subtract)) / np.float32(divide))[None]


def _look_up(images: Tensor, table: npt.NDArray[np.float32], floats: Tensor, *, channels_last: bool) -> None:
    """Write table[images] into `floats`: one pass over the floats, where arithmetic takes three."""
    if channels_last:
        rows, places = images.flatten(2).numpy(), floats.permute(0, 2, 3, 1).flatten(2).numpy()
        for row, place in zip(rows, places, strict=True):
            cv2.LUT(row, table, dst=place)
        return
    for image, planes in zip(images.numpy(), floats.numpy(), strict=True):
        for values, plane in zip(cv2.split(image), planes, strict=True):  # reordering bytes is cheaper than floats
            cv2.LUT(values, table, dst=plane)
