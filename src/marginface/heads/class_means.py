"""Centres from embeddings, and templates from centres: how a head begins at known people, and what it leaves behind.

Letters: N embeddings, C classes, K sub-centres, D embedding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from marginface.errors import InputError
from marginface.heads.centres import local_centres
from marginface.heads.margin_head import MarginHead

START_LENGTH = 0.01
"""Of a centre, times sqrt(D): that of the random start, so that a learning rate turns centres by as much."""


def class_means(embeddings_ND: Tensor, labels_N: Tensor, num_classes: int) -> Tensor:
    """Return the mean direction of each class, (C, D) of length 1 in float32; zero for a class without embeddings.

    Every embedding counts the same, whatever its length.

    Raises:
        InputError: a label outside 0..C-1.
    """
    _check_labels(embeddings_ND, labels_N, num_classes)
    sum_CD = embeddings_ND.new_zeros(num_classes, embeddings_ND.shape[1], dtype=torch.float64)
    sum_CD.index_add_(0, labels_N, F.normalize(embeddings_ND.double(), dim=1))
    return F.normalize(sum_CD, dim=1).float()


@torch.no_grad()
def start_from_class_means(head: MarginHead, embeddings_ND: Tensor, labels_N: Tensor) -> int:
    """Turn the head's centres to the means of their classes' embeddings; return how many classes had any.

    Classes without embeddings keep their random start. Each sphere's part gets the length of the random start, about
    0.01 sqrt(D / N). Sub-centres of a class start a little apart: each is the mean and a tenth of its random start.
    Sharded, every rank gives the same embeddings, of all classes, and takes what is its own.

    Args:
        head: a new head, before its first step.
        embeddings_ND: embeddings of (some of) the training images by the backbone that training begins with.
        labels_N: their classes.
    """
    means_CD = class_means(embeddings_ND, labels_N, head.num_classes)
    own = slice(head.shard.first, head.shard.first + head.shard.num_classes)
    centres = local_centres(head.class_centres)
    spheres = head.spheres.count if head.spheres else 1
    means_CNd = means_CD[own].to(centres).unflatten(1, (spheres, -1))
    length = START_LENGTH * math.sqrt(means_CNd.shape[2])
    start_CD = (F.normalize(means_CNd, dim=2) * length).flatten(1)
    known_C = start_CD.abs().sum(dim=1) > 0
    if head.sub_centres > 1:
        centres[known_C] = start_CD[known_C, None] + 0.1 * centres[known_C]
    else:
        centres[known_C] = start_CD[known_C]
    return int((means_CD.abs().sum(dim=1) > 0).sum())


@torch.no_grad()
def start_from_head(head: MarginHead, earlier: MarginHead) -> None:
    """Set the head's centres to those of an earlier one over the same classes, lengths and all.

    Running statistics come too where both margins keep the same ones. Sharded, every rank gives the whole earlier head
    and takes what is its own.

    Args:
        head: a new head, before its first step.
        earlier: whole, on any device.

    Raises:
        InputError: centres of another shape.
    """
    centres = local_centres(head.class_centres)
    theirs = earlier.class_centres.detach()
    ours, expected = tuple(theirs.shape), (head.num_classes, *centres.shape[1:])
    if ours != expected:
        raise InputError(f"its centres are {_sizes(ours)}, the new head's are {_sizes(expected)}; take class_means.")
    centres.copy_(theirs[head.shard.first : head.shard.first + head.shard.num_classes])
    if type(head.margin) is type(earlier.margin):
        kept = dict(earlier.margin.named_buffers())
        for name, buffer in head.margin.named_buffers():
            if name in kept and kept[name].shape == buffer.shape:
                buffer.copy_(kept[name])


@torch.no_grad()
def class_templates(head: MarginHead) -> Tensor:
    """Return one vector of length 1 a class, (C, D): what a search over the head's people would compare with.

    With spheres every slice has the same length. Sharded, all ranks call it and get all classes.

    Raises:
        InputError: a head with sub-centres, since which of them is the person is a matter of data (`clean_labels`).
    """
    if head.sub_centres > 1:
        raise InputError(
            f"this head has {head.sub_centres} centres a class; reduce them to the dominant one by clean_labels."
        )
    centres = head.class_centres.detach()
    whole_CD = centres.full_tensor() if hasattr(centres, "full_tensor") else centres
    spheres = head.spheres.count if head.spheres else 1
    unit_CNd = F.normalize(whole_CD.unflatten(1, (spheres, -1)), dim=2)
    return unit_CNd.flatten(1) / math.sqrt(spheres)


@dataclass(frozen=True)
class CleanedLabels:
    """What sub-centres say of labels."""

    centres_CD: Tensor
    """(C, D): the dominant centre of each class, as it is in the head."""
    dominant_C: Tensor
    """(C,): which sub-centre that is: the nearest one of most of the class's embeddings."""
    keep_N: Tensor
    """(N,) bool: embeddings within the largest angle of their class's dominant centre."""


@torch.no_grad()
def clean_labels(
    head: MarginHead, embeddings_ND: Tensor, labels_N: Tensor, *, largest_angle_degrees: float = 75.0
) -> CleanedLabels:
    """Return the dominant sub-centre of each class, and which images are near enough to it to be that person.

    The clean-up of Deng et al., "Sub-center ArcFace", ECCV 2020: train with K = 3, drop images of more than 75 degrees,
    train again with K = 1. A class without embeddings keeps its first centre. On one process.

    Args:
        head: with sub-centres; spheres are compared as one vector.
        embeddings_ND: of the images in question, by the backbone trained with the head.
        labels_N: their classes.
        largest_angle_degrees: between an image and the dominant centre.
    """
    _check_labels(embeddings_ND, labels_N, head.num_classes)
    if not 0.0 < largest_angle_degrees < 180.0:
        raise InputError(f"largest_angle_degrees is {largest_angle_degrees}; it is an angle, 75 is usual.")
    centres_CKD = head.class_centres.detach().view(head.num_classes, head.sub_centres, -1)
    unit_CKD = F.normalize(centres_CKD, dim=2)
    cos_NK = torch.einsum("nd,nkd->nk", F.normalize(embeddings_ND.to(unit_CKD), dim=1), unit_CKD[labels_N])
    votes_CK = torch.zeros(head.num_classes, head.sub_centres, dtype=torch.int64, device=labels_N.device)
    votes_CK.index_put_((labels_N, cos_NK.argmax(dim=1)), torch.ones_like(labels_N), accumulate=True)
    dominant_C = votes_CK.argmax(dim=1)
    cos_N = cos_NK.gather(1, dominant_C[labels_N, None])[:, 0]
    return CleanedLabels(
        centres_CD=centres_CKD[torch.arange(head.num_classes, device=dominant_C.device), dominant_C].clone(),
        dominant_C=dominant_C,
        keep_N=cos_N >= math.cos(math.radians(largest_angle_degrees)),
    )


@torch.no_grad()
def average_heads(heads: Sequence[MarginHead]) -> MarginHead:
    """Return a head whose centres point to the mean of the heads' directions, as long as theirs are on average.

    For heads over the same classes and embedding space: of several epochs of one run, say. Running statistics of
    margins are averaged too; all else is as in the first head.

    Raises:
        InputError: no head, or centres of different shapes.
    """
    if not heads:
        raise InputError("there are no heads to average; give at least one.")
    shapes = {tuple(head.class_centres.shape) for head in heads}
    if len(shapes) > 1:
        raise InputError(f"heads with centres of shapes {sorted(shapes)} cannot be averaged; give those of one run.")
    averaged = copy.deepcopy(heads[0])
    directions = torch.stack([F.normalize(local_centres(head.class_centres.detach()), dim=-1) for head in heads])
    lengths = torch.stack([local_centres(head.class_centres.detach()).norm(dim=-1) for head in heads])
    mean = F.normalize(directions.mean(dim=0), dim=-1) * lengths.mean(dim=0)[..., None]
    local_centres(averaged.class_centres.detach()).copy_(mean)
    for name, buffer in averaged.margin.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.stack([head.margin.get_buffer(name) for head in heads]).mean(dim=0))
    return averaged


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)


def _check_labels(embeddings_ND: Tensor, labels_N: Tensor, num_classes: int) -> None:
    if labels_N.shape != embeddings_ND.shape[:1]:
        raise InputError(f"{len(labels_N)} labels beside {len(embeddings_ND)} embeddings; give one label an embedding.")
    outside = (labels_N < 0) | (labels_N >= num_classes)
    if bool(outside.any()):
        raise InputError(f"label {int(labels_N[outside][0])} is outside 0..{num_classes - 1}.")
