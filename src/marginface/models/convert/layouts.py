"""Key schemes of published networks: what tells one from another, and how its names become ours.

A layout looks at names and shapes alone. It says which backbone they belong to and under which settings; whether every
tensor then finds its place is checked by `importing.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from marginface.backbones import BACKBONES, BackboneConfig
from marginface.backbones.backbone import TOTAL_STRIDE
from marginface.backbones.iresnet import BLOCKS_PER_STAGE
from marginface.errors import InputError

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One key scheme."""

    title: str
    told_by: tuple[str, ...]
    """Names that are all there."""
    backbone: Callable[[Tensors], tuple[str, int, int]]
    """From tensors under our names to (kind, embedding_dim, input_size); InputError where no backbone fits."""
    rename: Callable[[str], str] = str
    """From the published name to ours."""
    transform: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    """What has to be done to values, under our names."""
    num_dims: tuple[str, int] | None = None
    """A name and how many dimensions it has, where names alone do not tell two layouts apart."""

    def fits(self, tensors: Tensors) -> bool:
        """Return whether these tensors, prefixes taken off, are of this layout."""
        if not all(name in tensors for name in self.told_by):
            return False
        return self.num_dims is None or tensors[self.num_dims[0]].dim() == self.num_dims[1]

    def config(self, tensors: Tensors, settings: Mapping[str, Any]) -> tuple[BackboneConfig, int]:
        """Return the backbone's config and the side of its images, for tensors under our names."""
        kind, embedding_dim, input_size = self.backbone(tensors)
        if kind not in BACKBONES:
            raise InputError(f"these are the weights of a {kind}, which this version has no backbone for.")
        make: Any = BACKBONES[kind]
        return make(kind=kind, embedding_dim=embedding_dim, **settings), input_size


# -- iResNet -----------------------------------------------------------------------------------------------------------


def _iresnet(tensors: Tensors) -> tuple[str, int, int]:
    blocks = tuple(_count(tensors, rf"layer{stage}\.(\d+)\.conv1\.weight") for stage in (1, 2, 3, 4))
    kind = next((kind for kind, known in BLOCKS_PER_STAGE.items() if known == blocks), None)
    if kind is None:
        raise InputError(f"an iResNet with {blocks} blocks a stage is not one of {_listed(BLOCKS_PER_STAGE)}.")
    embedding_dim, num_values = tensors["fc.weight"].shape
    return kind, embedding_dim, _side_of(num_values, tensors["bn2.weight"].numel()) * TOTAL_STRIDE


# -- IR and IR-SE ------------------------------------------------------------------------------------------------------

_IR_DEPTHS = {8: "18", 16: "34", 24: "50", 49: "101", 50: "152", 66: "200"}
"""By the number of blocks."""


def _ir(tensors: Tensors) -> tuple[str, int, int]:
    num_blocks = _count(tensors, r"body\.(\d+)\.res_layer\.0\.weight")
    if num_blocks not in _IR_DEPTHS:
        raise InputError(f"an IR with {num_blocks} blocks is not one of depth {_listed(_IR_DEPTHS.values())}.")
    excited = "_se" if any(".se_block." in name for name in tensors) else ""
    return f"ir{excited}{_IR_DEPTHS[num_blocks]}", *_ir_sizes(tensors)


def _multiface_ir(tensors: Tensors) -> tuple[str, int, int]:
    num_blocks = _count(tensors, r"body\.(\d+)\.res_layer\.0\.weight")
    depth = {24: "50", 49: "100"}.get(num_blocks)
    if depth is None:
        raise InputError(f"MultiFace published IR of 24 and 49 blocks; this one has {num_blocks}.")
    excited = "_se" if "body.0.res_layer.5.fc1.weight" in tensors else ""
    return f"multiface_ir{excited}{depth}", *_ir_sizes(tensors)


def _ir_sizes(tensors: Tensors) -> tuple[int, int]:
    embedding_dim, num_values = tensors["output_layer.3.weight"].shape
    return embedding_dim, _side_of(num_values, tensors["output_layer.0.weight"].numel()) * TOTAL_STRIDE


# -- MobileFaceNet -----------------------------------------------------------------------------------------------------


def _mobilefacenet(tensors: Tensors) -> tuple[str, int, int]:
    height, width = tensors["conv_6_dw.conv.weight"].shape[2:]
    kind = {0: "mobilefacenet", 1: "mobilefacenet_112x96"}.get(height - width)
    if kind is None:
        raise InputError(f"a MobileFaceNet for images of {height * 16} x {width * 16} pixels is not one of ours.")
    return kind, tensors["linear.weight"].shape[0], height * TOTAL_STRIDE


_BUBBLIIIING = {
    "sep.": "conv_6_sep.conv.",
    "sep_bn.": "conv_6_sep.bn.",
    "prelu.": "conv_6_sep.prelu.",
    "GDC_dw.": "conv_6_dw.conv.",
    "GDC_bn.": "conv_6_dw.bn.",
    "features.": "linear.",
    "last_bn.": "bn.",
}

_XIAOCCER = {
    "dw_conv1.": "conv2_dw.",
    "conv2.": "conv_6_sep.",
    "linear7.": "conv_6_dw.",
    "linear1.conv.": "linear.",
    "linear1.bn.": "bn.",
}
_XIAOCCER_STAGES = {
    0: "conv_23",
    5: "conv_34",
    12: "conv_45",
    **{1 + i: f"conv_3.model.{i}" for i in range(4)},
    **{6 + i: f"conv_4.model.{i}" for i in range(6)},
    **{13 + i: f"conv_5.model.{i}" for i in range(2)},
}
_XIAOCCER_LAYERS = {
    0: "conv.conv",
    1: "conv.bn",
    2: "conv.prelu",
    3: "conv_dw.conv",
    4: "conv_dw.bn",
    5: "conv_dw.prelu",
    6: "project.conv",
    7: "project.bn",
}


def _from_xiaoccer(name: str) -> str:
    block = re.fullmatch(r"blocks\.(\d+)\.conv\.(\d+)\.(\w+)", name)
    if block and int(block[1]) in _XIAOCCER_STAGES and int(block[2]) in _XIAOCCER_LAYERS:
        return f"{_XIAOCCER_STAGES[int(block[1])]}.{_XIAOCCER_LAYERS[int(block[2])]}.{block[3]}"
    return _replaced(name, _XIAOCCER)


def _wide_mobilefacenet(tensors: Tensors) -> tuple[str, int, int]:
    kind = {128: "mobilefacenet_045g", 256: "mobilefacenet_large"}.get(tensors["layers.0.layers.0.weight"].shape[0])
    if kind is None:
        raise InputError("a MobileFaceNet of this width is neither mbf (128 channels first) nor mbf_large (256).")
    side = tensors["features.layers.0.layers.0.weight"].shape[2]
    return kind, tensors["features.layers.2.weight"].shape[0], side * TOTAL_STRIDE


# -- transformers ------------------------------------------------------------------------------------------------------

_VIT_KINDS = {  # (width, depth): name
    (256, 12): "vit_t",
    (512, 12): "vit_s",
    (512, 24): "vit_b",
    (768, 24): "vit_l",
    (1024, 48): "vit_h",
}


def _vit(tensors: Tensors) -> tuple[str, int, int]:
    num_tokens, width = tensors["pos_embed"].shape[1:]
    depth, patch = _count(tensors, r"blocks\.(\d+)\.norm1\.weight"), tensors["patch_embed.proj.weight"].shape[2]
    if (width, depth) not in _VIT_KINDS:
        raise InputError(f"a ViT {width} wide and {depth} blocks deep is not one of {_listed(_VIT_KINDS.values())}.")
    maker = {8: "cvlface_"}.get(patch, "mindface_" if "blocks.0.attn.qkv.bias" in tensors else "")
    side = _side_of(num_tokens, 1)
    input_size = 112 if 112 // patch == side else side * patch  # insightface's patches leave four pixels of 112 over
    return maker + _VIT_KINDS[width, depth], tensors["feature.2.weight"].shape[0], input_size


_MINDFACE_BLOCK = {
    "layer1.0.cell.0.": "norm1.",
    "layer1.0.cell.1.": "attn.",
    "layer2.0.cell.0.": "norm2.",
    "layer2.0.cell.1.": "mlp.",
}


def _from_mindface_vit(name: str) -> str:
    block = re.fullmatch(r"(blocks\.\d+\.)(.+)", name)
    return block[1] + _replaced(block[2], _MINDFACE_BLOCK) if block else name


def _queries_first(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """mindface's attention takes the first third of its qkv for the keys and the second for the queries."""

    def swapped(tensor: Tensor) -> Tensor:
        keys, queries, values = tensor.chunk(3)
        return torch.cat([queries, keys, values])

    return {name: swapped(t) if ".attn.qkv." in name else t for name, t in tensors.items()}


# -- EdgeFace ----------------------------------------------------------------------------------------------------------

_EDGEFACE_KINDS = {24: "edgeface_xxs", 32: "edgeface_xs", 48: "edgeface_s", 80: "edgeface_base"}
"""By the channels of the stem."""


def _edgeface(tensors: Tensors) -> tuple[str, int, int]:
    channels = tensors["stem.0.weight"].shape[0]
    if channels not in _EDGEFACE_KINDS:
        raise InputError(f"an EdgeFace of {channels} channels is not one of {_listed(_EDGEFACE_KINDS.values())}.")
    last = tensors.get("head.fc.weight", tensors.get("head.fc.linear2.weight"))
    if last is None:
        raise InputError("an EdgeFace without its embedding layer (head.fc) gives no embeddings.")
    return _EDGEFACE_KINDS[channels], last.shape[0], 112  # its filters do not tell the size of its images


# -- the table ---------------------------------------------------------------------------------------------------------


def _replaced(name: str, starts: Mapping[str, str]) -> str:
    for start, ours in starts.items():
        if name.startswith(start):
            return ours + name.removeprefix(start)
    return name


def _count(tensors: Tensors, pattern: str) -> int:
    return len({match[1] for name in tensors if (match := re.fullmatch(pattern, name))})


def _side_of(num_values: int, channels: int) -> int:
    """Return the side of a square map of so many values; a map that is not square fails the strict check later."""
    return max(int((num_values / channels) ** 0.5), 1)


def _listed(kinds: Any) -> str:
    return ", ".join(map(str, kinds))


LAYOUTS = {
    "iresnet": Layout(title="iResNet", told_by=("layer1.0.conv1.weight", "fc.weight", "bn2.weight"), backbone=_iresnet),
    "ir": Layout(
        title="IR, IR-SE",
        told_by=("input_layer.0.weight", "body.0.res_layer.3.weight", "output_layer.0.weight", "output_layer.3.weight"),
        num_dims=("body.0.res_layer.3.weight", 1),  # its PReLU
        backbone=_ir,
    ),
    "multiface_ir": Layout(
        title="IR, IR-SE of MultiFace",
        told_by=("input_layer.0.weight", "body.0.res_layer.3.weight", "output_layer.0.weight", "output_layer.3.weight"),
        num_dims=("body.0.res_layer.3.weight", 4),  # its second convolution
        backbone=_multiface_ir,
    ),
    "mobilefacenet": Layout(
        title="MobileFaceNet",
        told_by=("conv_23.conv.conv.weight", "conv_6_dw.conv.weight", "linear.weight"),
        backbone=_mobilefacenet,
    ),
    "mobilefacenet_bubbliiiing": Layout(
        title="MobileFaceNet, bubbliiiing's names",
        told_by=("conv_23.conv.conv.weight", "GDC_dw.weight", "features.weight"),
        rename=lambda name: _replaced(name, _BUBBLIIIING),
        backbone=_mobilefacenet,
    ),
    "mobilefacenet_xiaoccer": Layout(
        title="MobileFaceNet, Xiaoccer's names",
        told_by=("blocks.0.conv.0.weight", "linear7.conv.weight", "linear1.conv.weight"),
        rename=_from_xiaoccer,
        backbone=_mobilefacenet,
    ),
    "mobilefacenet_wide": Layout(
        title="mbf, mbf_large",
        told_by=(
            "layers.0.layers.0.weight",
            "conv_sep.layers.0.weight",
            "features.layers.0.layers.0.weight",
            "features.layers.2.weight",
        ),
        backbone=_wide_mobilefacenet,
    ),
    "vit": Layout(
        title="ViT",
        told_by=("pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "feature.2.weight"),
        backbone=_vit,
    ),
    "vit_mindface": Layout(
        title="ViT, mindface's names",
        told_by=("pos_embed", "patch_embed.proj.weight", "blocks.0.layer1.0.cell.1.qkv.weight", "feature.2.weight"),
        rename=_from_mindface_vit,
        transform=_queries_first,
        backbone=_vit,
    ),
    "edgeface": Layout(title="EdgeFace", told_by=("stem.0.weight", "stages.0.blocks.0.gamma"), backbone=_edgeface),
}
