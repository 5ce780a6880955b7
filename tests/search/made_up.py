"""Galleries of vectors that belong to nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from marginface.models.card import Threshold
from marginface.search.gallery import Gallery
from marginface.search.open_store import create_store
from marginface.search.settings import EnrolmentPolicy, GallerySettings, Vectors, new_id

DIM = 32
FINGERPRINT = "0123456789abcdef"
THRESHOLDS = (
    Threshold(score=0.5, target_fmr=1e-3, achieved_fmr=9e-4, data="made-up people"),
    Threshold(score=0.7, target_fmr=1e-4, achieved_fmr=1e-4, data="made-up people"),
)


def settings(**changes: Any) -> GallerySettings:
    """Return settings of a model that does not exist."""
    usual: dict[str, Any] = {
        "gallery_id": new_id(),
        "fingerprint": FINGERPRINT,
        "embedding_dim": DIM,
        "model": "made up",
        "thresholds": THRESHOLDS,
    }
    return GallerySettings(**(usual | changes))


def new_gallery(location: str | Path, *, timeout_seconds: float = 5.0, **changes: Any) -> Gallery:
    """Return an empty gallery, open."""
    create_store(location, settings(**changes), timeout_seconds=timeout_seconds).close()
    return open_gallery(location, timeout_seconds=timeout_seconds)


def open_gallery(location: str | Path, *, timeout_seconds: float = 5.0) -> Gallery:
    return Gallery(location, model=FINGERPRINT, timeout_seconds=timeout_seconds)


def keeping_crops() -> EnrolmentPolicy:
    return EnrolmentPolicy(keep_crops=True)


def faces_of(person: int, images: int = 1, *, spread: float = 0.2, dim: int = DIM) -> Vectors:
    """Return embeddings (images, dim) of norm about 20 of one made-up person, always the same ones."""
    rng = np.random.default_rng(person)
    centre = rng.standard_normal(dim)
    rows = centre / np.linalg.norm(centre) + spread * rng.standard_normal((images, dim)) / dim**0.5
    return np.asarray(20 * rows, dtype=np.float32)


def hand_over(gallery: Gallery, number: int) -> None:
    """Enrol people `person 0`, `person 1`, ..., two images each."""
    for person in range(number):
        gallery.enrol(f"person {person}", faces_of(person, 2))
