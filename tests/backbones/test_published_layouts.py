"""Parameters, state-dict keys and their counts are those of the published weights at 112 pixels and 512 dimensions.

Counts were measured from the reference classes of arcface_torch, MagFace and MultiFace. Networks are built on the meta
device: shapes without numbers.
"""

import functools
import re

import pytest
import torch
from torch import nn

from marginface.backbones import BACKBONES

PUBLISHED = {  # kind: (parameters, state-dict keys)
    "iresnet18": (24_025_600, 187),
    "iresnet34": (34_139_328, 331),
    "iresnet50": (43_590_848, 475),
    "iresnet100": (65_156_160, 925),
    "iresnet200": (118_833_920, 1807),
    "mobilefacenet": (1_200_512, 333),
    "mobilefacenet_112x96": (1_200_512 - 512 * 7, 333),  # the last filter is 7 x 6 instead of 7 x 7
    "mobilefacenet_045g": (2_059_520, 333),
    "mobilefacenet_large": (6_314_880, 606),
}

BN = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
CONV_BN_PRELU = rf"(conv\.weight|bn\.{BN}|prelu\.weight)"
BOTTLENECK = rf"((conv|conv_dw)\.{CONV_BN_PRELU}|project\.(conv\.weight|bn\.{BN}))"
NESTED = rf"layers\.(0\.weight|1\.{BN}|2\.weight)"
KEYS = {
    "iresnet": [
        r"conv1\.weight",
        rf"bn1\.{BN}",
        r"prelu\.weight",
        rf"layer[1-4]\.\d+\.(bn[123]\.{BN}|conv[12]\.weight|prelu\.weight)",
        rf"layer[1-4]\.0\.downsample\.(0\.weight|1\.{BN})",
        rf"bn2\.{BN}",
        r"fc\.(weight|bias)",
        rf"features\.{BN}",
    ],
    "mobilefacenet": [
        rf"(conv1|conv2_dw|conv_6_sep)\.{CONV_BN_PRELU}",
        rf"(conv_23|conv_34|conv_45)\.{BOTTLENECK}",
        rf"(conv_3|conv_4|conv_5)\.model\.\d\.{BOTTLENECK}",
        rf"conv_6_dw\.(conv\.weight|bn\.{BN})",
        r"linear\.weight",
        rf"bn\.{BN}",
    ],
    "mobilefacenet_045g": [
        rf"layers\.[01]\.{NESTED}",
        rf"layers\.[246]\.layers\.[012]\.{NESTED}",
        rf"layers\.[357]\.layers\.\d\.layers\.[012]\.{NESTED}",
        rf"conv_sep\.{NESTED}",
        rf"features\.layers\.0\.layers\.(0\.weight|1\.{BN})",
        r"features\.layers\.2\.weight",
        rf"features\.layers\.3\.{BN}",
    ],
    "mobilefacenet_large": [
        rf"layers\.0\.{NESTED}",
        rf"layers\.[246]\.layers\.[012]\.{NESTED}",
        rf"layers\.[1357]\.layers\.\d+\.layers\.[012]\.{NESTED}",
        rf"conv_sep\.{NESTED}",
        rf"features\.layers\.0\.layers\.(0\.weight|1\.{BN})",
        r"features\.layers\.2\.weight",
        rf"features\.layers\.3\.{BN}",
    ],
}


def on_meta(kind: str, **settings) -> nn.Module:
    with torch.device("meta"):
        return BACKBONES[kind](kind=kind, **settings).build(input_size=112)


@functools.cache
def shapes(kind: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in on_meta(kind).state_dict().items()}


def test_every_backbone_has_published_counts():
    assert set(PUBLISHED) == set(BACKBONES)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_counts_are_the_published_ones(kind):
    backbone = on_meta(kind)
    counts = sum(p.numel() for p in backbone.parameters()), len(backbone.state_dict())
    assert counts == PUBLISHED[kind]


@pytest.mark.parametrize("kind", PUBLISHED)
def test_keys_are_the_published_ones_and_each_pattern_is_met(kind):
    patterns = KEYS["iresnet" if kind.startswith("iresnet") else kind.removesuffix("_112x96")]
    keys = list(shapes(kind))
    assert [k for k in keys if not any(re.fullmatch(p, k) for p in patterns)] == []
    assert [p for p in patterns if not any(re.fullmatch(p, k) for k in keys)] == []


@pytest.mark.parametrize(
    "kind, blocks",
    [
        ("iresnet18", [2, 2, 2, 2]),
        ("iresnet34", [3, 4, 6, 3]),
        ("iresnet50", [3, 4, 14, 3]),
        ("iresnet100", [3, 13, 30, 3]),
        ("iresnet200", [6, 26, 60, 6]),
    ],
)
def test_iresnet_blocks_per_stage(kind, blocks):
    keys = shapes(kind)
    assert [sum(f"layer{stage}.{i}.conv1.weight" in keys for i in range(99)) for stage in (1, 2, 3, 4)] == blocks


def test_written_out_shapes_of_iresnet():
    found = shapes("iresnet50")
    assert found["conv1.weight"] == (64, 3, 3, 3)
    assert found["layer1.0.downsample.0.weight"] == (64, 64, 1, 1)  # what tells iResNet from IR
    assert found["layer3.13.conv2.weight"] == (256, 256, 3, 3)
    assert found["fc.weight"] == (512, 25088)
    assert found["features.weight"] == (512,)


def test_written_out_shapes_of_the_mobile_layouts():
    small, medium, large = shapes("mobilefacenet"), shapes("mobilefacenet_045g"), shapes("mobilefacenet_large")
    assert small["conv2_dw.conv.weight"] == (64, 1, 3, 3)
    assert small["conv_45.conv_dw.conv.weight"] == (512, 1, 3, 3)
    assert small["conv_6_dw.conv.weight"] == (512, 1, 7, 7)
    assert medium["layers.1.layers.0.weight"] == (128, 2, 3, 3)  # grouped by 64, not depthwise
    assert medium["layers.3.layers.0.layers.0.layers.0.weight"] == (128, 128, 1, 1)
    assert large["layers.1.layers.1.layers.1.layers.0.weight"] == (128, 1, 3, 3)
    assert large["conv_sep.layers.0.weight"] == (512, 512, 1, 1)


@pytest.mark.parametrize("kind", [kind for kind in PUBLISHED if kind != "mobilefacenet_112x96"])
def test_macs_are_the_published_ones_and_the_last_map_is_seven_by_seven(kind):
    """Multiply-adds of convolutions and linear layers at 112 pixels, in units of 1e9."""
    published = {
        "iresnet18": 2.610,
        "iresnet34": 4.460,
        "iresnet50": 6.309,
        "iresnet100": 12.090,
        "iresnet200": 23.419,
        "mobilefacenet": 0.221,
        "mobilefacenet_045g": 0.438,
        "mobilefacenet_large": 1.816,
    }
    backbone, macs, last_map = on_meta(kind).eval(), 0, []

    def count(module, inputs, output):
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    for module in backbone.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    layer = {"iresnet": "bn2", "mobilefacenet": "conv_6_sep"}.get(kind.rstrip("0123456789"), "conv_sep")
    backbone.get_submodule(layer).register_forward_hook(lambda module, inputs, output: last_map.append(output.shape))
    backbone(torch.empty(1, 3, 112, 112, device="meta"))
    assert last_map == [(1, 512, 7, 7)]
    assert macs / 1e9 == pytest.approx(published[kind], abs=6e-4)
