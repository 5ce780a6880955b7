"""The samplers by their kinds: how a recipe says which images make up a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Unpack

from marginface.errors import InputError
from marginface.loading.by_identity import IdentityBatches, RepeatedBatches
from marginface.loading.sampler import Batches, Cut, ShuffledBatches
from marginface.loading.weighted import WeightedBatches
from marginface.records.joined import JoinedRecords
from marginface.records.record import RecordSource


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Which images make up a step: a pure function of (seed, step), whatever the number of ranks and workers."""

    kind: str

    def build(self, records: RecordSource, **cut: Unpack[Cut]) -> Batches:
        """Return the batches of a rank.

        Raises:
            InputError: sizes that do not fit together.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ShuffledConfig(SamplerConfig):
    """Every image once an epoch, in a new order each time."""

    kind: Literal["shuffled"] = "shuffled"

    def build(self, records: RecordSource, **cut: Unpack[Cut]) -> Batches:
        """Return the batches of a rank."""
        return ShuffledBatches(len(records), **cut)


@dataclass(frozen=True, kw_only=True)
class IdentityBalancedConfig(SamplerConfig):
    """P people times K images a step, everybody as often as everybody else. An epoch is as many images as there are."""

    kind: Literal["identity_balanced"] = "identity_balanced"
    images_per_identity: int = 4
    """K; P is the batch size over K."""

    def __post_init__(self) -> None:
        if self.images_per_identity < 1:
            raise InputError(f"images_per_identity is {self.images_per_identity}; give 1 or more.")

    def build(self, records: RecordSource, **cut: Unpack[Cut]) -> Batches:
        """Return the batches of a rank."""
        return IdentityBatches(
            records.labels,
            images_per_identity=self.images_per_identity,
            epoch_of_people=False,
            **cut,
        )


@dataclass(frozen=True, kw_only=True)
class SemiSiameseConfig(SamplerConfig):
    """Two images of each person, side by side, everybody once an epoch (Du et al., ECCV 2020, arXiv:2007.08398).

    For sets of few images a person. Who has one image has it twice, augmented differently.
    """

    kind: Literal["semi_siamese"] = "semi_siamese"

    def build(self, records: RecordSource, **cut: Unpack[Cut]) -> Batches:
        """Return the batches of a rank."""
        return IdentityBatches(
            records.labels,
            images_per_identity=2,
            epoch_of_people=True,
            **cut,
        )


@dataclass(frozen=True, kw_only=True)
class RepeatedConfig(SamplerConfig):
    """Every image once an epoch, each with company beside it, as CVLface's repeated sampling has it."""

    kind: Literal["repeated"] = "repeated"
    times: int = 2
    """Size of a group."""
    of: Literal["image", "identity"] = "image"
    """image: the same image, augmented differently; identity: any image of the same person."""

    def __post_init__(self) -> None:
        if self.times < 2:
            raise InputError(f"times is {self.times}; give 2 or more, or the sampler shuffled.")

    def build(self, records: RecordSource, **cut: Unpack[Cut]) -> Batches:
        """Return the batches of a rank."""
        return RepeatedBatches(
            records.labels,
            times=self.times,
            same_image=self.of == "image",
            **cut,
        )


@dataclass(frozen=True, kw_only=True)
class WeightedConfig(SamplerConfig):
    """Fixed shares of several sources in every batch. An epoch is as many images as all of them have together."""

    kind: Literal["weighted"] = "weighted"
    weights: tuple[float, ...]
    """One for each source, in any unit: `data.source` first, then `data.more_sources`."""

    def build(self, records: RecordSource, **cut: Unpack[Cut]) -> Batches:
        """Return the batches of a rank."""
        sizes = records.sizes if isinstance(records, JoinedRecords) else (len(records),)
        return WeightedBatches(
            sizes,
            weights=self.weights,
            **cut,
        )


SAMPLERS: dict[str, type[SamplerConfig]] = {
    "shuffled": ShuffledConfig,
    "identity_balanced": IdentityBalancedConfig,
    "semi_siamese": SemiSiameseConfig,
    "repeated": RepeatedConfig,
    "weighted": WeightedConfig,
}
