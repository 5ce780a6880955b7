"""Who publishes what, and how: the container, the prefixes, the heads, the input contract, the terms.

The order matters: the first family whose container, prefixes and layout fit is taken, and the last takes what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from marginface.errors import InputError
from marginface.models.card import CommercialUse
from marginface.models.convert.foreign_file import Container, ForeignFile, named_tensors
from marginface.models.convert.layouts import LAYOUTS, Layout

Contract = tuple[Literal["rgb", "bgr"], Literal["minus_one_to_one", "zero_to_one"]]
"""Colour order and value range."""

RGB: Contract = ("rgb", "minus_one_to_one")
BGR: Contract = ("bgr", "minus_one_to_one")


@dataclass(frozen=True, kw_only=True)
class HeadRule:
    """Where a family keeps its class centres."""

    name: str
    """Of the tensor."""
    inside: str = ""
    """The entry of the file that holds it; "" where the backbone's tensors are."""
    rows_are_classes: bool = True
    """Whether the tensor is (C, D); otherwise it is (D, C)."""
    margin: str = "arcface"
    """The margin it was trained with, a key of `MARGINS`; files do not tell its settings, so they are the defaults."""
    statistics: Mapping[str, str] = field(default_factory=dict)
    """Buffers of the margin: published name to ours."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """What identifies the files of one publisher, and what is known about all of them."""

    title: str
    containers: tuple[Container, ...] = ("torch",)
    inside: str = ""
    """The entry of the file that holds the tensors; "" where they are at the top."""
    prefixes: tuple[str, ...] = ("",)
    """What the backbone's names may begin with; the first that leaves a known layout is taken off."""
    layouts: tuple[str, ...]
    rename: Callable[[str], str] = str
    """From the publisher's names of tensors to torch's, before a layout looks at them."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of the backbone's config, by layout."""
    heads: tuple[HeadRule, ...] = ()
    ignored: tuple[str, ...] = ()
    """Beginnings of names that are neither backbone nor head, such as an optimiser's."""
    contract: Contract | None
    """None where files of this kind do not tell; the user is then asked."""
    contract_hint: str = ""
    """What to say when asking."""
    told_beside: tuple[str, ...] = ()
    """Files in the same folder in which `color_space: RGB` or `BGR` may stand."""
    licence: str
    commercial_use: CommercialUse = "not stated"
    training_data: str = ""


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A file's tensors, sorted."""

    name: str
    family: Family
    layout: Layout
    layout_name: str
    tensors: Mapping[str, Tensor]
    """Of the backbone, under our names."""
    strangers: tuple[str, ...]
    """Names that fit neither backbone nor head."""


def recognise(file: ForeignFile) -> Recognised:
    """Return whose file this is and its tensors, by what is in it.

    Raises:
        InputError: it fits no family.
    """
    for name, family in FAMILIES.items():
        found = _try(name, family, file)
        if found is not None:
            return found
    names = [*_all_names(file.content)]
    seen = f"it holds {', '.join(names[:4])} and {max(len(names) - 4, 0):,} more" if names else "it holds no tensors"
    raise InputError(
        f"{file.path}: {seen}, which fits none of the known families ({', '.join(FAMILIES)}); a state dict under the "
        "names of one of this package's backbones can always be imported."
    )


def _try(name: str, family: Family, file: ForeignFile) -> Recognised | None:
    if file.container not in family.containers:
        return None
    tensors = {family.rename(key): t for key, t in named_tensors(entry_of(file.content, family.inside)).items()}
    aside = {head.name for head in family.heads} | {key for head in family.heads for key in head.statistics}
    rest = {k: t for k, t in tensors.items() if k not in aside and not k.startswith(family.ignored or ("\0",))}
    for prefix in family.prefixes:
        inner = {k.removeprefix(prefix): t for k, t in rest.items() if k.startswith(prefix)}
        for layout_name in family.layouts:
            layout = LAYOUTS[layout_name]
            if layout.fits(inner):
                return Recognised(
                    name=name,
                    family=family,
                    layout=layout,
                    layout_name=layout_name,
                    tensors=layout.transform({layout.rename(k): t for k, t in inner.items()}),
                    strangers=tuple(k for k in rest if not k.startswith(prefix)),
                )
    return None


def entry_of(content: Any, inside: str) -> Any:
    """Return an entry of a file's content, None where there is none; the content itself for ""."""
    if not inside:
        return content
    return content.get(inside) if isinstance(content, Mapping) else None


def _all_names(content: Any) -> list[str]:
    if not isinstance(content, Mapping):
        return []
    nested = [f"{k}.{inner}" for k, v in content.items() if isinstance(v, Mapping) for inner in named_tensors(v)]
    return [*named_tensors(content), *nested]


# -- mindface ----------------------------------------------------------------------------------------------------------

_FROM_MINDSPORE = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "w": "weight",  # of nn.PReLU
}


def _from_mindspore(name: str) -> str:
    start, dot, last = name.rpartition(".")
    return f"{start}{dot}{_FROM_MINDSPORE.get(last, last)}"


# -- the table ---------------------------------------------------------------------------------------------------------

_MAGFACE_BACKBONE = {"bn_eps": 2e-5, "bn_momentum": 0.9, "dropout": 0.4, "dropout_unit": "channel"}

FAMILIES: dict[str, Family] = {
    "magface": Family(
        title="MagFace (IrvingMeng/MagFace)",
        inside="state_dict",
        prefixes=("module.features.module.", "features.module.", "module.features."),
        layouts=("iresnet",),
        settings={"iresnet": {**_MAGFACE_BACKBONE, "conv_init": "kaiming"}},
        heads=(
            HeadRule(name="module.fc.weight", rows_are_classes=False, margin="magface"),
            HeadRule(name="parallel_fc.weight", margin="magface"),
        ),
        contract=("bgr", "zero_to_one"),
        licence="Apache-2.0 (the authors' repository); trained on sets that are for research only",
    ),
    "adaface": Family(
        title="AdaFace (mk-minchul/AdaFace)",
        inside="state_dict",
        prefixes=("model.",),
        layouts=("ir",),
        heads=(
            HeadRule(
                name="head.kernel",
                rows_are_classes=False,
                margin="adaface",
                statistics={"head.batch_mean": "batch_mean", "head.batch_std": "batch_std"},
            ),
        ),
        ignored=("head.t",),
        contract=BGR,
        licence="MIT (the authors' repository); trained on sets that are for research only",
    ),
    "insightface_resume": Family(
        title="insightface arcface_torch, checkpoint_gpu_*.pt",
        inside="state_dict_backbone",
        prefixes=("module.", ""),
        layouts=("iresnet", "mobilefacenet_wide", "vit"),
        heads=(HeadRule(name="weight", inside="state_dict_softmax_fc"),),
        contract=RGB,
        licence="whoever trained it decides; insightface's own weights are for non-commercial research only",
    ),
    "insightface": Family(
        title="insightface arcface_torch, backbone.pth or model.pt",
        prefixes=("module.", ""),
        layouts=("iresnet", "mobilefacenet_wide", "vit"),
        contract=RGB,
        licence="non-commercial research only (insightface's model zoo)",
        commercial_use="not allowed",
    ),
    "cvlface": Family(
        title="CVLface (mk-minchul/CVLface), model.pt or safetensors",
        containers=("torch", "safetensors"),
        prefixes=("model.net.", "net."),
        layouts=("ir", "iresnet", "vit"),
        contract=None,
        contract_hint="the model.yaml or config.json that CVLface puts beside its weights says color_space: RGB or BGR "
        "(BGR for weights taken over from AdaFace), and its value range is minus_one_to_one",
        told_beside=("model.yaml", "config.json", "pretrained_model/model.yaml"),
        licence="MIT (the authors' repository); trained on sets that are for research only",
    ),
    "multiface": Family(
        title="MultiFace (KikimorMay/MultiFace)",
        prefixes=("module.", ""),
        layouts=("multiface_ir", "mobilefacenet"),
        contract=BGR,
        licence="none stated (the authors' repository has no licence file)",
    ),
    "bubbliiiing": Family(
        title="bubbliiiing/arcface-pytorch",
        prefixes=("arcface.",),
        layouts=("mobilefacenet_bubbliiiing",),
        heads=(HeadRule(name="head.weight"),),
        contract=RGB,
        licence="MIT (the authors' repository); trained on CASIA-WebFace, which is for research only",
        training_data="CASIA-WebFace",
    ),
    "xiaoccer": Family(
        title="Xiaoccer/MobileFaceNet_Pytorch",
        inside="net_state_dict",
        prefixes=("module.", ""),
        layouts=("mobilefacenet_xiaoccer",),
        contract=RGB,
        licence="none stated (the authors' repository has no licence file)",
        training_data="CASIA-WebFace",
    ),
    "edgeface": Family(
        title="EdgeFace (Idiap)",
        prefixes=("model.", ""),
        layouts=("edgeface",),
        contract=RGB,
        licence="CC BY-NC-SA 4.0 for the weights (Idiap's model cards); code BSD-3-Clause",
        commercial_use="not allowed",
        training_data="WebFace260M, subsets of 12M and 4M",
    ),
    "mindface": Family(
        title="mindface (MindSpore .ckpt)",
        containers=("mindspore",),
        layouts=("iresnet", "mobilefacenet_wide", "vit_mindface"),
        rename=_from_mindspore,
        heads=(HeadRule(name="mp_weight"),),
        ignored=(
            *("moments.", "moment1.", "moment2.", "accum.", "stat.", "learning_rate", "momentum", "global_step"),
            *("scale_sense", "scale", "beta1_power", "beta2_power", "epoch_num", "step_num", "current_iterator_step"),
            *("last_overflow_iterator_step",),
        ),
        contract=RGB,
        licence="Apache-2.0 (the authors' repository); trained on sets that are for research only",
    ),
    "tface": Family(
        title="TFace (Tencent/TFace), or AdaFace weights without their wrapper",
        prefixes=("module.", ""),
        layouts=("ir",),
        contract=None,
        contract_hint="TFace's own weights take rgb and minus_one_to_one, but AdaFace weights saved again as a plain "
        "state dict look the same and take bgr",
        licence="Apache-2.0 where the weights are TFace's; trained on sets that are for research only",
    ),
    "state_dict": Family(
        title="a state dict under the names of one of our backbones",
        containers=("torch", "safetensors"),
        prefixes=("module.", "backbone.", "model.", ""),
        layouts=tuple(LAYOUTS),
        contract=None,
        contract_hint="nothing in a plain state dict tells what its network was trained on",
        licence="",
    ),
}
