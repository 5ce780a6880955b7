"""From a config and opened records to everything a run needs, built once and in one place."""

from __future__ import annotations

import datetime
import importlib.metadata
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

from marginface.config import to_yaml
from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.heads import CentreUpdate, MarginHead, heads_of
from marginface.images.normalize import InputContract
from marginface.loading.dataset import FaceDataset
from marginface.loading.sampler import Batches
from marginface.models import ModelCard, Provenance
from marginface.optim import Ema, build_param_groups
from marginface.records.checksum import checksum_of
from marginface.records.record import RecordSource
from marginface.training.config import TrainConfig
from marginface.training.parallel import spread_backbone
from marginface.training.precision import build_scaler
from marginface.training.progress import Progress, Window
from marginface.training.sources import build_heads
from marginface.training.start import freeze, inherited_card, read_start, teacher_of
from marginface.training.task import MarginTask


@dataclass
class TrainingRun:
    """All parts of a run, wired together; `progress` is the only part that a step replaces."""

    config: TrainConfig
    ranks: Ranks
    contract: InputContract
    dataset: FaceDataset
    batches: Batches
    task: MarginTask
    forward_backbone: nn.Module
    """The backbone itself, or its DDP wrapper."""
    optimizer: torch.optim.Optimizer
    centre_updates: tuple[CentreUpdate, ...]
    """Move the class centres in backward, where heads do that themselves; then the optimiser has only the rest."""
    scaler: torch.amp.GradScaler
    ema: Ema | None
    total_steps: int
    data_fingerprint: str
    card: ModelCard
    progress: Progress
    start_fingerprint: str = ""
    """Of the model that training began with; empty where it began at random."""
    teacher: nn.Module | None = None
    """The backbone that training began with, where embeddings are to stay near its own."""

    @property
    def num_classes(self) -> int:
        return len(self.dataset.records.identities)


def build_run(
    config: TrainConfig, records: RecordSource, ranks: Ranks, *, name: str = "unnamed", command: str = ""
) -> TrainingRun:
    """Return the run of `config` on `records`, at its first step.

    `name` and `command` go onto the card of the models that it writes. The initial weights depend on `config.seed`
    alone: all ranks start equal, whatever the ambient random state.
    """
    backbone = config.backbone.build(input_size=config.data.input_size, seed=config.seed)
    start = read_start(config)
    if start is not None and config.start is not None:
        backbone.load_state_dict(start.backbone.state_dict())
        freeze(backbone, config.start, input_size=config.data.input_size)
    backbone.to(ranks.device)
    head = build_heads(config, records, ranks.mesh).to(ranks.device)
    heads = [part.head for part in heads_of(head)]
    margin_heads = [one for one in heads if isinstance(one, MarginHead)]
    if config.start is not None and config.start.head != "random" and len(margin_heads) < len(heads):
        raise InputError(f"start.head: a head of kind {config.head.kind} can begin at random only; set it to that.")
    fused = margin_heads if config.head.wants_fused_update else []
    centre_updates = tuple(one.fuse_update(config.optim.centre_rule()) for one in fused)
    forward_backbone = spread_backbone(backbone, config, ranks)  # before anything that holds its parameters
    task = MarginTask(backbone, head)
    groups = build_param_groups(
        backbone,
        head,
        lr=config.optim.lr,
        backbone_lr_factor=config.start.backbone_lr_factor if config.start else 1.0,
        weight_decay=config.optim.weight_decay,
        head_lr_factor=config.optim.head_lr_factor,
        head_weight_decay=config.optim.head_weight_decay,
        left_out=[one.class_centres for one in heads if one.moves_itself],
    )
    if not groups:
        raise InputError(
            "start.trains: the head moves its centres itself and nothing else trains; use a dense head without "
            "fused_update, or train last_stage or all."
        )
    optimizer = config.optim.build(groups)
    _fill_optimizer_state(task, optimizer)
    card = _card(config, records, name, command)
    batches = config.data.sampler.build(
        records,
        global_batch_size=config.data.batch_size,
        seed=config.seed,
        rank=ranks.rank,
        world_size=ranks.world_size,
    )
    return TrainingRun(
        config=config,
        ranks=ranks,
        contract=start.contract if start else InputContract(input_size=config.data.input_size),
        dataset=FaceDataset(
            records,
            size=config.data.input_size,
            max_side=config.data.max_side,
            augment=config.data.augment,
            seed=config.seed,
        ),
        batches=batches,
        task=task,
        forward_backbone=forward_backbone,
        optimizer=optimizer,
        centre_updates=centre_updates,
        scaler=build_scaler(config.precision, ranks.device),
        ema=config.ema.build(backbone) if config.ema else None,
        total_steps=config.total_steps(batches.steps_per_epoch),
        data_fingerprint=fingerprint_of(records),
        card=inherited_card(card, start) if start else card,
        progress=Progress(window=Window.empty(part.name for part in task.heads if part.name)),
        start_fingerprint=start.fingerprint if start else "",
        teacher=teacher_of(start).to(ranks.device) if start and config.start and config.start.distillation else None,
    )


def fingerprint_of(records: RecordSource) -> str:
    """Return a checksum of keys, labels and people in order: a resumed run must see the same data."""
    return f"{len(records)}-{len(records.identities)}-{checksum_of(records)}"


def _fill_optimizer_state(task: MarginTask, optimizer: torch.optim.Optimizer) -> None:
    """Make the optimiser's state exist from the start, as zeros, which is what its first step would assume.

    Otherwise a checkpoint from before the first step that counts (the fp16 scaler may skip several) could not be read.
    """
    get_optimizer_state_dict(task, optimizer)  # torch fills the state by a step at rate 0, weight decay included
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, torch.Tensor):
                value.zero_()


def _card(config: TrainConfig, records: RecordSource, name: str, command: str) -> ModelCard:
    margin = config.head.margin.kind + (", a head for each source" if config.head_per_source else "")
    return ModelCard(
        name=name,
        description=f"{config.backbone.kind}, margin {margin}, {config.data.input_size} pixels.",
        training_data=f"{len(records):,} images of {len(records.identities):,} people from {records.location}",
        licence="Not stated. The terms of the training data bind the weights too.",
        provenance=Provenance(
            recipe=to_yaml(config),
            command=command,
            marginface_version=importlib.metadata.version("marginface"),
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        ),
    )
