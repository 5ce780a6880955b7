"""All quality methods by name."""

from __future__ import annotations

from marginface.quality.embedding import dropout_stability, norm, stability
from marginface.quality.geometry import detector_confidence, inter_eye_distance, pose
from marginface.quality.method import QualityMethod
from marginface.quality.pixels import contrast, exposure, sharpness, uniformity

QUALITY: dict[str, QualityMethod] = {
    "norm": QualityMethod(
        compute=norm,
        meaning="length of the embedding: MagFace's magnitude, AdaFace's norm",
        component="UnifiedQualityScore",
        needs="model",
    ),
    "stability": QualityMethod(
        compute=stability, meaning="how little the embedding moves under mirror and shifts, 0 to 1", needs="model"
    ),
    "dropout_stability": QualityMethod(
        compute=dropout_stability,
        meaning="how little the embedding moves under dropout (SER-FIQ), 0 to 1",
        needs="model",
    ),
    "sharpness": QualityMethod(
        compute=sharpness, meaning="log10 of 1 + variance of the Laplacian", component="Sharpness"
    ),
    "exposure": QualityMethod(
        compute=exposure,
        meaning="share of pixels neither under- nor over-exposed",
        component="UnderExposurePrevention, OverExposurePrevention",
    ),
    "contrast": QualityMethod(
        compute=contrast, meaning="entropy of the luminance histogram, bits", component="DynamicRange"
    ),
    "uniformity": QualityMethod(
        compute=uniformity, meaning="likeness of the light on both halves, 0 to 1", component="IlluminationUniformity"
    ),
    "pose": QualityMethod(
        compute=pose,
        meaning="minus the distance of the nose from its frontal place",
        component="HeadPoseYaw, HeadPosePitch",
        needs="landmarks",
    ),
    "inter_eye_distance": QualityMethod(
        compute=inter_eye_distance,
        meaning="between the eyes in the photograph, pixels",
        component="InterEyeDistance",
        needs="photograph landmarks",
    ),
    "detector_confidence": QualityMethod(
        compute=detector_confidence,
        meaning="confidence of the detector, 0 to 1",
        component="SingleFacePresent",
        needs="detector score",
    ),
}
"""Each gives (N,) numbers of its own scale, higher is better."""
