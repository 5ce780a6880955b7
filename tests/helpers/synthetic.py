"""Little face sets for tests: each identity is a pattern of coloured noise, each image a disturbed view of it.

Deterministic by (seed, identity, image): the same call writes the same bytes. Easy to tell apart, so that a tiny
network learns them in seconds; the images of one identity are never equal.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import simplejpeg


def face(*, identity: int, image: int, size: int = 112, seed: int = 0) -> np.ndarray:
    """Return (size, size, 3) uint8 RGB: view number `image` of `identity`."""
    person = np.random.default_rng((seed, identity))
    coarse = person.uniform(30, 225, (6, 6, 3)).astype(np.float32)
    view = np.random.default_rng((seed, identity, image))
    pattern = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    shift = view.uniform(-0.04, 0.04, 2) * size
    pattern = cv2.warpAffine(
        pattern, np.float32([[1, 0, shift[0]], [0, 1, shift[1]]]), (size, size), borderMode=cv2.BORDER_REFLECT
    )
    disturbed = pattern * view.uniform(0.85, 1.15) + view.normal(0, 6, pattern.shape)
    return np.clip(disturbed, 0, 255).round().astype(np.uint8)


def face_jpeg(*, identity: int, image: int, size: int = 112, seed: int = 0) -> bytes:
    """Return `face(...)` as JPEG bytes, quality 90."""
    pixels = face(identity=identity, image=image, size=size, seed=seed)
    return simplejpeg.encode_jpeg(pixels, quality=90, colorspace="RGB")


def write_faces(
    root: str | Path, *, num_identities: int = 4, images_per_identity: int = 6, size: int = 112, seed: int = 0
) -> Path:
    """Write `root/person_00/0000.jpg` and so on, and return `root`."""
    root = Path(root)
    for key, data in _files(num_identities, images_per_identity, size, seed):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_tar(
    path: str | Path, *, num_identities: int = 4, images_per_identity: int = 6, size: int = 112, seed: int = 0
) -> Path:
    """Write the same images as `write_faces` into a tar of `identity/image` members, and return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, data in _files(num_identities, images_per_identity, size, seed):
            member = tarfile.TarInfo(key)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_list(
    path: str | Path, *, num_identities: int = 4, images_per_identity: int = 6, size: int = 112, seed: int = 0
) -> Path:
    """Write the images beside a MagFace list (`path 0 label 0`, relative paths), and return the list's path."""
    path = Path(path)
    root = path.parent / "images"
    write_faces(root, num_identities=num_identities, images_per_identity=images_per_identity, size=size, seed=seed)
    keys = [key for key, _ in _files(num_identities, images_per_identity, size, seed)]
    lines = [f"images/{key} 0 {int(key.split('/')[0].split('_')[1])} 0" for key in keys]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _files(num_identities: int, images_per_identity: int, size: int, seed: int) -> list[tuple[str, bytes]]:
    return [
        (f"person_{i:02d}/{j:04d}.jpg", face_jpeg(identity=i, image=j, size=size, seed=seed))
        for i in range(num_identities)
        for j in range(images_per_identity)
    ]
