"""Who a drawn person is: some sixty named traits, each with its distribution.

A person is a standard normal vector; a trait is `mean + spread * z`, clipped, where z mixes the trait's own draw with
three factors that real faces share between traits (`sex`, `melanin`, `east`). Working with the normal vector makes
people differ gradually and makes siblings simple: a sibling's vector is correlated with that of the other.

Lengths are millimetres on a head with x to the right of the image, y up from the pupils and z towards the viewer.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError

FACTORS = ("sex", "melanin", "east")
NUM_MOLES = 3
_STREAM = 1  # keeps the draws of identities apart from those of pictures made with the same numbers


def trait(mean: float, spread: float, low: float, high: float, **loadings: float) -> Any:
    """Return a dataclass field for a trait: normal around `mean`, clipped to [low, high].

    `loadings` say which part of a standard deviation comes from a shared factor; their squares sum to at most 1.
    """
    return dataclasses.field(default=mean, metadata={"spread": spread, "low": low, "high": high, "loadings": loadings})


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The traits of one drawn person; the defaults are the average person."""

    # skull and jaw
    head_width: float = trait(75.0, 3.2, 66, 84)
    """Half width of the skull above the ears."""
    head_height: float = trait(119.0, 5.0, 105, 133)
    """Crown above the pupils."""
    cheek_width: float = trait(68.0, 3.4, 58, 77, east=0.35)
    """Half width at the cheekbones."""
    jaw_width: float = trait(54.0, 5.2, 41, 67, sex=0.5)
    """Half width at the angle of the jaw."""
    jaw_height: float = trait(-72.0, 6.0, -88, -56)
    """Height of the angle of the jaw."""
    chin_width: float = trait(25.0, 5.0, 13, 38, sex=0.4)
    """Half width just above the chin's end."""
    chin_height: float = trait(-116.0, 5.5, -131, -102, sex=-0.45)
    """End of the chin."""
    chin_forward: float = trait(3.5, 2.4, -2, 10)
    """How far the chin stands out."""
    chin_cleft: float = trait(0.0, 0.8, 0, 2, sex=0.3)
    """Depth of the cleft."""
    face_depth: float = trait(91.0, 3.0, 83, 99)
    """Front of the face before the axis of the head."""
    forehead_slope: float = trait(7.0, 4.0, -2, 18, sex=0.4)
    """How far the forehead falls back at 65 mm above the pupils."""
    cheekbone: float = trait(3.0, 2.2, -1.5, 9, east=0.3)
    """How far the cheekbone stands out."""
    cheek_fullness: float = trait(1.0, 2.2, -4, 6.5)
    """Roundness (above 0) or hollowness (below 0) of the lower cheek."""
    # eyes
    eye_distance: float = trait(31.8, 2.1, 26, 38)
    """From the middle of the face to a pupil."""
    eye_width: float = trait(15.0, 1.35, 11, 19)
    """Half length of the opening."""
    eye_opening: float = trait(5.9, 1.0, 3.2, 8.8, east=-0.35)
    """Upper lid above the corners' line."""
    eye_tilt: float = trait(0.07, 0.075, -0.12, 0.27, east=0.4)
    """Radians, outer corner raised."""
    eye_depth: float = trait(6.5, 2.2, 1, 12, east=-0.5, sex=0.2)
    """Depth of the socket."""
    lid_crease: float = trait(3.4, 1.4, 0.6, 7.5, east=-0.35)
    """Fold of the upper lid above its edge."""
    lid_fold: float = trait(0.12, 0.25, 0, 1, east=0.75)
    """Strength of the fold over the inner corner (1: single lid)."""
    iris_radius: float = trait(6.0, 0.28, 5.2, 6.8)
    """Radius of the iris."""
    eye_lightness: float = trait(0.25, 0.34, 0, 1, melanin=-0.65, east=-0.35)
    """0 dark brown, 0.5 hazel, 1 pale."""
    eye_hue: float = trait(0.5, 0.32, 0, 1)
    """0 green, 1 blue; seen in light eyes only."""
    eye_bags: float = trait(0.35, 0.28, 0, 1)
    """Shadow under the lower lid."""
    # brows
    brow_height: float = trait(21.0, 2.7, 14, 29, sex=-0.4)
    """Brow above the pupil."""
    brow_thickness: float = trait(3.2, 0.95, 1.1, 6, sex=0.5)
    """Half thickness at the inner end."""
    brow_arch: float = trait(3.4, 1.9, -0.5, 8.5, sex=-0.3)
    """Rise of the arch over its ends."""
    brow_tilt: float = trait(0.05, 0.09, -0.2, 0.3)
    """Radians, outer end raised."""
    brow_length: float = trait(21.5, 2.1, 15, 28)
    """Half length."""
    brow_density: float = trait(0.72, 0.2, 0.2, 1)
    """Opacity."""
    brow_gap: float = trait(0.0, 1.6, -4.5, 4.5, sex=-0.2)
    """Shift of the whole brow outwards."""
    brow_ridge: float = trait(2.6, 1.8, -0.5, 8, sex=0.55)
    """How far the bone stands out."""
    # nose
    nose_tip_height: float = trait(-38.0, 3.6, -48, -28)
    """Tip, from the pupils."""
    nose_width: float = trait(16.5, 2.3, 11, 24, melanin=0.5, sex=0.2)
    """Half width at the wings."""
    nose_length: float = trait(20.0, 3.2, 11, 29, east=-0.25, sex=0.25)
    """How far the tip stands out."""
    bridge_height: float = trait(7.0, 2.6, 1, 14, east=-0.45, melanin=-0.25)
    """How far the bridge stands out between the eyes."""
    bridge_width: float = trait(7.2, 1.3, 4.2, 11, melanin=0.3)
    """Half width of the bridge."""
    nose_hump: float = trait(0.3, 1.2, -2.5, 4.5)
    """Convex (above 0) or concave bridge."""
    nose_ball: float = trait(8.2, 1.5, 4.8, 12.5, melanin=0.2)
    """Radius of the tip."""
    nose_upturn: float = trait(0.0, 2.2, -5.5, 6)
    """Tip above (or below) the base of the nose."""
    nose_bend: float = trait(0.0, 1.0, -3, 3)
    """The tip's distance from the middle."""
    # mouth
    mouth_height: float = trait(-72.0, 3.8, -83, -61)
    """Line between the lips."""
    mouth_width: float = trait(25.5, 2.7, 18, 33)
    """Half width."""
    upper_lip: float = trait(5.6, 1.6, 1.8, 10.5, melanin=0.5, sex=-0.2)
    """Height of the upper lip."""
    lower_lip: float = trait(7.4, 1.7, 3, 12.5, melanin=0.4)
    """Height of the lower lip."""
    cupid_bow: float = trait(1.7, 0.8, 0, 4)
    """Dip in the middle of the upper lip."""
    mouth_corner: float = trait(0.9, 1.3, -2.5, 4.5)
    """Corners above (or below) the middle."""
    lip_redness: float = trait(0.55, 0.22, 0.05, 1, sex=-0.5)
    """How far the lips leave the skin's colour."""
    smile_fold: float = trait(0.5, 0.3, 0, 1.4)
    """Depth of the fold from nose to mouth."""
    # ears
    ear_size: float = trait(31.0, 3.2, 23, 40, sex=0.3)
    """Half height."""
    ear_out: float = trait(8.0, 3.2, 2, 18)
    """How far the ears stand off."""
    # skin
    melanin: float = trait(0.40, 0.25, 0.0, 1.0, melanin=0.92)
    """0 very light, 1 very dark."""
    undertone: float = trait(0.0, 0.5, -1.2, 1.2, east=0.3)
    """Pink (below 0) to yellow."""
    ruddiness: float = trait(0.4, 0.25, 0, 1, melanin=-0.3)
    """Red of cheeks, nose and ears."""
    freckles: float = trait(0.05, 0.32, 0, 1, melanin=-0.35)
    """Density."""
    skin_mottle: float = trait(0.4, 0.25, 0, 1)
    """Unevenness of the tone."""
    gloss: float = trait(0.32, 0.15, 0.05, 0.75)
    """Shine."""
    wrinkles: float = trait(0.2, 0.3, 0, 1)
    """Lines of the forehead and around the eyes."""
    # hair
    hair_darkness: float = trait(0.68, 0.3, 0.0, 1.0, melanin=0.5, east=0.4)
    """0 blond, 1 black."""
    hair_redness: float = trait(0.35, 0.28, 0, 1, east=-0.3)
    """Warmth of the colour."""
    hair_grey: float = trait(-0.3, 0.42, 0, 1)
    """Share of grey."""
    hairline: float = trait(66.0, 7.0, 48, 92, sex=0.3)
    """Middle of the hairline above the pupils."""
    hairline_curve: float = trait(0.0, 9.0, -18, 24, sex=0.45)
    """Receding temples (above 0)."""
    hair_volume: float = trait(11.0, 5.5, 1.5, 27, sex=-0.4)
    """Thickness of the hair."""
    hair_length: float = trait(-20.0, 70.0, -150, 70, sex=0.72)
    """Height down to which hair hangs at the sides."""
    hair_curl: float = trait(0.25, 0.3, 0, 1, melanin=0.5, east=-0.3)
    """0 straight, 1 tight curls."""
    hair_parting: float = trait(0.0, 24.0, -48, 48)
    """Where the fringe parts."""
    fringe: float = trait(-14.0, 22.0, -30, 40, sex=-0.2)
    """How far the fringe hangs below the hairline (none below 0)."""
    beard: float = trait(-0.28, 0.5, 0, 1, sex=0.85)
    """0 none, 0.3 stubble, 1 full."""
    moustache: float = trait(-0.1, 0.45, 0, 1, sex=0.85)
    """Weight of the moustache."""
    moles: tuple[tuple[float, float, float, float], ...] = ()
    """(x, y, radius, darkness 0..1) of each."""
    pattern: int = 0
    """Number of the skin and hair texture's place in the common noise."""


def draw_identity(seed: int, person: int) -> Identity:
    """Return the person: a pure function of (seed, person)."""
    return _from_normals(*_normals(seed, person))


def draw_sibling(seed: int, person: int, *, of: int, similarity: float = 0.8) -> Identity:
    """Return the person as a sibling of another: normal vectors correlated by `similarity` (0 strangers, 1 twins).

    Moles and the skin's fine texture stay the person's own, as they are with real siblings.
    """
    if not 0.0 <= similarity <= 1.0:
        raise InputError(f"similarity is {similarity}; it is a correlation between 0 (strangers) and 1 (twins)")
    own, rng = _normals(seed, person)
    other, _ = _normals(seed, of)
    return _from_normals(similarity * other + math.sqrt(1.0 - similarity**2) * own, rng)


def trait_fields() -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of `Identity` that are normal traits, in order."""
    return tuple(item for item in dataclasses.fields(Identity) if "spread" in item.metadata)


def trait_vector(identity: Identity) -> npt.NDArray[np.float64]:
    """Return (T,) traits in standard deviations from the average person: the space to measure likeness in."""
    return np.array([(getattr(identity, f.name) - f.default) / f.metadata["spread"] for f in trait_fields()])


def _normals(seed: int, person: int) -> tuple[npt.NDArray[np.float64], np.random.Generator]:
    if seed < 0 or person < 0:
        raise InputError(f"seed {seed} and person {person} must not be negative")
    rng = np.random.default_rng([seed, _STREAM, person])
    return rng.standard_normal(len(FACTORS) + len(trait_fields())), rng


def _from_normals(normals: npt.NDArray[np.float64], rng: np.random.Generator) -> Identity:
    factors = dict(zip(FACTORS, normals, strict=False))
    values: dict[str, Any] = {}
    for field, own in zip(trait_fields(), normals[len(FACTORS) :], strict=True):
        about = field.metadata
        shared = sum(loading * factors[name] for name, loading in about["loadings"].items())
        z = shared + own * math.sqrt(1.0 - sum(loading**2 for loading in about["loadings"].values()))
        values[field.name] = float(np.clip(field.default + about["spread"] * z, about["low"], about["high"]))
    num_moles = int(rng.binomial(NUM_MOLES, 0.3))
    moles = tuple(
        (float(rng.uniform(-44, 44)), float(rng.uniform(-100, 50)), float(rng.gamma(4.0, 0.32) + 0.5),
         float(rng.uniform(0.35, 0.9)))
        for _ in range(num_moles)
    )  # fmt: skip
    return Identity(**values, moles=moles, pattern=int(rng.integers(1 << 30)))
