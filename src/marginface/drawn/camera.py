"""From light to a file: exposure, colour, blur, low resolution, noise and JPEG, in the order a camera does them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from marginface.drawn.nuisance import Nuisance
from marginface.errors import WorkError

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def expose(light: npt.NDArray[np.floating], nuisance: Nuisance) -> npt.NDArray[np.uint8]:
    """Return (size, size, 3) uint8 RGB from linear light (3, size, size), 0..1 and a little above."""
    warmth = nuisance.light_warmth
    tint = np.array([1.0 + 0.15 * warmth, 1.0, 1.0 - 0.22 * warmth], np.float32) * np.float32(nuisance.exposure)
    planes = light * tint[:, None, None]
    shoulder = np.float32(0.18) * planes
    shoulder += np.float32(1.0)
    planes *= np.divide(np.float32(1.1), shoulder, out=shoulder)  # the shoulder of a film
    planes.clip(np.float32(0.0), np.float32(1.0), out=planes)
    image = cv2.merge(list(np.sqrt(planes, out=planes)))  # close to the sRGB curve, and much cheaper
    if nuisance.saturation != 1.0:
        grey = (image @ _LUMA)[..., None]
        image -= grey
        image *= np.float32(nuisance.saturation)
        image += grey
    size = image.shape[0]
    if nuisance.blur_sigma > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), nuisance.blur_sigma * size / 112.0)
    if nuisance.low_resolution > 1.05:
        small = max(8, round(size / nuisance.low_resolution))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    image *= np.float32(255.0)
    if nuisance.noise_sigma > 0.1:
        rng = np.random.default_rng([nuisance.detail, 1])
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        noise *= np.float32(nuisance.noise_sigma)
        image += noise
    image += np.float32(0.5)
    rounded: npt.NDArray[np.uint8] = image.clip(np.float32(0.0), np.float32(255.0), out=image).astype(np.uint8)
    return rounded


def encode(image: npt.NDArray[np.uint8], nuisance: Nuisance) -> bytes:
    """Return the JPEG file of an RGB image at the picture's quality."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, nuisance.jpeg_quality])
    if not done:
        raise WorkError(f"OpenCV could not encode a drawn picture of {image.shape} as JPEG")
    return bytes(data.tobytes())
