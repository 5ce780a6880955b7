"""Records become an embedding table: every image once, in order, nothing lost in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch

from marginface.errors import InputError
from marginface.images.normalize import InputContract
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import sequential_batches
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource

Flip = Literal["none", "sum"]
"""`sum` adds the embedding of the mirrored image, as published verification tables do."""
Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@runtime_checkable
class Embedder(Protocol):
    """What turns face crops into vectors: a `FaceModel`, or a baseline."""

    @property
    def name(self) -> str: ...

    @property
    def contract(self) -> InputContract: ...

    @property
    def embedding_dim(self) -> int: ...

    @property
    def fingerprint(self) -> str:
        """Equal only where the same image gives the same vector."""

    def embed(self, images: torch.Tensor, *, flip: Flip = "sum") -> torch.Tensor:
        """Return (B, D) float32 embeddings, not normalised, for (B, H, W, 3) uint8 RGB crops."""


def embed_records(
    embedder: Embedder,
    source: RecordSource,
    *,
    flip: Flip = "sum",
    batch_size: int = 64,
    num_workers: int = 0,
    skip_broken: bool = False,
    progress: Progress | None = None,
) -> EmbeddingTable:
    """Return the embeddings of all images of a source, in its order.

    With `skip_broken`, images that cannot be decoded are absent from the table and named in `meta["broken"]`; without
    it the first one is an error.

    Args:
        embedder: its contract decides the size of the crops.
        source: aligned face crops.
        flip: whether the mirrored image's embedding is added.
        batch_size: images a step; the vectors do not depend on it beyond rounding.
        num_workers: processes that decode; 0 decodes in this one.
        skip_broken: go on without images that cannot be decoded.
        progress: called after every batch.

    Raises:
        InputError: an empty source, a broken image (unless `skip_broken`), or no image that could be decoded.
    """
    if len(source) == 0:
        raise InputError(f"{source.location}: there are no images to embed.")
    dataset = FaceDataset(source, size=embedder.contract.input_size, augment=None)
    vectors = np.empty((len(source), embedder.embedding_dim), dtype=np.float32)
    positions: list[np.ndarray] = []
    done, met = 0, 0
    for batch in sequential_batches(dataset, batch_size=batch_size, num_workers=num_workers, skip_broken=skip_broken):
        count = len(batch.indices)
        if count:
            vectors[done : done + count] = embedder.embed(batch.images, flip=flip).cpu().numpy()
            positions.append(batch.indices.numpy())
            done += count
        met += count + len(batch.broken)
        if progress is not None:
            progress(met, len(source))
    kept = np.concatenate(positions)
    missing = np.setdiff1d(np.arange(len(source)), kept)
    vectors = vectors[:done]
    keys = source.keys
    meta: dict[str, Any] = {
        "embedder": embedder.name,
        "flip": flip,
        "source": source.location,
        "broken": [keys[int(i)] for i in missing],
    }
    return EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1).astype(np.float32),
        keys=tuple(keys[int(i)] for i in kept),
        labels=np.asarray(source.labels)[kept].astype(np.int64),
        identities=tuple(source.identities),
        fingerprint=embedder.fingerprint,
        meta=meta,
    )
