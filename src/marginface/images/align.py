"""Five landmarks -> an aligned square crop: the ArcFace template and a least-squares similarity transform.

The template and the fit are those of insightface's `norm_crop`, which every published 112-pixel model expects.
Reference for the fit: Umeyama, PAMI 1991. In the plane, without reflection, it has the closed form below.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.detect import in_resized, resized

ARCFACE_TEMPLATE_112: npt.NDArray[np.float32] = np.array(
    [
        [38.2946, 51.6963],  # left eye, as seen in the image
        [73.5318, 51.5014],  # right eye
        [56.0252, 71.7366],  # nose
        [41.5493, 92.3655],  # left mouth corner
        [70.7299, 92.2041],  # right mouth corner
    ],
    dtype=np.float32,
)
ARCFACE_TEMPLATE_112.flags.writeable = False


def template(size: int) -> npt.NDArray[np.float32]:
    """Return the (5, 2) places, in pixels, where the landmarks belong in a crop of `size` x `size`.

    Multiples of 128 that are not multiples of 112 use the field's 128-pixel template, which is the 112-pixel one
    with 8 pixels added on the left and right; every other size is the 112-pixel template scaled by size / 112.
    """
    if size % 128 == 0 and size % 112 != 0:
        scaled = ARCFACE_TEMPLATE_112 * (size / 128)
        scaled[:, 0] += 8 * size / 128
        return scaled
    return ARCFACE_TEMPLATE_112 * np.float32(size / 112)


def similarity_transform(landmarks: npt.ArrayLike, size: int) -> npt.NDArray[np.float64]:
    """Return the (2, 3) matrix that takes the landmarks to `template(size)`, in the least-squares sense.

    Scale, rotation and translation only. With points as complex numbers around their means the best factor is
    `sum(conj(from) * to) / sum(|from|^2)`: its modulus is the scale, its argument the rotation.

    Args:
        landmarks: (5, 2) pixels, x then y, in the order of `ARCFACE_TEMPLATE_112`.
        size: side of the crop in pixels.

    Raises:
        InputError: not five finite points, or points that all coincide.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise InputError(
            f"alignment needs five finite landmarks as a (5, 2) array of x and y, got {points.tolist()!r}."
        )
    source = points[:, 0] + 1j * points[:, 1]
    target = template(size).astype(np.float64) @ np.array([1, 1j])
    centred = source - source.mean()
    spread = np.square(np.abs(centred)).sum()
    if spread < 1e-6:  # pixels squared
        raise InputError(f"the five landmarks all lie at {points[0].tolist()}, so there is nothing to align by.")
    factor = np.vdot(centred, target - target.mean()) / spread
    shift = target.mean() - factor * source.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def align(image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike, *, size: int = 112) -> npt.NDArray[np.uint8]:
    """Return the (size, size, 3) uint8 crop with the landmarks at the template: bilinear, black outside the image.

    Args:
        image: (H, W, 3) uint8.
        landmarks: (5, 2) pixels, x then y, in the order of `ARCFACE_TEMPLATE_112`.
        size: side of the crop in pixels.

    Raises:
        InputError: see `similarity_transform`.
    """
    matrix = similarity_transform(landmarks, size)
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(warped, dtype=np.uint8)


def crop(image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike, *, size: int = 112) -> npt.NDArray[np.uint8]:
    """Return the aligned (size, size, 3) crop, averaged over areas first where the photograph is much larger.

    `align` samples bilinearly, which alone would keep one pixel of seven of a studio photograph, and its noise.

    Args:
        image: (H, W, 3) uint8.
        landmarks: (5, 2) pixels, x then y, in the order of `ARCFACE_TEMPLATE_112`.
        size: side of the crop in pixels.

    Raises:
        InputError: see `similarity_transform`.
    """
    matrix = similarity_transform(landmarks, size)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.75:
        small = resized(image, scale / 0.75)
        image, landmarks = small, in_resized(landmarks, image, small)
    return align(image, landmarks, size=size)
