"""The backbone's precision: autocast, the fp16 scaler, and a plain no where the processor would crawl."""

from __future__ import annotations

import contextlib
import platform

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from marginface.distributed import sum_over_ranks
from marginface.errors import InputError
from marginface.training.config import PrecisionConfig

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def has_units(dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether `device` computes in `dtype` with instructions of its own."""
    if device.type == "cuda":
        return dtype is torch.float16 or torch.cuda.is_bf16_supported(including_emulation=False)
    if platform.machine() in {"arm64", "aarch64"}:
        name = "_is_mkldnn_bf16_supported" if dtype is torch.bfloat16 else "_is_mkldnn_fp16_supported"
        return bool(getattr(torch.ops.mkldnn, name)())
    bf16, fp16 = ["_is_avx512_bf16_supported", "_is_amx_tile_supported"], ["_is_amx_fp16_supported"]
    probes = bf16 if dtype is torch.bfloat16 else fp16
    return any(getattr(torch.cpu, probe)() for probe in probes if hasattr(torch.cpu, probe))


def refuse_slow_precision(config: PrecisionConfig, device: torch.device) -> None:
    """Raise InputError for a precision that this processor would have to emulate, unless it is forced."""
    if config.dtype == "fp32" or config.force or has_units(DTYPES[config.dtype], device):
        return
    raise InputError(
        f"precision.dtype: this {device.type.upper()} has no {config.dtype} units, so {config.dtype} would be about "
        f"ten times slower than fp32; use fp32, or set precision.force to run it all the same."
    )


def autocast(config: PrecisionConfig, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the context in which the backbone runs forward."""
    if config.dtype == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[config.dtype])


class RankedGradScaler(torch.amp.GradScaler):
    """A gradient scaler for gradients some of which are DTensors: an overflow on one rank skips the step on all."""

    def _unscale_grads_(
        self, optimizer: torch.optim.Optimizer, inv_scale: Tensor, found_inf: Tensor, allow_fp16: bool
    ) -> dict[torch.device, Tensor]:
        # Torch's own takes lists of one kind only. It has no public place for this; torch's FSDP1 overrides it too.
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        local = [g.to_local() if isinstance(g, DTensor) else g for g in gradients]
        if local:
            torch._amp_foreach_non_finite_check_and_unscale_(local, found_inf, inv_scale)
        return {found_inf.device: sum_over_ranks(found_inf)}


def build_scaler(config: PrecisionConfig, device: torch.device) -> torch.amp.GradScaler:
    """Return the gradient scaler: at work for fp16, transparent otherwise."""
    return RankedGradScaler(device.type, growth_interval=100, enabled=config.dtype == "fp16")
