"""What differs between two pictures of one drawn person: drawn per picture, with known strength.

`difficulty` multiplies every spread and probability: 0 is a passport photograph, 1 is the everyday variety of web
photographs, above 1 is harder. Angles are radians: positive yaw turns the nose to the right of the image, positive
pitch lifts it, positive roll turns the head clockwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from marginface.errors import InputError

_STREAM = 2
GLASSES = ("none", "clear", "dark")
OCCLUDERS = ("none", "mask", "object", "scarf")


@dataclass(frozen=True, kw_only=True)
class Nuisance:
    """The circumstances of one picture; the defaults are a clean frontal photograph in soft light."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    smile: float = 0.0
    """0..1; below 0 the corners of the mouth drop."""
    mouth_open: float = 0.0
    """0..1."""
    brow_raise: float = 0.0
    """-1..1."""
    eyes_closed: float = 0.0
    """0 open .. 1 closed."""
    gaze_x: float = 0.0
    """-1..1, to the right of the image."""
    gaze_y: float = 0.0
    """-1..1, upwards."""
    light_azimuth: float = 0.35
    """Radians from the camera, to the right of the image."""
    light_elevation: float = 0.6
    """Radians above the camera."""
    light_strength: float = 0.55
    """Share of the light that has a direction; the rest comes from everywhere."""
    light_warmth: float = 0.0
    """-1 blue .. 1 orange."""
    exposure: float = 1.0
    """Factor on the light."""
    saturation: float = 1.0
    """0 grey .. 1 as it is."""
    hair_jitter: float = 0.0
    """-1..1: how the hair lies today."""
    hat: float = 0.0
    """0 none, else how far a cap comes down (0.5 over the hairline .. 1 near the brows)."""
    glasses: str = "none"
    """One of `GLASSES`."""
    occluder: str = "none"
    """One of `OCCLUDERS`."""
    occluder_size: float = 0.0
    """0..1."""
    blur_sigma: float = 0.0
    """Pixels of a 112 pixel crop."""
    low_resolution: float = 1.0
    """Factor by which the picture was shrunk before it came to us, >= 1."""
    noise_sigma: float = 0.0
    """Grey levels of 255."""
    jpeg_quality: int = 95
    landmark_jitter: float = 0.0
    """Standard deviation of the detector's landmarks, millimetres on the head."""
    detail: int = 0
    """Seed of what has no strength of its own: background, noise, clothes, the occluder's place."""


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def draw_nuisance(seed: int, person: int, index: int, *, difficulty: float) -> Nuisance:
    """Return the circumstances of picture `index`: a pure function of the arguments."""
    if difficulty < 0.0 or not math.isfinite(difficulty):
        raise InputError(f"difficulty is {difficulty}; it must be 0 (passport photographs) or more")
    if seed < 0 or person < 0 or index < 0:
        raise InputError(f"seed {seed}, person {person} and picture {index} must not be negative")
    rng = np.random.default_rng([seed, _STREAM, person, index])

    def normal(spread: float, bound: float) -> float:
        """Draw around 0; the bound keeps a hard picture one that a person could still recognise."""
        return _clip(rng.normal(0.0, spread) * difficulty, -bound, bound)

    def positive(scale: float, bound: float) -> float:
        return float(min(rng.exponential(scale) * difficulty, bound))

    def chance(probability: float) -> bool:
        return bool(rng.random() < min(probability * difficulty, 1.0))

    talks, blinks, wears_hat, occluded = chance(0.3), chance(0.06), chance(0.07), chance(0.12)
    spectacles = ("dark" if rng.random() < 0.25 else "clear") if chance(0.22) else "none"
    return Nuisance(
        yaw=normal(0.26, 0.75),
        pitch=normal(0.13, 0.4),
        roll=normal(0.12, 0.6),
        smile=_clip(rng.normal(0.3, 0.45) * difficulty, -0.5, 1.0),
        mouth_open=float(rng.uniform(0.1, 0.8)) * min(difficulty, 1.2) if talks else 0.0,
        brow_raise=normal(0.4, 1.0),
        eyes_closed=float(rng.uniform(0.4, 1.0)) if blinks else positive(0.08, 0.5),
        gaze_x=normal(0.35, 1.0),
        gaze_y=normal(0.2, 0.7),
        light_azimuth=0.35 * (1 if rng.random() < 0.5 or difficulty == 0 else -1) + normal(0.6, 1.3),
        light_elevation=_clip(0.6 + normal(0.35, 1.0), -0.3, 1.3),
        light_strength=_clip(0.5 + normal(0.2, 0.5), 0.1, 0.92),
        light_warmth=normal(0.38, 1.0),
        exposure=math.exp(normal(0.26, 0.8)),
        saturation=0.0 if chance(0.05) else _clip(1.0 + normal(0.18, 0.8), 0.2, 1.4),
        hair_jitter=normal(0.5, 1.0),
        hat=float(rng.uniform(0.45, 1.0)) if wears_hat else 0.0,
        glasses=spectacles,
        occluder=str(rng.choice(OCCLUDERS[1:])) if occluded else "none",
        occluder_size=float(rng.uniform(0.2, 1.0)) if occluded else 0.0,
        blur_sigma=positive(0.45, 2.2),
        low_resolution=1.0 + positive(0.45, 3.5),
        noise_sigma=positive(3.5, 16.0),
        jpeg_quality=int(95 - positive(16.0, 70.0)),
        landmark_jitter=0.9 * min(difficulty, 2.0),
        detail=int(rng.integers(1 << 30)),
    )
