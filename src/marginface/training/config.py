"""A training run as data: what a recipe says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from marginface.backbones import BACKBONES, BackboneConfig
from marginface.config import by_kind
from marginface.evaluation.run import EvaluationConfig
from marginface.heads import HEADS, HeadConfig
from marginface.images.augment import AugmentConfig
from marginface.loading.samplers import SAMPLERS, SamplerConfig, ShuffledConfig
from marginface.optim import OPTIMIZERS, SCHEDULES, EmaConfig, OptimizerConfig, ScheduleConfig
from marginface.records.joined import JoinedRecords
from marginface.records.open import open_records
from marginface.records.record import RecordSource


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to train on. The number of classes and images is read from the source, never set."""

    source: str
    """Where the records are, as `open_records` takes it: `tar:faces.tar`, `folder:/data/faces`, `list:train.txt`."""
    more_sources: tuple[str, ...] = ()
    """Further ones to train on together with the first; people of different sources count as different people."""
    sampler: Annotated[SamplerConfig, by_kind("sampler", SAMPLERS)] = field(default_factory=ShuffledConfig)
    """Which images make up a step."""
    input_size: int = 112
    """Pixels a side that the backbone sees; larger images are shrunk."""
    batch_size: int = 128
    """Images an optimiser step, over all ranks and accumulation steps together."""
    num_workers: int = 2
    """Decoding processes a rank; 0 decodes in the training process. It cannot change the result."""
    max_side: int = 512
    """Images with a longer side are refused: they are photographs, not aligned crops. Pixels."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    skip_broken: bool = False
    """Leave out images that cannot be decoded, and count them, rather than stop at the first."""

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise ValueError(f"batch_size {self.batch_size} is too small: batch normalisation needs at least 2 images.")
        if self.num_workers < 0:
            raise ValueError(f"num_workers is {self.num_workers}; give 0 or more.")

    def open(self) -> RecordSource:
        """Return the records of all sources; names of the second begin with `1/`, and so on.

        Raises:
            InputError: one that cannot be opened.
        """
        opened = [open_records(spec) for spec in (self.source, *self.more_sources)]
        if len(opened) == 1:
            return opened[0]
        return JoinedRecords({str(number): records for number, records in enumerate(opened)})


@dataclass(frozen=True, kw_only=True)
class PrecisionConfig:
    """The backbone's arithmetic. The head always computes in fp32."""

    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    """fp16 uses a gradient scaler, whose state is saved with the checkpoint."""
    force: bool = False
    """Run bf16 or fp16 even on a processor that has no units for it (ten times slower or worse)."""
    channels_last: bool = True
    """Keep images and convolution weights in NHWC order, which is faster on CPUs and on tensor cores."""


@dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """How several ranks share the backbone; the head's kind says how they share the class centres."""

    backbone: Literal["ddp", "fsdp"] = "ddp"
    """ddp: every rank holds the whole backbone, and gradients are summed while backward goes on. fsdp (FSDP2): weights,
    gradients and optimiser state are cut over the ranks, and each block is put together when it is used; for backbones
    that do not fit otherwise. Batch statistics are those of a rank's own images either way."""
    sync_batch_norm: bool = False
    """Normalise by the statistics of all ranks' images together. Needs CUDA, and worth it below about 32 images a
    rank."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When the state is written. A run always ends with a checkpoint, also when it is interrupted."""

    every_epochs: float = 1.0
    """Epochs between checkpoints; 0.25 writes four an epoch, 0 only the last."""
    keep: int = 2
    """The newest checkpoints to keep, beside the one of the best evaluation."""

    def __post_init__(self) -> None:
        if self.every_epochs < 0:
            raise ValueError(f"every_epochs is {self.every_epochs}; give 0 (only the last) or more.")
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}; at least one checkpoint has to stay.")


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """What is written while training runs."""

    every_steps: int = 10
    """Optimiser steps between lines of log.jsonl; a line holds the means over them."""
    tensorboard: bool = False
    """Also write TensorBoard events (needs the extra: pip install 'marginface[tensorboard]')."""

    def __post_init__(self) -> None:
        if self.every_steps < 1:
            raise ValueError(f"every_steps is {self.every_steps}; give 1 or more.")


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """Fine-tuning: a model that training begins with, and how much of it may change."""

    model: str
    """Its folder, or that of the run that made it. Backbone and input size have to be the recipe's; colour order and
    value range come from the model."""
    trains: Literal["all", "last_stage", "head"] = "all"
    """all: backbone and head. last_stage: the blocks with the smallest maps (of a transformer the last quarter), what
    follows them, and the head. head: the class centres alone. What does not train is bitwise as it was, running
    statistics too."""
    frozen_batch_norm: bool = False
    """Keep the running statistics, scales and shifts of batch normalisation in what trains: for few images or few a
    batch."""
    head: str = "class_means"
    """Where the head's centres begin: `class_means` of the training images' embeddings, `random`, or the folder of a
    head (as `models import` and `head export` write it) whose classes are those of the data, in the same order."""
    backbone_lr_factor: float = 1.0
    """Learning rate of the backbone over `optim.lr`; `optim.head_lr_factor` is the head's."""
    distillation: float = 0.0
    """Against forgetting: this times (1 - cosine to the starting model's embedding of the same image) is added to each
    image's loss. Costs one more forward pass."""

    def __post_init__(self) -> None:
        if self.backbone_lr_factor <= 0:
            raise ValueError(f"backbone_lr_factor is {self.backbone_lr_factor}; give more than 0, or trains: head.")
        if self.distillation < 0:
            raise ValueError(f"distillation is {self.distillation}; give 0 (none) or more.")
        if self.trains == "head" and (self.backbone_lr_factor != 1 or self.distillation or self.frozen_batch_norm):
            raise ValueError(
                "trains is head, so the whole backbone stays as it is; leave out backbone_lr_factor, distillation and "
                "frozen_batch_norm."
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    data: DataConfig
    backbone: Annotated[BackboneConfig, by_kind("backbone", BACKBONES)]
    head: Annotated[HeadConfig, by_kind("head", HEADS)]
    head_per_source: bool = False
    """Give each of several sources a head of its own, with its own centres; the loss of an image is that of its
    source's head. For sources that share people under other names. false has one head over the people of all."""
    optim: Annotated[OptimizerConfig, by_kind("optimizer", OPTIMIZERS)]
    schedule: Annotated[ScheduleConfig, by_kind("schedule", SCHEDULES)]
    epochs: float
    """Passes over the data; a fraction is allowed."""
    start: StartConfig | None = None
    """A model to begin with; null begins at random weights."""
    seed: int = 0
    """Of the initial weights, the order of images, flips and dropout."""
    norm_warm_start_images: int = 0
    """Images of a first pass whose norms AdaFace's statistics start from, rounded up to whole batches; 0 leaves them at
    their published start, mean 20 and deviation 100, which short runs never leave."""
    accumulation_steps: int = 1
    """Parts into which a rank's share of the batch is cut, to save memory; gradients are those of the whole batch."""
    clip_norm: float | None = None
    """Largest length of the gradient of backbone and head together; None does not clip. A head that moves its centres
    itself (fused_update, and sampled with frozen rows) has no gradient to measure: then the backbone's alone is
    clipped, as in arcface_torch."""
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    compile: bool = False
    """Translate the backbone by torch.compile: minutes at the start of a run, faster steps on GPUs. On a CPU it needs a
    C++ compiler."""
    activation_checkpointing: bool = False
    """Keep only the inputs of the backbone's blocks for backward and compute the rest again: less memory, about a third
    more time. Gradients stay the same, and running statistics move once."""
    ema: EmaConfig | None = None
    """Average the weights over steps; evaluations and the written model then use the average."""
    evaluations: tuple[EvaluationConfig, ...] = ()
    """Judged during training; the first decides which model is the best one."""
    evaluate_every_epochs: float = 1.0
    """Epochs between evaluations; the end of the run is always evaluated."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        if self.head_per_source and not self.data.more_sources:
            raise ValueError(
                "head_per_source: there is one source, whose head is the only one; name others in data.more_sources, "
                "or set it to false."
            )
        if self.head_per_source and self.start is not None and self.start.head not in ("class_means", "random"):
            raise ValueError(
                f"start.head: {self.start.head} is one head, and with head_per_source there are several; give "
                "class_means or random."
            )
        if self.epochs <= 0:
            raise ValueError(f"epochs is {self.epochs}; give more than 0.")
        if self.evaluate_every_epochs <= 0:
            raise ValueError(f"evaluate_every_epochs is {self.evaluate_every_epochs}; give more than 0.")
        if self.norm_warm_start_images < 0:
            raise ValueError(
                f"norm_warm_start_images is {self.norm_warm_start_images}; give 0 (no first pass) or more."
            )
        if self.accumulation_steps < 1:
            raise ValueError(f"accumulation_steps is {self.accumulation_steps}; give 1 or more.")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError(
                f"clip_norm is {self.clip_norm}; give more than 0, or null to leave gradients as they are."
            )
        names = [e.name for e in self.evaluations]
        if len(set(names)) != len(names):
            raise ValueError(f"evaluations: the names {names} are not all different.")

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the number of optimiser steps of the whole run."""
        return max(1, round(self.epochs * steps_per_epoch))

    def learning_rate(self, step: int, *, total_steps: int, steps_per_epoch: int) -> float:
        """Return the base learning rate of `step` (0-based)."""
        return self.optim.lr * self.schedule.factor(step, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
