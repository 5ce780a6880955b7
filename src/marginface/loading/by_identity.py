"""Batches that hold several images of each person: P people times K images, pairs, or every image with company."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.augmentation import uniforms
from marginface.loading.sampler import Batches, Cut, SampleAddress, Shuffle, refuse_large_batch

_ORDER_STREAM, _COMPANY_STREAM = 2000, 3000
"""Of the draws; an image's augmentations have other ones."""


class People:
    """Which images belong to whom, and each person's images in seeded orders."""

    def __init__(self, labels: npt.NDArray[np.int64], *, seed: int) -> None:
        self.seed = seed
        self.of_label = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        ends = np.cumsum(counts)
        present = np.flatnonzero(counts)  # an excluded person may have no image left
        self.starts, self.ends = (ends - counts)[present], ends[present]

    def __len__(self) -> int:
        return len(self.starts)

    def images(self, person: int) -> npt.NDArray[np.int64]:
        """Return the (n,) images of a person."""
        return self.of_label[self.starts[person] : self.ends[person]]

    def visit(self, person: int, number: int, num_images: int) -> list[SampleAddress]:
        """Return K images of a person for the visit of this number, and tell every use of an image apart.

        Visits go through the person's images as through a pack of cards, shuffled whenever fewer than K are left. Who
        has fewer than K has them all in each visit, and again from the start as long as needed.
        """
        images = self.images(person)
        if len(images) >= num_images:
            round_, place = divmod(number, len(images) // num_images)
            chosen = self._order(images, round_)[place * num_images : (place + 1) * num_images]
            return [SampleAddress(round_, int(i)) for i in chosen]
        packs = -(-num_images // len(images))
        rounds = range(number * packs, (number + 1) * packs)
        return [SampleAddress(r, int(i)) for r in rounds for i in self._order(images, r)][:num_images]

    def _order(self, images: npt.NDArray[np.int64], round_: int) -> npt.NDArray[np.int64]:
        keys = uniforms(self.seed, np.full(len(images), round_, dtype=np.int64), images, stream=_ORDER_STREAM)
        return images[np.argsort(keys, kind="stable")]


class IdentityBatches(Batches):
    """P people times K images, a person's images side by side.

    Passes over the people are seeded shuffles, whose last partial batch is dropped, so nobody is in a batch twice.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.int64],
        *,
        images_per_identity: int,
        epoch_of_people: bool,
        **cut: Unpack[Cut],
    ) -> None:
        """Check that the numbers fit together.

        Args:
            labels: (N,) of all images.
            images_per_identity: K; the batch size over K is P.
            epoch_of_people: an epoch is one pass over the people; otherwise it is as many images as there are.
            cut: the size of a batch, P times K, and how ranks share it.

        Raises:
            InputError: P is no whole number on each rank, or larger than the number of people.
            ValueError: see `Batches`.
        """
        super().__init__(len(labels), **cut)
        self.images_per_identity = images_per_identity
        self._epoch_of_people = epoch_of_people
        self.people_per_batch = self.groups_per_batch(images_per_identity)
        self._people = People(labels, seed=self.seed)
        if self.people_per_batch > len(self._people):
            raise InputError(
                f"a batch of {self.people_per_batch} people is larger than the set's {len(self._people)}; choose a"
                f" batch size of {len(self._people) * images_per_identity} or less, or more images of each."
            )
        self._shuffle = Shuffle(len(self._people), self.seed)

    @property
    def steps_per_epoch(self) -> int:
        """Batches until every person was met, or until as many images were seen as there are."""
        if self._epoch_of_people:
            return self._steps_per_pass
        return max(1, self.num_samples // self.global_batch_size)

    @property
    def _steps_per_pass(self) -> int:
        return len(self._people) // self.people_per_batch

    def addresses(self, step: int, start: int, end: int) -> list[SampleAddress]:
        """Return images `start` to `end` of global batch `step`, whole groups."""
        number, step_in_pass = divmod(step, self._steps_per_pass)
        first = step_in_pass * self.people_per_batch
        size = self.images_per_identity
        people = self._shuffle(number)[first + start // size : first + end // size]
        return [address for person in people.tolist() for address in self._people.visit(person, number, size)]


class RepeatedBatches(Batches):
    """A plain shuffle in which each image comes with others: itself, augmented anew, or images of the same person.

    An epoch is one pass over all images as the first of their group, so it takes `times` as many steps.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.int64],
        *,
        times: int,
        same_image: bool,
        **cut: Unpack[Cut],
    ) -> None:
        """Check that the numbers fit together.

        Args:
            labels: (N,) of all images.
            times: size of a group.
            same_image: the others are the image itself; otherwise any images of the person, evenly drawn.
            cut: the size of a batch, a multiple of `times` on each rank, and how ranks share it.

        Raises:
            InputError: groups that do not fill the batch, or more of them than images.
            ValueError: see `Batches`.
        """
        super().__init__(len(labels), **cut)
        self.times = times
        self.leaders_per_batch = self.groups_per_batch(times)
        refuse_large_batch(self.leaders_per_batch, len(labels))
        self._labels = labels
        self._people = None if same_image else People(labels, seed=self.seed)
        self._person_of = np.cumsum(np.bincount(labels) > 0) - 1
        self._shuffle = Shuffle(len(labels), self.seed)

    @property
    def steps_per_epoch(self) -> int:
        """Batches until every image was the first of a group."""
        return self.num_samples // self.leaders_per_batch

    def addresses(self, step: int, start: int, end: int) -> list[SampleAddress]:
        """Return images `start` to `end` of global batch `step`, whole groups."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        first = step_in_epoch * self.leaders_per_batch
        leaders = self._shuffle(epoch)[first + start // self.times : first + end // self.times]
        epochs = np.full(len(leaders), epoch, dtype=np.int64)
        columns = [leaders, *(self._company(epochs, leaders, which) for which in range(1, self.times))]
        return [
            SampleAddress(epoch * self.times + which, int(index))  # so that each use has its own augmentation
            for group in zip(*columns, strict=True)
            for which, index in enumerate(group)
        ]

    def _company(
        self, epochs: npt.NDArray[np.int64], leaders: npt.NDArray[np.int64], which: int
    ) -> npt.NDArray[np.int64]:
        """Return (B,) the image that stands at place `which` of each leader's group."""
        if self._people is None:
            return leaders
        person = self._person_of[self._labels[leaders]]
        first, end = self._people.starts[person], self._people.ends[person]
        draws = uniforms(self.seed, epochs, leaders, stream=_COMPANY_STREAM + which)
        return np.asarray(self._people.of_label[first + (draws * (end - first)).astype(np.int64)])
