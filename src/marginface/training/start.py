"""Training that begins with a model: its weights and input contract, and which of its parts may still move."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from marginface import config as recipes
from marginface.distributed import repeated_blocks
from marginface.errors import InputError
from marginface.models import FaceModel, ModelCard, load_model, resolve_model_folder
from marginface.models.face_model import evaluating
from marginface.training.config import StartConfig, TrainConfig

logger = logging.getLogger(__name__)


def read_start(config: TrainConfig) -> FaceModel | None:
    """Return the model that the recipe begins with, or None where it begins at random.

    Raises:
        InputError: no such model, or one whose backbone or input size is not what the recipe says.
    """
    if config.start is None:
        return None
    model = load_model(resolve_model_folder(config.start.model))
    theirs, ours = recipes.dump(model.backbone_config), recipes.dump(config.backbone)
    if theirs != ours:
        raise InputError(
            f"start.model: {config.start.model} is a {_words(theirs)}, but the recipe's backbone is {_words(ours)}; "
            f"set backbone to what the model is."
        )
    contract = model.contract
    if contract.input_size != config.data.input_size:
        raise InputError(
            f"data.input_size is {config.data.input_size}, {config.start.model} takes {contract.input_size} pixels; "
            f"set it to {contract.input_size}."
        )
    logger.info(
        "starting from %s (%s): %s, %s, aligned as %s",
        model.name,
        model.fingerprint,
        contract.colour_order.upper(),
        contract.value_range.replace("_", " "),
        contract.alignment,
    )
    return model


def freeze(backbone: nn.Module, start: StartConfig, *, input_size: int) -> None:
    """Fix what `start` does not train: no gradient, and evaluation mode, so that running statistics stay too.

    Raises:
        InputError: a setting that this backbone cannot follow.
    """
    trained = {
        "all": lambda: set(backbone.modules()),
        "last_stage": lambda: last_stage(backbone, input_size=input_size),
        "head": lambda: set[nn.Module](),
    }[start.trains]()
    norms = {module for module in backbone.modules() if isinstance(module, _BatchNorm)}
    if start.frozen_batch_norm:
        if not norms:
            raise InputError("start.frozen_batch_norm: this backbone has no batch normalisation; set it to false.")
        trained -= norms
    moving = {id(p) for module in trained for p in module.parameters(recurse=False)}
    for parameter in backbone.parameters():
        parameter.requires_grad_(id(parameter) in moving)
    for module in backbone.modules():
        module.training = module in trained


@torch.no_grad()
def last_stage(backbone: nn.Module, *, input_size: int) -> set[nn.Module]:
    """Return the modules of the last stage and of all that follows it, as one image meets them.

    The last stage are the repeated blocks that give maps as small as the last one does (iResNet's layer4). Where all
    do, as in a transformer, it is the last quarter of the blocks.

    Raises:
        InputError: a backbone without repeated blocks.
    """
    blocks = list(repeated_blocks(backbone).values())
    if not blocks:
        raise InputError(
            "start.trains: this backbone has no repeated blocks to tell its last stage by; give all or head."
        )
    met: dict[nn.Module, None] = {}  # in the order of their first use
    sizes: dict[nn.Module, tuple[int, ...]] = {}

    def meet(module: nn.Module, inputs: Any) -> None:
        met.setdefault(module)

    def measure(module: nn.Module, inputs: Any, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        sizes[module] = tuple(first.shape[2:]) if first.ndim == 4 else ()

    hooks = [module.register_forward_pre_hook(meet) for module in backbone.modules()]
    hooks += [block.register_forward_hook(measure) for block in blocks]
    try:
        device = next(backbone.parameters()).device
        with evaluating(backbone):
            backbone(torch.zeros(1, 3, input_size, input_size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    used = [block for block in met if block in sizes]
    of_last = [block for block in used if sizes[block] == sizes[used[-1]]]
    if len(of_last) == len(used):
        of_last = used[-max(1, len(used) // 4) :]
    order = list(met)
    trained = set(order[order.index(of_last[0]) :])
    for module in list(trained):  # parts that are used without being called, such as attention's projections
        trained.update(module.modules())
    return trained


def teacher_of(start: FaceModel) -> nn.Module:
    """Return a copy of the starting backbone that never moves, for `start.distillation`."""
    return copy.deepcopy(start.backbone).eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def inherited_card(card: ModelCard, start: FaceModel) -> ModelCard:
    """Return the card of a model that was trained further: the terms of the weights that it began with stay on it."""
    theirs, fingerprint = start.card, start.fingerprint
    origin = f"fine-tuned from {theirs.name} ({fingerprint}); {theirs.provenance.origin}"
    return replace(
        card,
        description=f"{card.description} Fine-tuned from {theirs.name} ({fingerprint}).",
        training_data=f"{theirs.training_data or 'not stated'}; then {card.training_data}",
        licence=f"{theirs.licence or 'not stated'} (of the weights it began with). {card.licence}",
        commercial_use="not allowed" if theirs.commercial_use == "not allowed" else "not stated",
        provenance=replace(card.provenance, origin=origin if theirs.provenance.origin else ""),
    )


def _words(backbone: dict[str, Any]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in backbone.items() if name != "kind")
    return f"{backbone['kind']} ({settings})"
