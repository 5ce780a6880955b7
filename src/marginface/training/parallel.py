"""A backbone made ready for its ranks: memory order, statistics, recomputing, compiling, and DDP or FSDP2.

All of it happens in place, by hooks and by what `forward` is, so the names of weights stay those of the plain network.
Gradients are summed over ranks and never averaged: the loss is divided by the global batch already.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from marginface.distributed import Ranks, has_batch_norm, on_copies_of_buffers, repeated_blocks, sum_without_dividing
from marginface.errors import InputError
from marginface.training.config import StartConfig, TrainConfig
from marginface.training.precision import DTYPES


def spread_backbone(backbone: nn.Module, config: TrainConfig, ranks: Ranks) -> nn.Module:
    """Return what training calls in place of `backbone`: itself, changed in place, or its DDP wrapper.

    Parameters may be other objects afterwards (FSDP2 makes them DTensors), so optimisers are built later.

    Raises:
        InputError: a setting that this backbone, device or torch cannot follow.
    """
    sharded = config.distributed.backbone == "fsdp" and ranks.mesh is not None
    refuse_what_does_not_fit(backbone, config, ranks.device)
    if config.precision.channels_last and not sharded:  # FSDP2 cuts weights in row-major order only
        backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.distributed.sync_batch_norm:
        nn.SyncBatchNorm.convert_sync_batchnorm(backbone)
    one_by_one = list(repeated_blocks(backbone).values()) if sharded or config.activation_checkpointing else []
    if config.compile:
        # Between blocks that FSDP2 gathers or that are recomputed there is work that cannot be translated.
        for block in one_by_one:
            block.forward = torch.compile(block.forward)  # type: ignore[method-assign]
    if config.activation_checkpointing:
        for block in one_by_one:
            _recompute_in_backward(block)
    if sharded:
        return _shard(backbone, one_by_one, config, ranks)
    has_gradients = any(parameter.requires_grad for parameter in backbone.parameters())  # DDP refuses to have none
    spread = _replicate(backbone, ranks) if ranks.world_size > 1 and has_gradients else backbone
    if config.compile and not one_by_one:
        spread.compile()  # the wrapper too: torch then cuts its graph where DDP sends gradients off
    return spread


@contextlib.contextmanager
def gradients_leave(backbone: nn.Module, *, now: bool) -> Iterator[None]:
    """Sum gradients over ranks in the backward passes inside, or let them gather on this rank until later.

    Args:
        backbone: what `spread_backbone` returned.
        now: True for the last part of a batch.
    """
    if isinstance(backbone, FSDPModule):
        backbone.set_requires_gradient_sync(now)
        yield
    elif isinstance(backbone, DistributedDataParallel) and not now:
        with backbone.no_sync():
            yield
    else:
        yield


def _replicate(backbone: nn.Module, ranks: Ranks) -> nn.Module:
    device_ids = [ranks.device.index] if ranks.device.type == "cuda" else None
    wrapped = DistributedDataParallel(backbone, device_ids=device_ids, gradient_as_bucket_view=True)
    wrapped.register_comm_hook(None, sum_without_dividing)  # type: ignore[arg-type]
    return wrapped


def _shard(backbone: nn.Module, blocks: list[nn.Module], config: TrainConfig, ranks: Ranks) -> nn.Module:
    """FSDP2: each block by itself, then what is left as one more."""
    for block in blocks:
        fully_shard(block, mesh=ranks.mesh, mp_policy=_policy(block, config))
    fully_shard(backbone, mesh=ranks.mesh)  # stem and last layer in fp32: autocast does the rest
    for module in backbone.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            # Without a division of its own torch asks for a sum scaled beforehand, which only NCCL knows.
            module.set_force_sum_reduction_for_comms(ranks.device.type != "cuda")
    return backbone


def _policy(block: nn.Module, config: TrainConfig) -> MixedPrecisionPolicy:
    """Weights travel in half precision, gradients are summed in fp32; batch normalisation keeps fp32 weights."""
    if config.precision.dtype == "fp32" or has_batch_norm(block):
        return MixedPrecisionPolicy()
    return MixedPrecisionPolicy(param_dtype=DTYPES[config.precision.dtype], reduce_dtype=torch.float32)


def _recompute_in_backward(block: nn.Module) -> None:
    """Let `block` keep only its input for backward; its second pass leaves running statistics alone."""
    forward = block.forward

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return contextlib.nullcontext(), on_copies_of_buffers(block)

    def forward_twice(*inputs: Any, **settings: Any) -> Any:
        once = functools.partial(forward, **settings)
        return checkpoint(once, *inputs, use_reentrant=False, context_fn=contexts)

    block.forward = forward_twice  # type: ignore[method-assign]


def refuse_what_does_not_fit(backbone: nn.Module, config: TrainConfig, torch_device: torch.device) -> None:
    """Raise InputError for a setting that this backbone, device or torch cannot follow."""
    kind, device = config.backbone.kind, torch_device.type
    if config.distributed.backbone == "fsdp" and not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
        raise InputError(f"distributed.backbone: fsdp needs torch 2.8 or newer, this is {torch.__version__}; use ddp.")
    if config.distributed.backbone == "fsdp" and config.start and _freezes(config.start):
        raise InputError("distributed.backbone: fsdp shards what trains only as a whole; fine-tune parts with ddp.")
    if config.distributed.sync_batch_norm and device != "cuda":
        raise InputError(
            f"distributed.sync_batch_norm: torch's synchronised batch normalisation needs CUDA, and this device is "
            f"{device.upper()}; set it to false."
        )
    if config.distributed.sync_batch_norm and not has_batch_norm(backbone):
        raise InputError(f"distributed.sync_batch_norm: {kind} has no batch normalisation; set it to false.")
    if config.activation_checkpointing and not repeated_blocks(backbone):
        raise InputError(f"activation_checkpointing: {kind} has no repeated blocks to compute again; set it to false.")
    if config.compile and config.distributed.backbone == "fsdp" and not repeated_blocks(backbone):
        raise InputError(f"compile: under fsdp blocks are compiled, and {kind} has none; use ddp, or set it to false.")
    if config.compile and device == "cpu":
        _refuse_without_compiler()


def _freezes(start: StartConfig) -> bool:
    return start.trains != "all" or start.frozen_batch_norm


def _refuse_without_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise InputError(
            "compile: on a CPU this needs a C++ compiler; install g++, or set compile to false."
        ) from error
