"""Photographs that nobody is in, and archives laid out like those of LFW and the London Set."""

from __future__ import annotations

import io
import tarfile
import zipfile

import cv2
import numpy as np

LFW_EYES = ((104, 112), (147, 112))
STUDIO_EYES = ((180.0, 212.0), (250.0, 210.0))


def face(side: int, eyes, *, seed: int = 0, smiling: bool = False) -> np.ndarray:
    """A (side, side, 3) RGB drawing: an oval, two eyes (red left, blue right, as seen), a nose and a mouth."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), 200, np.uint8)
    (left, right), distance = np.array(eyes, float), float(np.linalg.norm(np.subtract(*eyes)))
    middle = (left + right) / 2
    at = lambda dx, dy: tuple(np.round(middle + distance * np.array([dx, dy])).astype(int).tolist())  # noqa: E731
    skin = tuple(int(v) for v in rng.integers(120, 180, 3))
    cv2.ellipse(image, at(0, 0.45), (round(distance), round(distance * 1.35)), 0, 0, 360, skin, -1)
    for eye, colour in ((left, (220, 20, 20)), (right, (20, 20, 220))):
        place = tuple(np.round(eye).astype(int).tolist())
        cv2.circle(image, place, round(distance * 0.18), (250, 250, 250), -1)
        cv2.circle(image, place, round(distance * 0.09), colour, -1)
        brow = (place[0], place[1] - round(distance * 0.28))
        cv2.ellipse(image, brow, (round(distance * 0.2), 3), int(rng.integers(-15, 15)), 0, 360, (60, 40, 20), -1)
    cv2.line(image, at(0, 0.1), at(0, 0.5), (90, 60, 50), 3)
    size = (round(distance * (0.5 if smiling else 0.35)), round(distance * (0.2 if smiling else 0.05)))
    cv2.ellipse(image, at(0, 0.95), size, 0, 0, 180, (150, 40, 40), -1)
    return image


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def lfw_archive(people: dict[str, int], *, extra: dict[str, bytes] | None = None) -> bytes:
    """A .tgz with `lfw_funneled/Ada/Ada_0001.jpg`, ... and whatever `extra` says."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        members = {
            f"lfw_funneled/{person}/{person}_{i:04d}.jpg": jpeg(face(250, LFW_EYES, seed=hash_of(person)))
            for person, count in people.items()
            for i in range(1, count + 1)
        }
        for name, content in {**members, **(extra or {})}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def london_archives(people: list[str], *, moved_by: tuple[float, float] = (9.0, -14.0)) -> tuple[bytes, bytes]:
    """neutral_front.zip (photographs, templates and what macOS adds) and smiling_front.zip (photographs only)."""
    moved = tuple((x + moved_by[0], y + moved_by[1]) for x, y in STUDIO_EYES)
    tem = "3\n" + "".join(f"{x}\t{y}\n" for x, y in (*STUDIO_EYES, (1, 1))) + "1\n0\n2\n0 1\n"
    neutral, smiling = {}, {}
    for person in people:
        neutral[f"neutral_front/{person}_03.jpg"] = jpeg(face(420, STUDIO_EYES, seed=hash_of(person)))
        neutral[f"neutral_front/{person}_03.tem"] = tem.encode()
        neutral[f"__MACOSX/neutral_front/._{person}_03.jpg"] = b"not a picture"
        smiling[f"smiling_front/{person}_08.jpg"] = jpeg(face(420, moved, seed=hash_of(person), smiling=True))
    return zipped(neutral), zipped(smiling)


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def eye_places(crop: np.ndarray) -> np.ndarray:
    """(2, 2) where the red and the blue eye of a drawing are in its crop."""
    red, blue = (crop[..., i].astype(int) - crop.astype(int).sum(axis=2) / 3 for i in (0, 2))
    upper = np.zeros(crop.shape[:2], bool)
    upper[: int(crop.shape[0] * 0.65)] = True
    return np.array([np.argwhere((colour > 60) & upper).mean(axis=0)[::-1] for colour in (red, blue)])


def hash_of(person: str) -> int:
    return sum(map(ord, person))
