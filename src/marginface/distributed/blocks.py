"""Which parts of a network are sharded, recomputed or compiled one by one, and which need care."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

LISTS = (nn.Sequential, nn.ModuleList)


def repeated_blocks(network: nn.Module) -> dict[str, nn.Module]:
    """Return the blocks that a network is a stack of, by name, in its order.

    They are the members of its lists (`nn.Sequential`, `nn.ModuleList`) that have parts themselves: the residual blocks
    of an iResNet's stages, the layers of a transformer. A lone convolution or norm is none, nor is what lies inside a
    block. A network without such lists has none.
    """
    return dict(_blocks(network, ""))


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any part normalises by the batch; such parts keep their weights in fp32."""
    return any(isinstance(part, _BatchNorm) for part in module.modules())


def _blocks(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        if isinstance(module, LISTS) and not isinstance(child, LISTS) and any(True for _ in child.children()):
            yield prefix + name, child
        else:
            yield from _blocks(child, f"{prefix}{name}.")
