"""The class centres: how they start, and which of them are on this rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard

from marginface.errors import InputError

ROWS_A_DRAW = 65536


@dataclass(frozen=True)
class ClassShard:
    """The consecutive classes of one rank."""

    rank: int
    first: int
    num_classes: int


def shard_of(num_classes: int, *, rank: int, world_size: int) -> ClassShard:
    """Return the classes of a rank: blocks of ceil(C / ranks), the last ones shorter or empty, as DTensor splits."""
    block = -(-num_classes // world_size)
    first = min(rank * block, num_classes)
    return ClassShard(rank, first, min(block, num_classes - first))


def initial_class_centres(
    num_classes: int, embedding_dim: int, *, seed: int, sub_centres: int = 1, mesh: DeviceMesh | None = None
) -> nn.Parameter:
    """Return (C, D), or (C, K, D) with K > 1 sub-centres, float32 from normal(0, 0.01), as insightface's PartialFC.

    With a mesh this is a DTensor, split over classes; each rank draws all and keeps its own, so that the number of
    ranks cannot change a centre.

    Only directions reach the loss; the length sets how far a step of a given learning rate turns a centre (the gradient
    is inversely proportional to it), so published learning rates belong to published lengths: about 0.01 sqrt(D) here.

    Raises:
        InputError: fewer than two classes.
    """
    if num_classes < 2:
        raise InputError(f"{num_classes} identity cannot train a head; give records of at least 2 people.")
    if embedding_dim < 1:
        raise ValueError(f"embedding_dim {embedding_dim} must be at least 1.")
    one = (embedding_dim,) if sub_centres == 1 else (sub_centres, embedding_dim)
    if mesh is None:
        return nn.Parameter(_drawn(torch.empty(num_classes, *one), ClassShard(0, 0, num_classes), num_classes, seed))
    shard = shard_of(num_classes, rank=mesh.get_local_rank(), world_size=mesh.size())
    local = _drawn(torch.empty(shard.num_classes, *one), shard, num_classes, seed).to(mesh.device_type)
    shape = torch.Size((num_classes, *one))
    strides = torch.empty(shape, device="meta").stride()
    return nn.Parameter(DTensor.from_local(local, mesh, [Shard(0)], run_check=False, shape=shape, stride=strides))


def local_centres(class_centres: Tensor) -> Tensor:
    """Return this rank's rows, differentiably."""
    return class_centres.to_local() if isinstance(class_centres, DTensor) else class_centres


def _drawn(centres: Tensor, shard: ClassShard, num_classes: int, seed: int) -> Tensor:
    """Fill this rank's rows of what one generator gives for all rows, block by block."""
    generator = torch.Generator().manual_seed(seed)
    block = torch.empty(ROWS_A_DRAW, *centres.shape[1:])
    for first in range(0, num_classes, ROWS_A_DRAW):
        count = min(ROWS_A_DRAW, num_classes - first)
        drawn = block[:count].normal_(0.0, 0.01, generator=generator)
        low, high = max(first, shard.first), min(first + count, shard.first + shard.num_classes)
        if low < high:
            centres[low - shard.first : high - shard.first] = drawn[low - first : high - first]
    return centres
