"""Embeddings of people whose errors are known: clusters of directions, and prints that are all different."""

from __future__ import annotations

import numpy as np

from marginface.curation.prints import SIDE, Prints
from marginface.records.embedding_table import EmbeddingTable

DIM = 64
SPREAD = 0.6
"""Length of an image's own part beside its person's direction of length 1."""


def directions(num: int, *, seed: int = 0) -> np.ndarray:
    """Return (num, DIM) unit rows."""
    rows = np.random.default_rng((seed, 0)).normal(size=(num, DIM))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def images_of(person: np.ndarray, num: int, *, seed: int) -> np.ndarray:
    """Return (num, DIM) views of a direction."""
    own = np.random.default_rng((seed, 1)).normal(size=(num, DIM)) * SPREAD / np.sqrt(DIM)
    return person + own


def table_of(rows: np.ndarray, names: list[str]) -> EmbeddingTable:
    """Return a table whose keys are name/number."""
    order = sorted(set(names))
    vectors = np.asarray(rows, np.float32)
    return EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1).astype(np.float32),
        keys=tuple(f"{name}/{i:04d}" for i, name in enumerate(names)),
        labels=np.array([order.index(name) for name in names], np.int64),
        identities=tuple(order),
        fingerprint="clusters",
    )


def people(num: int = 40, images: int = 8) -> tuple[np.ndarray, list[str]]:
    """Return rows and names of `num` people, p00 and so on, with `images` images each."""
    centres = directions(num)
    rows = np.concatenate([images_of(centre, images, seed=i) for i, centre in enumerate(centres)])
    return rows, [f"p{i:02d}" for i in range(num) for _ in range(images)]


def prints_of(num: int, *, seed: int = 0) -> Prints:
    """Return prints of `num` pictures of which none is like another."""
    rng = np.random.default_rng((seed, 2))
    tiny = rng.normal(size=(num, SIDE * SIDE)).astype(np.float32)
    tiny -= tiny.mean(axis=1, keepdims=True)
    tiny /= np.linalg.norm(tiny, axis=1, keepdims=True)
    digest = np.array([np.void(i.to_bytes(16, "big")) for i in range(num)], dtype="V16")
    return Prints(digest, tiny)
