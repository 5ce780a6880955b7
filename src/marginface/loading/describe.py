"""What a source holds, for someone who wonders whether it can be trained on: counts of all, a look at a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.decode import decode_image
from marginface.images.header import image_format
from marginface.images.resize import fit
from marginface.records.record import RecordSource

_BINS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Images of a person, where each bin of the histogram begins."""


@dataclass(frozen=True, kw_only=True)
class SourceSummary:
    """Counts over the whole source; formats, sizes and faults over a sample of it."""

    location: str
    num_images: int
    num_identities: int
    images_per_identity: Mapping[str, float]
    """min, median, mean and max."""
    histogram: Mapping[str, int]
    """People by how many images they have: "1", "2-4", "5-9", ...; only the bins that somebody is in."""
    num_identities_with_2: int
    """Who have two images or more, and so can be in a mated comparison."""
    num_identities_with_10: int
    num_sampled: int
    """Images that were read and decoded for what follows."""
    formats: Mapping[str, int]
    """Of the sample, by content and not by name; most frequent first."""
    sizes: Mapping[str, int]
    """Of the sample, "width x height" in pixels; most frequent first."""
    num_with_landmarks: int
    """Of the sample."""
    estimated_bytes: int
    """Of all encoded images, from the sample's mean."""
    broken: tuple[str, ...]
    """A sentence for each image of the sample that cannot be used: damaged, or no aligned crop."""


def describe(source: RecordSource, *, num_sampled: int = 256, max_side: int = 512, seed: int = 0) -> SourceSummary:
    """Return what `source` holds.

    Args:
        source: the records.
        num_sampled: how many images to decode, drawn by `seed`; all, if there are no more.
        max_side: larger images are not aligned crops, pixels.
        seed: of the draw.

    Raises:
        InputError: the source is empty.
    """
    if not len(source):
        raise InputError(f"{source.location} holds no image.")
    counts = np.bincount(source.labels, minlength=len(source.identities))
    num_sampled = min(num_sampled, len(source))
    sample = np.sort(np.random.default_rng(seed).choice(len(source), num_sampled, replace=False))
    formats: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    broken: list[str] = []
    num_bytes: list[int] = []
    num_with_landmarks = 0
    for index in sample.tolist():
        try:
            record = source[index]
            num_with_landmarks += record.landmarks is not None
            formats[image_format(record.image)] += 1
            num_bytes.append(len(record.image) if isinstance(record.image, bytes) else record.image.nbytes)
            image = decode_image(record.image, name=record.key)
            sizes[f"{image.shape[1]} x {image.shape[0]}"] += 1
            fit(image, size=112, max_side=max_side, name=record.key)  # for its refusals
        except InputError as error:
            broken.append(str(error))
    return SourceSummary(
        location=source.location,
        num_images=len(source),
        num_identities=len(source.identities),
        images_per_identity={
            "min": int(counts.min()),
            "median": float(np.median(counts)),
            "mean": float(counts.mean()),
            "max": int(counts.max()),
        },
        histogram=_histogram(counts),
        num_identities_with_2=int((counts >= 2).sum()),
        num_identities_with_10=int((counts >= 10).sum()),
        num_sampled=num_sampled,
        formats=dict(formats.most_common()),
        sizes=dict(sizes.most_common()),
        num_with_landmarks=num_with_landmarks,
        estimated_bytes=round(float(np.mean(num_bytes)) * len(source)) if num_bytes else 0,
        broken=tuple(broken),
    )


def _histogram(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    """Return how many of `counts` lie in each bin, from few to many."""
    bins: dict[str, int] = {}
    for low, after in zip(_BINS, (*_BINS[1:], None), strict=True):
        name = f"{low} or more" if after is None else str(low) if after == low + 1 else f"{low}-{after - 1}"
        num = int(((counts >= low) & (True if after is None else counts < after)).sum())
        if num:
            bins[name] = num
    return bins
