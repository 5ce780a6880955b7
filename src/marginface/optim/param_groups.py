"""Which parameters get which learning rate and decay: backbone with and without decay, and the head, always apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

ParamGroup = dict[str, Any]
"""What torch.optim takes, with two keys of ours: `name`, and `lr_factor` that the schedule multiplies."""


def build_param_groups(
    backbone: nn.Module,
    head: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    backbone_lr_factor: float = 1.0,
    head_lr_factor: float = 1.0,
    head_weight_decay: float | None = None,
    left_out: Iterable[nn.Parameter] = (),
) -> list[ParamGroup]:
    """Return the groups "backbone", "backbone_no_decay", "head" and "head_no_decay", without the empty ones.

    Norms, biases and PReLU slopes are not decayed: every parameter with at most one dimension. Decay would pull a
    norm's scale to zero and PReLU to ReLU, and neither is a size that overfitting grows. (MagFace and arcface_torch
    decay all.) Every trained parameter is in exactly one group, in the order of the modules; frozen ones are in none.

    Args:
        backbone: its parameters come first; one that the head shares stays with the backbone.
        head: class centres, and whatever the margin trains.
        lr: base learning rate.
        weight_decay: of the backbone's weights.
        backbone_lr_factor: learning rate of the backbone over the base rate.
        head_lr_factor: learning rate of the head over the base rate.
        head_weight_decay: of the class centres; None means `weight_decay`.
        left_out: parameters that move by themselves, as the centres of a head with a fused update do.
    """
    head_decay = weight_decay if head_weight_decay is None else head_weight_decay
    seen = {id(p) for p in left_out}
    groups = []
    for name, module, factor, decay in [
        ("backbone", backbone, backbone_lr_factor, weight_decay),
        ("head", head, head_lr_factor, head_decay),
    ]:
        trained = [p for p in module.parameters() if p.requires_grad and id(p) not in seen]
        seen.update(id(p) for p in trained)
        weights = [p for p in trained if p.ndim > 1]
        others = [p for p in trained if p.ndim <= 1]
        common = {"lr": lr * factor, "lr_factor": factor}
        groups.append({"name": name, "params": weights, "weight_decay": decay, **common})
        groups.append({"name": f"{name}_no_decay", "params": others, "weight_decay": 0.0, **common})
    return [group for group in groups if group["params"]]
