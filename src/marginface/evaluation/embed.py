"""Records become an embedding table: every image once, in order, nothing lost in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from marginface.distributed import Ranks, gather_rows, together
from marginface.errors import InputError
from marginface.images.normalize import InputContract
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import sequential_batches
from marginface.models.face_model import FaceModel
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
    max_side: int = 512,
    progress: Progress | None = None,
    ranks: Ranks | None = None,
) -> EmbeddingTable:
    """Return the embeddings of all images of a source, in its order.

    Several ranks share the batches, and each returns the whole table, bit by bit that of one rank. With `skip_broken`,
    images that cannot be decoded are absent from the table and named in `meta["broken"]`; without it the first one is
    an error.

    Args:
        embedder: its contract decides the size of the crops.
        source: aligned face crops.
        flip: whether the mirrored image's embedding is added.
        batch_size: images a step; the vectors do not depend on it beyond rounding.
        num_workers: processes that decode; 0 decodes in this one.
        skip_broken: go on without images that cannot be decoded.
        max_side: larger images are not aligned crops and count as broken, pixels.
        progress: called after every batch; counts this rank's images.
        ranks: all of which call this together, with equal embedders and sources; None is this process alone.

    Raises:
        InputError: an empty source, a broken image (unless `skip_broken`), or no image that could be decoded.
    """
    if len(source) == 0:
        raise InputError(f"{source.location}: there are no images to embed.")
    if isinstance(embedder, FaceModel):
        embedder.expect(len(source))  # in all, not this rank's share: every rank then takes the same way
    share = _share_of(ranks, len(source), batch_size)

    dataset = FaceDataset(source, size=embedder.contract.input_size, max_side=max_side, augment=None)
    loader = sequential_batches(
        dataset, batch_size=batch_size, num_workers=num_workers, skip_broken=skip_broken, indices=share
    )

    def embed_share() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        vectors = np.empty((len(share), embedder.embedding_dim), dtype=np.float32)
        positions: list[int] = []
        try:
            for batch in loader:
                first, end = len(positions), len(positions) + len(batch)
                vectors[first:end] = embedder.embed(batch.images, flip=flip).cpu().numpy()
                positions.extend(batch.indices.tolist())
                if progress is not None:
                    progress(end + loader.num_broken, len(share))
        except InputError:
            if not (skip_broken and loader.num_broken == len(share) < len(source)):
                raise  # a share with no good image is no error yet: other ranks may have some
        return vectors[: len(positions)], np.array(positions, dtype=np.int64)

    vectors, kept = together(embed_share)
    if ranks is not None and ranks.world_size > 1:
        vectors, kept = (gather_rows(torch.from_numpy(part).to(ranks.device)).cpu().numpy() for part in (vectors, kept))
    if not len(kept):
        raise InputError(f"{source.location}: none of its images can be used.")
    missing = np.setdiff1d(np.arange(len(source)), kept)
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


def _share_of(ranks: Ranks | None, num_images: int, batch_size: int) -> range:
    """Return this rank's images: whole batches as one rank would have them, for rounding depends on who else is in."""
    if ranks is None:
        return range(num_images)
    num_batches = -(-num_images // max(batch_size, 1))
    first, end = (num_batches * rank // ranks.world_size for rank in (ranks.rank, ranks.rank + 1))
    return range(first * batch_size, min(end * batch_size, num_images))
