"""Templates: several images of one person pooled into one vector, first by media, then over media.

A video of 200 frames is one occasion, not 200: its frames are averaged first, and counts as one photograph does.

    template = sum over its media of ( mean over the media's images of  w_i * f_i ),  then length 1

f_i is the embedding as the model gave it (`norm: keep`: a clear image weighs more, as MagFace's and AdaFace's norms
mean it) or its direction (`norm: drop`); w_i is 1, the detector's score, a quality, or their product. Published IJB
tables are told apart by the letters N (norm kept), D (detector score) and F (flip), which the result states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse

from marginface.errors import InputError
from marginface.records.embedding_table import EmbeddingTable

QualityPooling = Literal["mean", "max"]
"""How the quality of a template comes from that of its images."""


@dataclass(frozen=True, kw_only=True)
class PoolingConfig:
    """How the images of a template become one vector."""

    norm: Literal["keep", "drop"] = "keep"
    """`keep` averages embeddings as they are, so the norm weighs; `drop` averages directions."""
    detector_score: bool = False
    """Weigh each image by the detection score that comes with the protocol."""
    quality: str | None = None
    """Weigh each image by this column of the embedding table; null does not."""
    media: bool = True
    """Average over the images of a media first, so that a video counts as one photograph does."""

    @property
    def letters(self) -> str:
        """`N1D0`: norm kept, detector score not used, as published tables name it; `Q` where a quality weighs."""
        quality = f"Q({self.quality})" if self.quality else ""
        return f"N{int(self.norm == 'keep')}D{int(self.detector_score)}{quality}" + ("" if self.media else " no media")


@dataclass(frozen=True, eq=False)
class Templates:
    """Which images make which template: R rows, T templates."""

    image: npt.NDArray[np.int64]
    """(R,) positions in the source's keys; an image may stand in several templates."""
    template: npt.NDArray[np.int64]
    """(R,) in 0..T-1."""
    media: npt.NDArray[np.int64]
    """(R,) equal within a template for the images of one video; any numbers."""
    names: tuple[str, ...]
    """(T,) the protocol's own ids."""
    person: npt.NDArray[np.int64]
    """(T,) who it is."""
    detector_score: npt.NDArray[np.float32] | None = None
    """(R,) of the detector that the protocol ships, where it does."""

    def __post_init__(self) -> None:
        rows = {len(self.image), len(self.template), len(self.media)}
        if len(rows) != 1 or len(self.names) != len(self.person):
            raise ValueError(f"{len(self.image)} rows and {len(self.names)} templates have columns of other lengths.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def are_single_images(self) -> bool:
        """Whether template t is row t and nothing else, so that there is nothing to pool."""
        return len(self.template) == len(self) and bool((self.template == np.arange(len(self))).all())


@dataclass(frozen=True, eq=False)
class Pooled:
    """A vector for each template, and which templates have none because all their images are missing."""

    unit: npt.NDArray[np.float32]
    """(T, D) of length 1; 0 for absent templates."""
    present: npt.NDArray[np.bool_]
    """(T,)"""
    num_missing_images: int
    """Rows without an embedding."""


def single_images(image: npt.ArrayLike, person: npt.ArrayLike, names: Sequence[str]) -> Templates:
    """Return templates of one image each."""
    positions = np.asarray(image, np.int64)
    order = np.arange(len(positions))
    return Templates(positions, order, order, tuple(names), np.asarray(person, np.int64))


def pool(
    table: EmbeddingTable,
    templates: Templates,
    pooling: PoolingConfig,
    *,
    keys: Sequence[str] | None = None,
    allow_missing: bool = False,
) -> Pooled:
    """Return a unit vector for each template: one sparse product over the table.

    Args:
        table: embeddings, not normalised.
        templates: positions in `keys`.
        pooling: how.
        keys: of the source that the templates were made for; None where they were made for the table itself.
        allow_missing: pool without images that the table lacks, and count them.

    Raises:
        InputError: an image without an embedding (unless allowed), a weight that is asked for and not there, or one
            that is negative or not finite.
    """
    place = rows_of(table, templates.image, keys)
    kept = place >= 0
    if not kept.all() and not allow_missing:
        absent = np.unique(templates.image[~kept])
        first = keys[int(absent[0])] if keys is not None else f"number {absent[0]}"
        raise InputError(
            f"{len(absent):,} images of the templates have no embedding (first {first}), perhaps being broken: repair "
            "them, or allow missing images to have templates pooled without them and counted."
        )
    template, media, row = templates.template[kept], templates.media[kept], place[kept]
    weight = _weights(table, templates, pooling, row, kept)
    if pooling.media:
        weight = weight / _images_of_media(template, media)
    order = np.argsort(template, kind="stable") if (np.diff(template) < 0).any() else slice(None)
    counts = np.bincount(template, minlength=len(templates))
    matrix = scipy.sparse.csr_matrix(
        (weight[order], row[order], np.concatenate([[0], np.cumsum(counts)])), shape=(len(templates), len(table))
    )
    pooled = np.asarray(matrix @ np.asarray(table.vectors))
    lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
    np.divide(pooled, np.maximum(lengths, np.finfo(np.float32).tiny), out=pooled)
    return Pooled(pooled, counts > 0, int(len(kept) - kept.sum()))


def template_quality(
    values: npt.ArrayLike, templates: Templates, row: npt.NDArray[np.int64], how: QualityPooling = "mean"
) -> npt.NDArray[np.float64]:
    """Return (T,) the quality of each template: the mean, or the highest, of its images' that have one; NaN for none.

    Every image counts alike, also the frames of one video: a quality says what there is, not how often it was seen.

    Args:
        values: (N,) of the images of a table; NaN where an image has none.
        templates: which images make which template.
        row: (R,) rows of the table as `rows_of` gives them, -1 where the table lacks the image.
        how: mean or max.
    """
    of_row = np.where(row >= 0, np.asarray(values, np.float64)[np.maximum(row, 0)], np.nan)
    known = np.isfinite(of_row)
    template, value = templates.template[known], of_row[known]
    counts = np.bincount(template, minlength=len(templates))
    if how == "mean":
        sums = np.bincount(template, weights=value, minlength=len(templates))
        return np.asarray(np.divide(sums, counts, out=np.full(len(templates), np.nan), where=counts > 0))
    highest = np.full(len(templates), -np.inf)
    np.maximum.at(highest, template, value)
    return np.where(counts > 0, highest, np.nan)


def rows_of(table: EmbeddingTable, image: npt.NDArray[np.int64], keys: Sequence[str] | None) -> npt.NDArray[np.int64]:
    """Return the table's row of each image, given as a position in `keys`; -1 where the table lacks it.

    The table's keys are gone through once and only those of the images are kept: both may be millions.
    """
    if keys is None or (len(keys) == len(table) and tuple(keys) == table.keys):
        return image
    used, place = np.unique(image, return_inverse=True)
    wanted = {keys[i]: n for n, i in enumerate(used.tolist())}
    row_of = np.full(len(used), -1, np.int64)
    for row, key in enumerate(table.keys):
        if key in wanted:
            row_of[wanted[key]] = row
    return row_of[place]


def _weights(
    table: EmbeddingTable,
    templates: Templates,
    pooling: PoolingConfig,
    row: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    weight = np.ones(len(row), np.float32)
    if pooling.norm == "drop":
        weight /= np.maximum(table.norms, np.finfo(np.float32).tiny)[row]
    if pooling.detector_score:
        if templates.detector_score is None:
            raise InputError("pooling.detector_score is set, but this protocol's files hold no detection scores.")
        weight *= _checked(templates.detector_score[kept], "detection score")
    if pooling.quality is not None:
        weight *= _checked(table.column(pooling.quality)[row], pooling.quality)
    return weight


def _checked(values: npt.NDArray, what: str) -> npt.NDArray[np.float32]:
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise InputError(
            f"{what}: {bad.size:,} of {len(values):,} images have a weight that is negative or no number, such as "
            f"{values[bad[0]]}; weights are 0 or more."
        )
    return values.astype(np.float32)


def _images_of_media(template: npt.NDArray[np.int64], media: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return (R,) how many images of the row's template come from the row's media."""
    if not len(media):
        return np.empty(0, np.float32)
    low = media.min()
    code = template * (int(media.max() - low) + 1) + (media - low)
    _, number, count = np.unique(code, return_inverse=True, return_counts=True)
    return count[number].astype(np.float32)
