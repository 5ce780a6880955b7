"""The heads of a run: one over the people of all sources, or one for each source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch.distributed.device_mesh import DeviceMesh

from marginface.errors import InputError
from marginface.heads import Head, HeadPerSource
from marginface.records.joined import JoinedRecords
from marginface.records.record import RecordSource
from marginface.records.select import require_trainable
from marginface.training.config import TrainConfig


@dataclass(frozen=True)
class HeadPlan:
    """Whom one head of a run is over, and how it is told apart from the others."""

    name: str
    """The number of the source, as its people's names begin with; empty where one head has all people."""
    records: RecordSource
    """Its people, under the names of their own source."""
    seed: int
    """Of its centres and of what it draws."""

    @property
    def prefix(self) -> str:
        """What the names of its weights begin with in a checkpoint."""
        return f"head.heads.{self.name}." if self.name else "head."


def plan_heads(config: TrainConfig, records: RecordSource) -> tuple[HeadPlan, ...]:
    """Return what heads the run of `config` on `records` has, in the order of the labels.

    Raises:
        InputError: a source whose people are too few for a head of their own.
    """
    if not config.head_per_source:
        return (HeadPlan("", records, config.seed),)
    assert isinstance(records, JoinedRecords)  # TrainConfig refuses a single source
    plans = []
    for number, (name, source) in enumerate(records.sources.items()):
        require_trainable(source)
        seed = np.random.SeedSequence([config.seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1)
        plans.append(HeadPlan(name, source, int(seed)))  # centres of different sources must not start alike
    return tuple(plans)


def build_head(plan: HeadPlan, config: TrainConfig, mesh: DeviceMesh | None = None) -> Head:
    """Return one head of the run, with several ranks its share of it."""
    return config.head.build(
        num_classes=len(plan.records.identities),
        embedding_dim=config.backbone.embedding_dim,
        seed=plan.seed,
        mesh=mesh,
    )


def build_heads(config: TrainConfig, records: RecordSource, mesh: DeviceMesh | None = None) -> Head | HeadPerSource:
    """Return what turns embeddings and labels of `records` into the loss."""
    heads = {plan.name: build_head(plan, config, mesh) for plan in plan_heads(config, records)}
    return HeadPerSource(heads) if config.head_per_source else heads[""]


def plan_named(plans: tuple[HeadPlan, ...], name: str | None, *, where: str) -> HeadPlan:
    """Return the head that a user asked for; None is the only one there is.

    Raises:
        InputError: there are several and none was named, or there is none of that name.
    """
    if name is None and len(plans) == 1:
        return plans[0]
    for plan in plans:
        if plan.name and plan.name == name:
            return plan
    if len(plans) == 1:
        raise InputError(f"{where} has one head over all people; leave out --head {name}.")
    there = ", ".join(f"{plan.name} ({plan.records.location})" for plan in plans)
    said = "say which one with --head" if name is None else f"there is no {name!r}"
    raise InputError(f"{where} has a head for each source: {there}; {said}.")
