"""Records and addresses -> one batch of uint8 crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from marginface.errors import InputError
from marginface.images.augment import AugmentConfig
from marginface.images.decode import decode_image
from marginface.images.resize import fit
from marginface.loading.sampler import SampleAddress
from marginface.records.record import RecordSource


@dataclass
class FaceBatch:
    """B images that could be read, in the order asked for, and word of those that could not."""

    images: Tensor
    """(B, H, W, 3) uint8 RGB."""
    labels: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64 positions in the source."""
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
        self._labels = torch.from_numpy(np.array(records.labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, addresses: Sequence[SampleAddress]) -> FaceBatch:
        """Return `batch(addresses)`; what a DataLoader with `batch_size=None` asks for."""
        return self.batch(addresses)

    def batch(self, addresses: Sequence[SampleAddress]) -> FaceBatch:
        """Return the images at these addresses; those that cannot be used are named in `broken` and left out."""
        images = _empty_images(len(addresses), self.size)
        into = images.numpy()
        good: list[int] = []
        broken: list[str] = []
        broken_keys: list[str] = []
        for epoch, index in addresses:
            try:
                into[len(good)] = self._image(epoch, index)
            except InputError as error:
                broken.append(str(error))
                broken_keys.append(self.records.keys[index])
            else:
                good.append(index)
        indices = torch.tensor(good, dtype=torch.int64)
        return FaceBatch(
            images=images[: len(good)],
            labels=self._labels[indices],
            indices=indices,
            broken=tuple(broken),
            broken_keys=tuple(broken_keys),
        )

    def _image(self, epoch: int, index: int) -> np.ndarray:
        record = self.records[index]
        image = fit(
            decode_image(record.image, name=record.key), size=self.size, max_side=self.max_side, name=record.key
        )
        return self.augment(image, epoch=epoch, index=index) if self.augment is not None else image


def _empty_images(num: int, size: int) -> Tensor:
    """Return an unfilled (num, size, size, 3) uint8 tensor; in a worker it lies in the memory shared with its parent.

    Torch would otherwise copy the batch there when it is handed over, a seventh of a worker's time. Its own collating
    uses the same call.
    """
    if get_worker_info() is None:
        return torch.empty((num, size, size, 3), dtype=torch.uint8)
    storage: torch.UntypedStorage = torch.UntypedStorage._new_shared(num * size * size * 3)
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(num, size, size, 3)
