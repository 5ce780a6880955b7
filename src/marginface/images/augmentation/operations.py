"""The operations by their kinds, one of several, and the orders of operations that have been published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from marginface.config import by_kind
from marginface.errors import InputError
from marginface.images.augmentation.colour import (
    GrayscaleConfig,
    HueSaturationConfig,
    PhotometricConfig,
    RandomPhotometricConfig,
)
from marginface.images.augmentation.draws import Draws
from marginface.images.augmentation.geometry import AffineConfig, CropConfig, HolesConfig
from marginface.images.augmentation.occlusion import MedicalMaskConfig, SunglassesConfig
from marginface.images.augmentation.operation import OperationConfig, Pixels
from marginface.images.augmentation.resolution import (
    GaussianBlurConfig,
    JpegConfig,
    LowResolutionConfig,
    MotionBlurConfig,
    WindowBlurConfig,
)


@dataclass(frozen=True, kw_only=True)
class OneOfConfig(OperationConfig):
    """Exactly one of several operations. Strength: that of the one."""

    kind: Literal["one_of"] = "one_of"
    choices: tuple[Annotated[OperationConfig, by_kind("operation", OPERATIONS)], ...]
    """Their probabilities say how likely each is to be the one, and add up to 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        total = sum(choice.probability for choice in self.choices)
        if abs(total - 1.0) > 1e-6:
            raise InputError(f"one_of: the probabilities of its choices add up to {total:g}; they have to add up to 1.")

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return what the chosen operation makes of the image."""
        left = draws.uniform()
        for choice in self.choices[:-1]:
            left -= choice.probability
            if left < 0:
                return choice.apply(image, draws)
        return self.choices[-1].apply(image, draws)


OPERATIONS: dict[str, type[OperationConfig]] = {
    "crop": CropConfig,
    "holes": HolesConfig,
    "affine": AffineConfig,
    "low_resolution": LowResolutionConfig,
    "gaussian_blur": GaussianBlurConfig,
    "window_blur": WindowBlurConfig,
    "motion_blur": MotionBlurConfig,
    "jpeg": JpegConfig,
    "photometric": PhotometricConfig,
    "hue_saturation": HueSaturationConfig,
    "grayscale": GrayscaleConfig,
    "random_photometric": RandomPhotometricConfig,
    "medical_mask": MedicalMaskConfig,
    "sunglasses": SunglassesConfig,
    "one_of": OneOfConfig,
}

PRESETS: dict[str, tuple[OperationConfig, ...]] = {
    # Kim et al., CVPR 2022, section 4 and code: probabilities of the published runs.
    "adaface": (
        CropConfig(probability=0.2),
        LowResolutionConfig(probability=0.2),
        PhotometricConfig(probability=0.2),
    ),
    # insightface, arcface_torch, `dali_aug`: sides of 56 to 89 pixels, windows of 3 or 5.
    "insightface_dali": (
        LowResolutionConfig(probability=0.1, side=(56 / 112, 89 / 112), down=("triangle",), up=("linear",)),
        WindowBlurConfig(probability=0.2, windows=(3, 5)),
        HueSaturationConfig(probability=0.2),
        GrayscaleConfig(probability=0.1),
    ),
    # CVLface, gridsample_v1: affine always; holes are one cutout in twenty; eight blurs in ten are low resolution.
    "cvlface": (
        AffineConfig(),
        OneOfConfig(probability=0.2, choices=(HolesConfig(probability=0.05), CropConfig(probability=0.95))),
        OneOfConfig(
            probability=0.2,
            choices=(
                WindowBlurConfig(probability=0.1, shape="box", windows=tuple(range(1, 10))),
                GaussianBlurConfig(probability=0.1, sigma=(0.0, 4.0)),
                LowResolutionConfig(probability=0.8),
            ),
        ),
        RandomPhotometricConfig(),
    ),
}
"""What ran in which order in published training, with its probabilities."""
