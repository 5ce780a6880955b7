"""How much memory a training step will need, counted before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes that one rank's training step holds at its peak, by what holds them.

    Left out: Python and torch themselves (some 300 MB), images being loaded, and what convolutions allocate while they
    run. So it is a floor.
    """

    backbone_weights: int
    backbone_gradients: int
    backbone_optimizer: int
    activations: int
    """What the backbone's backward pass needs of its forward pass, for the whole batch."""
    head: int
    """Class centres, their gradient and optimiser state, and one (B, C) matrix of cosines."""

    @property
    def total(self) -> int:
        """Sum of all parts."""
        parts = (self.backbone_weights, self.backbone_gradients, self.backbone_optimizer, self.activations, self.head)
        return sum(parts)


def count_parameters(module: nn.Module) -> int:
    """Return the number of values in all parameters, trained or not."""
    return sum(p.numel() for p in module.parameters())


def estimate_training_memory(
    backbone: nn.Module,
    *,
    input_size: int,
    batch_size: int,
    num_classes: int,
    embedding_dim: int,
    state_tensors_per_parameter: int,
    half_precision: bool = False,
) -> MemoryEstimate:
    """Return what a training step of one rank holds in memory.

    Args:
        backbone: the network, in training mode; it is neither run nor changed.
        input_size: side of the images, pixels.
        batch_size: images that go through the backbone at a time on this rank.
        num_classes: C.
        embedding_dim: D.
        state_tensors_per_parameter: what the optimiser keeps; its config knows.
        half_precision: the backbone runs under autocast, which halves the activations.
    """
    activations = measure_activations(backbone, (batch_size, 3, input_size, input_size))
    gradients = _bytes_of(p for p in backbone.parameters() if p.requires_grad)
    centres = num_classes * embedding_dim * FLOAT_BYTES
    return MemoryEstimate(
        backbone_weights=_bytes_of(backbone.parameters()) + _bytes_of(backbone.buffers()),
        backbone_gradients=gradients,
        backbone_optimizer=gradients * state_tensors_per_parameter,
        activations=activations // 2 if half_precision else activations,
        head=centres * (2 + state_tensors_per_parameter) + batch_size * num_classes * FLOAT_BYTES,
    )


def measure_activations(backbone: nn.Module, images_shape: tuple[int, int, int, int]) -> int:
    """Return the bytes of all tensors that a forward pass of `backbone` saves for its backward pass, in fp32.

    The pass runs on the meta device, shapes without numbers: it costs no memory and no arithmetic, and the running
    statistics stay where they are.
    """
    stand_ins = {
        name: torch.empty_like(t, device="meta").requires_grad_(t.requires_grad)
        for name, t in (*backbone.named_parameters(), *backbone.named_buffers())
    }
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[_storage_id(tensor)] = tensor  # views share a storage, and holding it keeps its id its own
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        torch.func.functional_call(backbone, stand_ins, (torch.empty(images_shape, device="meta"),))
    weights = {_storage_id(t) for t in stand_ins.values()}
    return sum(t.untyped_storage().nbytes() for identity, t in saved.items() if identity not in weights)


def _storage_id(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
