"""A picture to look at: drawn people in rows, one nuisance after another in columns, each strong and alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from marginface.drawn.camera import encode
from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance
from marginface.drawn.people import DrawnPeople
from marginface.drawn.portrait import draw_crop
from marginface.errors import InputError, WorkError

COLUMNS: dict[str, dict[str, Any]] = {
    "clean": {},
    "yaw": {"yaw": 0.55},
    "pitch": {"pitch": -0.3},
    "smile": {"smile": 0.9, "mouth_open": 0.3},
    "speech": {"mouth_open": 0.8, "brow_raise": 0.9},
    "blink": {"eyes_closed": 1.0},
    "side light": {"light_azimuth": -1.3, "light_elevation": 0.1, "light_strength": 0.9},
    "warm light": {"light_warmth": 0.9, "exposure": 0.6},
    "glasses": {"glasses": "clear"},
    "sunglasses": {"glasses": "dark"},
    "mask": {"occluder": "mask", "occluder_size": 0.6},
    "object": {"occluder": "object", "occluder_size": 0.6},
    "cap": {"hat": 0.7},
    "blur": {"blur_sigma": 2.0},
    "low res": {"low_resolution": 4.0},
    "noise": {"noise_sigma": 16.0, "jpeg_quality": 30},
}
"""The title of each column and the settings of its pictures that are not those of a clean one."""
NUM_EVERYDAY = 4
_HEADER = 18


def contact_sheet(people: DrawnPeople, *, num_people: int = 8, size: int = 112) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB: a row for each of the first people; the last columns are pictures of the set itself.

    Raises:
        InputError: There are no people to show.
    """
    if num_people < 1 or size < 16:
        raise InputError(
            f"a contact sheet of {num_people} people at {size} pixels shows nothing; ask for 1 and 16 or more"
        )
    persons = range(people.first_person, people.first_person + min(num_people, people.num_people))
    numbers = range(min(NUM_EVERYDAY, people.images_per_person))
    header = _titles([*COLUMNS, *(f"picture {number}" for number in numbers)], size)
    rows = [header]
    for person in persons:
        who = people.identity(person)
        alone = [Nuisance(**settings, detail=31 * person + column) for column, settings in enumerate(COLUMNS.values())]
        everyday = [people.nuisance(person, number) for number in numbers]
        rows.append(np.hstack([_as_seen(who, nuisance, size) for nuisance in alone + everyday]))
    return np.vstack(rows)


def write_contact_sheet(people: DrawnPeople, path: str | Path, *, num_people: int = 8, size: int = 112) -> Path:
    """Write `contact_sheet` as a PNG and return its path.

    Raises:
        WorkError: The file could not be written.
    """
    path = Path(path)
    done, data = cv2.imencode(".png", contact_sheet(people, num_people=num_people, size=size)[..., ::-1])
    if not done:
        raise WorkError(f"OpenCV could not encode the contact sheet {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise WorkError(f"could not write the contact sheet {path}: {error}") from error
    return path


def _as_seen(who: Identity, nuisance: Nuisance, size: int) -> npt.NDArray[np.uint8]:
    """Return the crop after JPEG, as a network would get it."""
    data = encode(draw_crop(who, nuisance, size=size).image, nuisance)
    bgr = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(bgr[..., ::-1])


def _titles(names: list[str], size: int) -> npt.NDArray[np.uint8]:
    strip = np.full((_HEADER, size * len(names), 3), 255, np.uint8)
    for column, name in enumerate(names):
        place = (column * size + 4, _HEADER - 6)
        cv2.putText(strip, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (60, 60, 60), 1, cv2.LINE_AA)
    return strip
