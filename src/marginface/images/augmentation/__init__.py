"""Operations that may happen to training images, by their kinds, and published orders of them."""

from marginface.images.augmentation.draws import Draws, addressed, in_stream, uniform, uniforms, units
from marginface.images.augmentation.operation import OperationConfig
from marginface.images.augmentation.operations import OPERATIONS, PRESETS

__all__ = [
    "OPERATIONS",
    "PRESETS",
    "Draws",
    "OperationConfig",
    "addressed",
    "in_stream",
    "uniform",
    "uniforms",
    "units",
]
