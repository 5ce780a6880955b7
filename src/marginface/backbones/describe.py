"""What a backbone is made of and what one image costs it, counted on the meta device: no weights, no arithmetic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from marginface.backbones.backbone import BackboneConfig

LISTS = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Layers that follow one another and are alike: of one class, giving maps of one shape."""

    name: str
    """In the network: `layer1.1-2` are its members 1 and 2."""
    layer: str
    """The class."""
    count: int
    output_shape: tuple[int, ...]
    """For one image, as (channels, height, width), (tokens, width) or (D,)."""
    parameters: int
    multiply_adds: int


@dataclass(frozen=True, kw_only=True)
class BackboneSummary:
    """Counts of one backbone at one size of images."""

    kind: str
    input_size: int
    embedding_dim: int
    parameters: int
    num_keys: int
    """Entries of its state dict."""
    multiply_adds: int
    """Of convolutions, linear layers and attention for one image; what papers on faces mostly call FLOPs. A count of
    floating-point operations proper is twice this."""
    stages: tuple[Stage, ...]


def describe_backbone(config: BackboneConfig, *, input_size: int = 112) -> BackboneSummary:
    """Return what `config` builds for images of `input_size` pixels.

    Raises:
        InputError: the backbone does not take that size.
    """
    with torch.device("meta"):
        network = config.build(input_size=input_size).eval()
        images = torch.empty(1, 3, input_size, input_size)
    modules = dict(network.named_modules())
    outputs: dict[str, tuple[int, ...]] = {}
    for name, module in modules.items():
        module.register_forward_hook(lambda _, inputs, output, name=name: outputs.update({name: _shape(output)}))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    operations = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    root = type(network).__name__
    stages = []
    for name in _layers(network):
        module = modules[name]
        stages.append(
            Stage(
                name=name,
                layer=type(module).__name__,
                count=1,
                output_shape=_last_output(name, outputs),
                parameters=_count(module),
                multiply_adds=_operations(f"{root}.{name}", module, operations) // 2,
            )
        )
    return BackboneSummary(
        kind=config.kind,
        input_size=input_size,
        embedding_dim=config.embedding_dim,
        parameters=_count(network),
        num_keys=len(network.state_dict()),
        multiply_adds=counter.get_total_flops() // 2,
        stages=tuple(_merged(stages)),
    )


def _layers(network: nn.Module, prefix: str = "") -> Iterator[str]:
    """Yield the names of the network's parts, with lists of blocks taken apart; parts without parameters are left
    out."""
    for name, child in network.named_children():
        if isinstance(child, LISTS) and any(any(True for _ in member.children()) for member in child):
            yield from _layers(child, f"{prefix}{name}.")
        elif _count(child):
            yield prefix + name


def _operations(name: str, module: nn.Module, operations: Mapping[str, int]) -> int:
    """Return the operations of a module, or of its parts if those are called one by one."""
    if name in operations:
        return operations[name]
    return sum(_operations(f"{name}.{child}", part, operations) for child, part in module.named_children())


def _last_output(name: str, outputs: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape that a module gave, or the last of its parts if those are called one by one."""
    if name in outputs:
        return outputs[name]
    return next((outputs[part] for part in reversed(outputs) if part.startswith(f"{name}.")), ())


def _merged(stages: list[Stage]) -> Iterator[Stage]:
    def likeness(stage: Stage) -> tuple[str, str, tuple[int, ...]]:
        return re.sub(r"\d+$", "", stage.name), stage.layer, stage.output_shape

    for (stem, layer, shape), group in groupby(stages, key=likeness):
        alike = list(group)
        first, last = (stage.name.removeprefix(stem) for stage in (alike[0], alike[-1]))
        yield Stage(
            name=stem + (first if first == last else f"{first}-{last}"),
            layer=layer,
            count=len(alike),
            output_shape=shape,
            parameters=sum(stage.parameters for stage in alike),
            multiply_adds=sum(stage.multiply_adds for stage in alike),
        )


def _shape(output: Tensor) -> tuple[int, ...]:
    """Without the batch."""
    return tuple(output.shape[1:])


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
