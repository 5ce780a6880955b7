"""What a training step costs each rank, counted before it runs: bytes in memory, and bytes sent to other ranks.

Letters: B images of a rank at a time, G = B ranks, C classes, K sub-centres, D embedding, W ranks.
Everything is a function of sizes; nothing is run and no large tensor is made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from marginface.distributed import has_batch_norm, repeated_blocks
from marginface.heads import HeadConfig, HeadSettings, SampledHeadConfig
from marginface.heads.chunked_softmax import ENTRIES_PER_CHUNK, FEWEST_PER_CHUNK

FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class BackboneSize:
    """Bytes of a backbone, in fp32 where it is about weights."""

    weights: int
    trained: int
    """Of the weights, those that have a gradient."""
    buffers: int
    blocks: int
    """Weights of all blocks as FSDP2 sends them: in half precision two bytes each, but four beside batch norms."""
    largest_block: int
    """The largest block of these, which FSDP2 gathers at a time; 0 where there are no blocks."""
    outside_blocks: int
    """Weights that belong to no block; FSDP2 gathers them for the whole step."""
    activations: int
    """What backward needs of the forward pass of a rank's images."""


@dataclass(frozen=True, kw_only=True)
class HeadSize:
    """What of a head decides its cost."""

    num_classes: int
    embedding_dim: int
    is_sharded: bool = False
    """Whether ranks hold different classes."""
    rate: float = 1.0
    """Share of the classes that a step looks at."""
    has_gradient: bool = True
    """Whether a gradient of all centres exists; a fused update has none."""
    stores_logits: bool = True
    sub_centres: int = 1
    spheres: int = 1
    share: float = 1.0
    """Of a batch's images, those that the head sees; less than all where each source has a head of its own."""


@dataclass(frozen=True, kw_only=True)
class Collective:
    """One exchange between all ranks."""

    name: str
    operation: Literal["all-reduce", "all-gather", "reduce-scatter", "broadcast"]
    size: int
    """Bytes of the whole: what is summed, what is there after gathering, what is there before scattering."""
    times: int = 1
    """A step."""

    def sent(self, num_ranks: int) -> int:
        """Return the bytes that a rank sends (and receives) a step, by rings as NCCL and gloo do for large tensors."""
        others = (num_ranks - 1) / num_ranks
        rounds = {"all-reduce": 2 * others, "all-gather": others, "reduce-scatter": others, "broadcast": others}
        return round(self.size * self.times * rounds[self.operation])


@dataclass(frozen=True, kw_only=True)
class StepEstimate:
    """What a step costs one rank.

    Left out of memory: Python and torch themselves (some 300 MB), images being loaded, and what convolutions and
    collectives allocate while they run. So it is a floor. Left out of traffic: a few numbers a step for the log.
    """

    num_ranks: int
    memory: dict[str, int]
    """Bytes by what holds them."""
    collectives: tuple[Collective, ...]
    """Empty with one rank."""

    @property
    def total_memory(self) -> int:
        """Bytes on one rank."""
        return sum(self.memory.values())

    @property
    def head_memory(self) -> int:
        """Bytes of everything that belongs to the head."""
        return sum(size for name, size in self.memory.items() if name.startswith("head"))

    @property
    def total_sent(self) -> int:
        """Bytes that one rank sends a step; it receives as many."""
        return sum(collective.sent(self.num_ranks) for collective in self.collectives)


def estimate_step(
    backbone: BackboneSize,
    *heads: HeadSize,
    images_at_a_time: int,
    num_ranks: int = 1,
    parts: int = 1,
    fsdp: bool = False,
    state_tensors: int = 1,
) -> StepEstimate:
    """Return what a training step costs each rank.

    Args:
        backbone: from `measure_backbone`, for `images_at_a_time` images.
        heads: their sizes, mostly one.
        images_at_a_time: B, of one rank in one part of the batch.
        num_ranks: W.
        parts: accumulation steps.
        fsdp: the backbone is cut over the ranks (FSDP2) instead of copied (DDP).
        state_tensors: what the optimiser keeps a parameter; its config knows.
    """
    memory = Counter(_backbone_memory(backbone, num_ranks if fsdp else 1, state_tensors))
    collectives: list[Collective] = []
    if num_ranks > 1:
        collectives += _fsdp_traffic(backbone, parts) if fsdp else _ddp_traffic(backbone)
    for head in heads:
        sharded = head.is_sharded and num_ranks > 1
        images = math.ceil(images_at_a_time * head.share)
        memory.update(_head_memory(head, images, num_ranks if sharded else 1, parts, state_tensors))
        if num_ranks > 1:
            collectives += _sharded_traffic(head, images * num_ranks, parts) if sharded else _dense_traffic(head)
    return StepEstimate(num_ranks=num_ranks, memory=memory, collectives=tuple(collectives))


def _backbone_memory(backbone: BackboneSize, num_shards: int, state_tensors: int) -> dict[str, int]:
    gathered = 0
    if num_shards > 1:  # weights of two blocks (one is fetched ahead) and of what is in none, gradients of one
        gathered = 3 * backbone.largest_block + 2 * backbone.outside_blocks
    return {
        "backbone weights": -(-backbone.weights // num_shards) + backbone.buffers,
        "backbone gradients": -(-backbone.trained // num_shards),
        "backbone optimiser": -(-backbone.trained * state_tensors // num_shards),
        "backbone gathered": gathered,
        "backbone activations": backbone.activations,
    }


def _head_memory(head: HeadSize, batch: int, num_shards: int, parts: int, state_tensors: int) -> dict[str, int]:
    classes = -(-head.num_classes // num_shards)
    row = head.sub_centres * head.embedding_dim * FLOAT_BYTES
    centres = classes * row
    rows_G = batch * num_shards
    drawn = min(classes, max(int(head.rate * classes), batch))  # at least the batch's own, spread evenly over ranks
    taking_part = drawn * head.sub_centres
    held = 0
    if parts > 1 and head.has_gradient:
        held = centres  # a part's gradient beside the sum of those before it
    elif parts > 1:
        held = parts * drawn * row if head.rate < 1.0 else centres
    chunk = min(taking_part, max(FEWEST_PER_CHUNK, ENTRIES_PER_CHUNK // rows_G))
    copies = 2 if head.rate < 1.0 else 0 if head.has_gradient else 1  # of a chunk's centres: values and gradient
    workspace = chunk * (2 * rows_G + copies * head.embedding_dim) * FLOAT_BYTES
    workspace += taking_part * head.spheres * FLOAT_BYTES  # lengths of centres
    workspace += rows_G * head.embedding_dim * (6 * FLOAT_BYTES + 8)  # embeddings in float64 once, and their gradient
    return {
        "head weights": centres,
        "head gradients": (centres if head.has_gradient else 0) + held,
        "head optimiser": centres * state_tensors,
        "head logits": head.spheres * taking_part * rows_G * FLOAT_BYTES if head.stores_logits else 0,
        "head workspace": workspace,
    }


def _ddp_traffic(backbone: BackboneSize) -> list[Collective]:
    shared = [Collective(name="running statistics", operation="broadcast", size=backbone.buffers)]
    return [
        Collective(name="backbone gradients", operation="all-reduce", size=backbone.trained),
        *(shared if backbone.buffers else []),
    ]


def _fsdp_traffic(backbone: BackboneSize, parts: int) -> list[Collective]:
    return [
        Collective(
            name="block weights, forward and backward", operation="all-gather", size=backbone.blocks, times=2 * parts
        ),
        Collective(name="other weights", operation="all-gather", size=backbone.outside_blocks, times=parts),
        Collective(name="backbone gradients", operation="reduce-scatter", size=backbone.trained),
    ]


def _dense_traffic(head: HeadSize) -> list[Collective]:
    size = head.num_classes * head.sub_centres * head.embedding_dim * FLOAT_BYTES
    return [Collective(name="gradient of class centres", operation="all-reduce", size=size)]


def _sharded_traffic(head: HeadSize, rows_G: int, parts: int) -> list[Collective]:
    embeddings = rows_G * head.embedding_dim * FLOAT_BYTES
    numbers = head.spheres * rows_G * FLOAT_BYTES
    # Sums: true cosines in float64, a maximum and a sum of exponentials. Gathered: labels (8 bytes), two gradients.
    return [
        Collective(name="embeddings", operation="all-gather", size=embeddings, times=parts),
        Collective(name="gradient of embeddings", operation="reduce-scatter", size=embeddings, times=parts),
        Collective(name="sums of each row", operation="all-reduce", size=4 * numbers, times=parts),
        Collective(
            name="labels and gradients of each row", operation="all-gather", size=8 * rows_G + 2 * numbers, times=parts
        ),
    ]


def head_size(config: HeadConfig, *, num_classes: int, embedding_dim: int, share: float = 1.0) -> HeadSize:
    """Return the size of the head that `config` builds; one from elsewhere counts as a dense one."""
    if not isinstance(config, HeadSettings):
        return HeadSize(num_classes=num_classes, embedding_dim=embedding_dim, share=share)
    return HeadSize(
        num_classes=num_classes,
        embedding_dim=embedding_dim,
        is_sharded=config.kind != "dense",
        rate=config.rate if isinstance(config, SampledHeadConfig) else 1.0,
        has_gradient=not config.wants_fused_update,
        stores_logits=config.memory == "store",
        sub_centres=config.sub_centres,
        spheres=config.spheres.count if config.spheres else 1,
        share=share,
    )


def count_parameters(module: nn.Module) -> int:
    """Return the number of values in all parameters, trained or not."""
    return sum(p.numel() for p in module.parameters())


def measure_backbone(
    backbone: nn.Module,
    *,
    input_size: int,
    images_at_a_time: int,
    half_precision: bool = False,
    recompute_blocks: bool = False,
) -> BackboneSize:
    """Return the sizes of a backbone, which is neither run nor changed.

    Args:
        backbone: in training mode; it may live on the meta device.
        input_size: side of the images, pixels.
        images_at_a_time: B.
        half_precision: it runs under autocast, which halves the activations and what FSDP2 sends of weights.
        recompute_blocks: only the inputs of its blocks are kept (activation checkpointing).
    """
    shape = (images_at_a_time, 3, input_size, input_size)
    activations = measure_activations(backbone, shape, recompute_blocks=recompute_blocks)
    weights, in_blocks, sent = _bytes_of(backbone.parameters()), 0, [0]
    for block in repeated_blocks(backbone).values():
        size = _bytes_of(block.parameters())
        in_blocks += size
        sent.append(size // 2 if half_precision and not has_batch_norm(block) else size)
    return BackboneSize(
        weights=weights,
        trained=_bytes_of(p for p in backbone.parameters() if p.requires_grad),
        buffers=_bytes_of(backbone.buffers()),
        blocks=sum(sent),
        largest_block=max(sent),
        outside_blocks=weights - in_blocks,
        activations=activations // 2 if half_precision else activations,
    )


def measure_activations(
    backbone: nn.Module, images_shape: tuple[int, int, int, int], *, recompute_blocks: bool = False
) -> int:
    """Return the bytes of all tensors that a forward pass of `backbone` saves for its backward pass, in fp32.

    The pass runs on the meta device, shapes without numbers: it costs no memory and no arithmetic, and the running
    statistics stay where they are. With `recompute_blocks`, a block's own count only while it is the one that is
    computed again, so the largest block is added to the inputs of all.
    """
    stand_ins = {
        name: torch.empty_like(t, device="meta").requires_grad_(t.requires_grad)
        for name, t in (*backbone.named_parameters(), *backbone.named_buffers())
    }
    saved = _SavedTensors({_storage_id(t) for t in stand_ins.values()})
    blocks = repeated_blocks(backbone).values() if recompute_blocks else ()
    with saved.split_by(blocks), torch.autograd.graph.saved_tensors_hooks(saved.keep, lambda tensor: tensor):
        torch.func.functional_call(backbone, stand_ins, (torch.empty(images_shape, device="meta"),))
    return saved.peak()


class _SavedTensors:
    """Tensors saved for backward, by the block in which they were."""

    def __init__(self, weights: set[int]) -> None:
        self._weights = weights
        self._outside: dict[int, Tensor] = {}
        self._of_block: list[dict[int, Tensor]] = []
        self._current = self._outside

    def keep(self, tensor: Tensor) -> Tensor:
        identity = _storage_id(tensor)
        if identity not in self._weights:
            self._current[identity] = tensor  # views share a storage, and holding it keeps its id its own
        return tensor

    @contextmanager
    def split_by(self, blocks: Iterable[nn.Module]) -> Iterator[None]:
        handles = []
        for block in blocks:
            handles += [block.register_forward_pre_hook(self._enter), block.register_forward_hook(self._leave)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def peak(self) -> int:
        """Return the bytes of what is outside, and of the largest block's own."""
        own = [
            sum(t.untyped_storage().nbytes() for identity, t in block.items() if identity not in self._outside)
            for block in self._of_block
        ]
        return sum(t.untyped_storage().nbytes() for t in self._outside.values()) + max(own, default=0)

    def _enter(self, block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        for tensor in inputs:
            self.keep(tensor)
        self._of_block.append({})
        self._current = self._of_block[-1]

    def _leave(self, block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._current = self._outside


def _storage_id(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(math.prod(t.shape) * t.element_size() for t in tensors)
