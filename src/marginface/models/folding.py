"""BatchNorm folded into its neighbours: the same function of an image with fewer passes over memory.

In evaluation a BN is y = s x + t for each channel, with s = weight / sqrt(var + eps) and t = bias - mean s. After a
convolution or a linear layer, W becomes s W and b becomes s b + t. Before one, W becomes W s and b gains W t; that is
exact only where the layer reads no zeros from beyond the border, since padding comes after the BN. So the BN before a
padded convolution (each block of IR and iResNet) stays.

Which layer feeds which is seen by watching one forward pass, so that any Python in a backbone is allowed; a layer whose
result somebody else reads too, or that is called twice, is left alone.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

Layer = nn.Conv2d | nn.Linear

_READS_NO_VALUES = {"__get__", "dim", "size", "is_floating_point", "stride", "is_contiguous", "numel"}
_PASSES_VALUES_ON = {F.dropout, F.dropout2d, torch.flatten, Tensor.flatten, Tensor.to, Tensor.float}
"""In evaluation these change no value; flattening is accounted for."""


@torch.no_grad()
def fold_batch_norm(backbone: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of `backbone` in evaluation mode with its BNs folded where that is exact, weights channels_last.

    `backbone` is not touched; what was not folded shares its tensors.

    Args:
        backbone: in evaluation mode.
        images: (B, 3, S, S) float, any values: one pass over them shows how the layers follow one another.
    """
    calls = _watch(backbone, images)
    folded = copy.deepcopy(backbone, {id(t): t for t in (*backbone.parameters(), *backbone.buffers())})
    twins = dict(zip(backbone.modules(), folded.modules(), strict=True))
    for found in _foldable(backbone, calls):
        layer, norm = twins[found.layer], twins[found.norm]
        assert isinstance(layer, (nn.Conv2d, nn.Linear))
        assert isinstance(norm, _BatchNorm)
        (_fold_after if found.norm_comes_after else _fold_before)(layer, norm)
        _replace(folded, norm, nn.Identity())
    for module in folded.modules():
        if isinstance(module, nn.Conv2d):
            module.weight = _fixed(module.weight.contiguous(memory_format=torch.channels_last))
    return folded.eval()


def is_foldable(backbone: nn.Module) -> bool:
    """Return whether there is any BN, and a copy would do what the backbone does.

    Hooks and compiled modules belong to somebody who wants them run; tensors of other classes are shards.
    """
    for module in backbone.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
        if any(hooks) or module._compiled_call_impl is not None or hasattr(module, "_orig_mod"):
            return False
    return all(
        type(t) in (Tensor, nn.Parameter) and (t.dtype == torch.float32 or not t.is_floating_point())
        for t in (*backbone.parameters(), *backbone.buffers())
    )


# -- which layers follow one another -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One call of a torch function during the forward pass."""

    function: Any
    reads: tuple[Tensor, ...]
    """Tensors among its arguments."""
    result: Any


@dataclass(frozen=True, kw_only=True)
class _Fold:
    layer: nn.Module
    norm: nn.Module
    norm_comes_after: bool


class _Watch(TorchFunctionMode):
    """Writes down every call of a torch function that reads a tensor's values."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        reads = tuple(_tensors_in((args, kwargs or {})))
        did_nothing = func in _PASSES_VALUES_ON and any(result is t for t in reads)
        if getattr(func, "__name__", "") not in _READS_NO_VALUES and not did_nothing:
            self.calls.append(_Call(function=func, reads=reads, result=result))
        return result


def _watch(backbone: nn.Module, images: Tensor) -> list[_Call]:
    watch = _Watch()
    with watch:
        backbone(images)
    calls: list[_Call] = watch.calls
    return calls


def _foldable(backbone: nn.Module, calls: list[_Call]) -> Iterator[_Fold]:
    """Yield what can be folded: each BN once, the layer before it rather than the one after."""
    readers = Counter(id(t) for call in calls for t in {id(t): t for t in call.reads}.values())
    maker = {id(call.result): call for call in calls if isinstance(call.result, Tensor) and not _is_passed_on(call)}
    owner: dict[int, nn.Module] = {}
    for module in backbone.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            owner[id(module.weight)] = module
        elif isinstance(module, _BatchNorm) and module.running_mean is not None:
            owner[id(module.running_mean)] = module

    def module_of(call: _Call | None) -> nn.Module | None:
        owners = [t for t in call.reads if id(t) in owner] if call else []
        return owner[id(owners[0])] if len(owners) == 1 and readers[id(owners[0])] == 1 else None

    def source(call: _Call) -> _Call | None:
        """Return the call whose values this one reads, if nobody else does; what only hands values on is skipped."""
        read = call.reads[0]
        while readers[id(read)] == 1:
            if id(read) in maker:
                return maker[id(read)]
            through = next((c for c in calls if c.result is read and _is_passed_on(c)), None)
            if through is None:
                return None
            read = through.reads[0]
        return None

    done: set[nn.Module] = set()
    pairs = [(module_of(source(call)) if call.reads else None, module_of(call)) for call in calls]
    for norm_comes_after in (True, False):
        for first, second in pairs:
            layer, norm = (first, second) if norm_comes_after else (second, first)
            if not isinstance(layer, (nn.Conv2d, nn.Linear)) or not isinstance(norm, _BatchNorm) or norm in done:
                continue
            if norm_comes_after or _reads_no_border(layer):
                done.add(norm)
                yield _Fold(layer=layer, norm=norm, norm_comes_after=norm_comes_after)


def _is_passed_on(call: _Call) -> bool:
    return call.function in _PASSES_VALUES_ON


def _reads_no_border(layer: Layer) -> bool:
    return isinstance(layer, nn.Linear) or layer.padding in ((0, 0), 0, "valid")


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors_in(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors_in(item)


# -- the arithmetic ----------------------------------------------------------------------------------------------------


def _scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return s and t (C,) of y = s x + t, float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.double()


def _fold_after(layer: Layer, norm: _BatchNorm) -> None:
    scale, shift = _scale_and_shift(norm)
    weight = layer.weight * scale.float().view(-1, *[1] * (layer.weight.dim() - 1))
    bias = shift if layer.bias is None else layer.bias.double() * scale + shift
    layer.weight, layer.bias = _fixed(weight), _fixed(bias)


def _fold_before(layer: Layer, norm: _BatchNorm) -> None:
    scale, shift = _scale_and_shift(norm)
    if isinstance(layer, nn.Linear):  # a flattened map has each channel's values side by side
        values_a_channel = layer.in_features // len(scale)
        scale, shift = scale.repeat_interleave(values_a_channel), shift.repeat_interleave(values_a_channel)
        folded, gained = layer.weight * scale.float(), layer.weight.double() @ shift
    else:  # (C_out, C_in / groups, k, k): each group of outputs reads its own channels
        outputs = layer.out_channels // layer.groups
        scale, shift = (
            v.view(layer.groups, 1, -1).expand(-1, outputs, -1).reshape(layer.out_channels, -1, 1, 1)
            for v in (scale, shift)
        )
        folded, gained = layer.weight * scale.float(), (layer.weight.double() * shift).sum((1, 2, 3))
    bias = gained if layer.bias is None else layer.bias.double() + gained
    layer.weight, layer.bias = _fixed(folded), _fixed(bias)


def _fixed(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.float(), requires_grad=False)


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
