"""Records and addresses -> one batch of uint8 crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from marginface.errors import InputError
from marginface.images.augment import AugmentConfig
from marginface.images.crop import decode_crop
from marginface.images.resize import fit
from marginface.loading.sampler import SampleAddress
from marginface.records.record import Record, RecordSource

Pixels = npt.NDArray[np.uint8]


@dataclass
class FaceBatch:
    """B images that could be read, in the order asked for, and word of those that could not."""

    images: Tensor
    """(B, H, W, 3) uint8 RGB."""
    labels: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64 positions in the source."""
    strengths: npt.NDArray[np.float32] | None = None
    """(B, K) how strong each of the recipe's K operations was, 0 where it did not happen; None if there are none."""
    broken: tuple[str, ...] = ()
    """A sentence for each image that is absent because it could not be used."""
    broken_keys: tuple[str, ...] = ()
    """Their keys, in the same order."""

    def __len__(self) -> int:
        return len(self.labels)


class FaceDataset(Dataset):
    """Reads, decodes, fits and augments. An item is a whole batch: one hand-over from a worker for many images.

    Images stay uint8 until the model's process normalises them: a quarter of the bytes to pass on, and the float pass
    is quicker over a batch.
    """

    def __init__(
        self,
        records: RecordSource,
        *,
        size: int,
        max_side: int = 512,
        augment: AugmentConfig | None,
        seed: int = 0,
    ) -> None:
        """Keep the source.

        Args:
            records: the images.
            size: side of the crops wanted, pixels.
            max_side: larger images are not aligned crops and count as broken, pixels.
            augment: what may happen to an image; None for evaluation.
            seed: of the augmentation.
        """
        self.records = records
        self.size = size
        self.max_side = max_side
        self.augment = augment.build(seed=seed) if augment is not None else None

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, addresses: Sequence[SampleAddress]) -> FaceBatch:
        """Return `batch(addresses)`; what a DataLoader with `batch_size=None` asks for."""
        return self.batch(addresses)

    def batch(self, addresses: Sequence[SampleAddress], *, into: Tensor | None = None) -> FaceBatch:
        """Return the images at these addresses; those that cannot be used are named in `broken` and left out.

        Args:
            addresses: in the order wanted.
            into: (B or more, S, S, 3) uint8 memory for the images, overwritten; by default it is new.
        """
        images = _empty_images(len(addresses), self.size) if into is None else into
        places = images.numpy()
        good: list[tuple[int, int]] = []
        labels: list[int] = []  # the records' own: an array of all labels would be copied into every worker
        broken: list[str] = []
        broken_keys: list[str] = []
        for epoch, index in addresses:
            try:
                record = self.records[index]
                self._decode(record, places[len(good)])
            except InputError as error:
                broken.append(str(error))
                broken_keys.append(self.records.keys[index])
            else:
                good.append((epoch, index))
                labels.append(record.label)
        epochs, indices = np.array(good, dtype=np.int64).reshape(-1, 2).T.copy()
        strengths = self.augment(places[: len(good)], epochs, indices) if self.augment is not None else None
        return FaceBatch(
            images=images[: len(good)],
            labels=torch.tensor(labels, dtype=torch.int64),
            indices=torch.from_numpy(indices),
            strengths=strengths if strengths is not None and strengths.shape[1] else None,
            broken=tuple(broken),
            broken_keys=tuple(broken_keys),
        )

    def _decode(self, record: Record, place: Pixels) -> None:
        """Fill `place` with the fitted crop."""
        pixels = decode_crop(record.image, place, max_side=self.max_side, name=record.key)
        image = fit(pixels, size=self.size, max_side=self.max_side, name=record.key)
        if image is not place:
            place[...] = image


def _empty_images(num: int, size: int) -> Tensor:
    """Return an unfilled (num, size, size, 3) uint8 tensor; in a worker it lies in the memory shared with its parent.

    Torch would otherwise copy the batch there when it is handed over, a seventh of a worker's time. Its own collating
    uses the same call.
    """
    if get_worker_info() is None:
        return torch.empty((num, size, size, 3), dtype=torch.uint8)
    storage: torch.UntypedStorage = torch.UntypedStorage._new_shared(num * size * size * 3)
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(num, size, size, 3)
