"""Parameters, state-dict keys and their counts are those of the published weights at 112 pixels and 512 dimensions.

Counts were measured from the reference classes of arcface_torch, MagFace, AdaFace, TFace, MultiFace and CVLface, and
from the published file of EdgeFace-XXS; the others follow from these. Networks are built on the meta device: shapes
without numbers.
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
    "iresnet2060": (1_122_301_120, 19 + 1030 * 18 + 4 * 6),  # outside the stages, the blocks, the projections
    "ir18": (24_020_352, 179),
    "ir34": (34_134_080, 323),
    "ir50": (43_585_600, 467),
    "ir101": (65_150_912, 917),
    "ir152": (109_636_736, 1291),
    "ir200": (114_138_240, 1691),
    "ir_se50": (43_808_320, 515),
    "ir_se101": (65_523_136, 1015),
    "ir_se152": (116_214_912, 1291 + 2 * 50),  # two layers in each of 3 + 8 + 36 + 3 blocks
    "ir_se200": (121_240_704, 1691 + 2 * 66),
    "multiface_ir50": (43_574_976, 349),
    "multiface_ir100": (65_129_792, 674),
    "multiface_ir_se50": (43_797_696, 397),
    "multiface_ir_se100": (65_502_016, 772),
    "mobilefacenet": (1_200_512, 333),
    "mobilefacenet_112x96": (1_200_512 - 512 * 7, 333),  # the last filter is 7 x 6 instead of 7 x 7
    "mobilefacenet_045g": (2_059_520, 333),
    "mobilefacenet_large": (6_314_880, 606),
    "edgeface_xxs": (1_244_744, 160),
    "edgeface_xs": (1_770_492, 214 + 43),  # one key more for each linear layer that is split in two
    "edgeface_s": (3_652_520, 214 + 43),
    "edgeface_base": (18_225_812, 214),
    "vit_t": (19_137_792, 150),
    "vit_s": (76_023_296, 150),
    "vit_b": (113_833_472, 282),
    "vit_l": (255_684_352, 282),
    "vit_h": (756_393_984, 546),
    # insightface's without the mask token (as long as the width), with a bias on q, k and v in each block
    "mindface_vit_t": (19_137_792 - 256 + 12 * 768, 150 - 1 + 12),
    "mindface_vit_s": (76_023_296 - 512 + 12 * 1536, 150 - 1 + 12),
    "mindface_vit_b": (113_833_472 - 512 + 24 * 1536, 282 - 1 + 24),
    "mindface_vit_l": (255_684_352 - 768 + 24 * 2304, 282 - 1 + 24),
    "cvlface_vit_s": (95_952_384, 150 - 1),
    "cvlface_vit_b": (114_869_760, 282 - 1),
}

BN = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
CONV_BN_PRELU = rf"(conv\.weight|bn\.{BN}|prelu\.weight)"
BOTTLENECK = rf"((conv|conv_dw)\.{CONV_BN_PRELU}|project\.(conv\.weight|bn\.{BN}))"
WB = r"(weight|bias)"
IR_ENDS = [
    rf"input_layer\.(0\.weight|1\.{BN}|2\.weight)",
    rf"body\.\d+\.shortcut_layer\.(0\.weight|1\.{BN})",
    rf"output_layer\.0\.{BN}",
    rf"output_layer\.3\.{WB}",
]
UNTRAINED_LAST = r"output_layer\.4\.(running_mean|running_var|num_batches_tracked)"
BASIC_IR = rf"body\.\d+\.res_layer\.([025]\.{BN}|[134]\.weight)"
BOTTLENECK_IR = rf"body\.\d+\.res_layer\.([0258]\.{BN}|[13467]\.weight)"
EXCITE = r"body\.\d+\.res_layer\.se_block\.fc[12]\.weight"
MULTIFACE_IR = rf"body\.\d+\.res_layer\.([04]\.{BN}|[123]\.weight)"
VIT = [
    r"pos_embed",
    rf"patch_embed\.proj\.{WB}",
    rf"blocks\.\d+\.(norm[12]|attn\.proj|mlp\.fc[12])\.{WB}",
    rf"norm\.{WB}",
    r"feature\.[02]\.weight",
    rf"feature\.[13]\.{BN}",
]


def edgeface_keys(linear: str) -> list[str]:
    return [
        rf"stem\.[01]\.{WB}",
        rf"stages\.[123]\.downsample\.[01]\.{WB}",
        r"stages\.[0-3]\.blocks\.\d\.gamma",
        rf"stages\.[0-3]\.blocks\.\d\.(norm|conv_dw)\.{WB}",
        rf"stages\.[0-3]\.blocks\.\d\.mlp\.fc[12]\.{linear}",
        r"stages\.[123]\.blocks\.\d\.(gamma_xca|xca\.temperature)",
        rf"stages\.[123]\.blocks\.\d\.(norm_xca|convs\.\d)\.{WB}",
        rf"stages\.[123]\.blocks\.\d\.xca\.(qkv|proj)\.{linear}",
        rf"stages\.1\.blocks\.\d\.pos_embd\.token_projection\.{WB}",
        rf"head\.norm\.{WB}",
        rf"head\.fc\.{linear}",
    ]


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
    "ir": [*IR_ENDS, BASIC_IR, UNTRAINED_LAST],
    "ir_deep": [*IR_ENDS, BOTTLENECK_IR, UNTRAINED_LAST],
    "ir_se": [*IR_ENDS, BASIC_IR, EXCITE, UNTRAINED_LAST],
    "ir_se_deep": [*IR_ENDS, BOTTLENECK_IR, EXCITE, UNTRAINED_LAST],
    "multiface_ir": [*IR_ENDS, MULTIFACE_IR, rf"output_layer\.4\.{BN}"],
    "multiface_ir_se": [
        *IR_ENDS,
        MULTIFACE_IR,
        r"body\.\d+\.res_layer\.5\.fc[12]\.weight",
        rf"output_layer\.4\.{BN}",
    ],
    "edgeface": edgeface_keys(WB),
    "edgeface_low_rank": edgeface_keys(r"(linear1\.weight|linear2\.weight|linear2\.bias)"),
    "vit": [*VIT, r"mask_token", r"blocks\.\d+\.attn\.qkv\.weight"],
    "mindface_vit": [*VIT, rf"blocks\.\d+\.attn\.qkv\.{WB}"],
    "cvlface_vit": [*VIT, r"blocks\.\d+\.attn\.qkv\.weight"],
}
FAMILIES = {  # those whose name without its depth or size is no key of KEYS
    "mobilefacenet": "mobilefacenet",
    "mobilefacenet_112x96": "mobilefacenet",
    "mobilefacenet_045g": "mobilefacenet_045g",
    "mobilefacenet_large": "mobilefacenet_large",
    "ir152": "ir_deep",
    "ir200": "ir_deep",
    "ir_se152": "ir_se_deep",
    "ir_se200": "ir_se_deep",
    "edgeface_xxs": "edgeface",
    "edgeface_base": "edgeface",
    "edgeface_xs": "edgeface_low_rank",
    "edgeface_s": "edgeface_low_rank",
}


@functools.cache
def on_meta(kind: str) -> nn.Module:
    with torch.device("meta"):
        return BACKBONES[kind](kind=kind).build(input_size=112).eval()


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
    patterns = KEYS[FAMILIES.get(kind) or re.sub(r"(\d+|_[tsblh])$", "", kind)]
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
        ("iresnet2060", [3, 128, 896, 3]),
    ],
)
def test_iresnet_blocks_per_stage(kind, blocks):
    keys = shapes(kind)
    assert [sum(f"layer{stage}.{i}.conv1.weight" in keys for i in range(999)) for stage in (1, 2, 3, 4)] == blocks


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


MACS = {  # multiply-adds of convolutions and linear layers at 112 pixels, in units of 1e9
    "iresnet18": 2.610,
    "iresnet34": 4.460,
    "iresnet50": 6.309,
    "iresnet100": 12.090,
    "iresnet200": 23.419,
    "ir18": 2.597,
    "ir34": 4.447,
    "ir50": 6.296,
    "ir101": 12.077,
    "ir152": 12.892,
    "ir200": 16.386,
    "multiface_ir_se100": 12.077,
    "mobilefacenet": 0.221,
    "mobilefacenet_045g": 0.438,
    "mobilefacenet_large": 1.816,
    "vit_t": 1.377,
    "vit_s": 5.492,
    "vit_b": 10.928,
    "vit_l": 24.573,
    "vit_h": 87.16,
}


@pytest.mark.parametrize(
    "kind", [k if k not in {"iresnet200", "ir200", "vit_h"} else pytest.param(k, marks=pytest.mark.slow) for k in MACS]
)
def test_multiply_adds_are_the_published_ones(kind):
    backbone, macs = on_meta(kind), 0

    def count(module, inputs, output):
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in backbone.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    backbone(torch.empty(1, 3, 112, 112, device="meta"))
    for hook in hooks:
        hook.remove()
    assert macs / 1e9 == pytest.approx(MACS[kind], rel=1e-4, abs=6e-4)


@pytest.mark.parametrize(
    "kind, layer, shape",
    [
        ("iresnet50", "bn2", (1, 512, 7, 7)),
        ("ir18", "body", (1, 512, 7, 7)),
        ("ir152", "body", (1, 2048, 7, 7)),
        ("multiface_ir50", "body", (1, 512, 7, 7)),
        ("mobilefacenet", "conv_6_sep", (1, 512, 7, 7)),
        ("mobilefacenet_112x96", "conv_6_sep", (1, 512, 7, 6)),
        ("mobilefacenet_large", "conv_sep", (1, 512, 7, 7)),
        ("edgeface_xxs", "stages", (1, 168, 3, 3)),
        ("vit_t", "patch_embed", (1, 144, 256)),
        ("cvlface_vit_s", "patch_embed", (1, 196, 512)),
    ],
)
def test_shape_of_the_last_map_or_of_the_tokens(kind, layer, shape):
    seen = []
    backbone = on_meta(kind)
    hook = backbone.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output))
    backbone(torch.empty(1, 3, 112, 112, device="meta"))
    hook.remove()
    assert seen[0].shape == shape


@pytest.mark.parametrize(
    "kind, millions", [("edgeface_xxs", 1.24), ("edgeface_xs", 1.77), ("edgeface_s", 3.65), ("edgeface_base", 18.23)]
)
def test_edgeface_has_the_size_its_authors_state(kind, millions):
    assert sum(p.numel() for p in on_meta(kind).parameters()) / 1e6 == pytest.approx(millions, abs=0.006)


def test_written_out_shapes_of_ir():
    found = shapes("ir50")
    assert "body.0.shortcut_layer.0.weight" not in found  # the width stays: nothing is learnt
    assert found["body.3.shortcut_layer.0.weight"] == (128, 64, 1, 1)
    assert found["body.23.res_layer.4.weight"] == (512, 512, 3, 3)
    assert found["output_layer.3.weight"] == (512, 25088)
    assert shapes("ir152")["body.0.res_layer.4.weight"] == (64, 64, 3, 3)
    assert shapes("ir152")["output_layer.3.weight"] == (512, 2048 * 49)
    assert shapes("ir_se50")["body.0.res_layer.se_block.fc1.weight"] == (4, 64, 1, 1)
    assert shapes("multiface_ir_se50")["body.0.res_layer.5.fc2.weight"] == (64, 4, 1, 1)


def test_written_out_shapes_of_edgeface_are_those_of_the_published_file():
    found = shapes("edgeface_xxs")
    assert found["stem.0.weight"] == (24, 3, 4, 4)
    assert found["stages.1.blocks.1.convs.0.weight"] == (24, 1, 3, 3)
    assert found["stages.1.blocks.1.pos_embd.token_projection.weight"] == (48, 64, 1, 1)
    assert found["stages.2.blocks.5.convs.1.weight"] == (30, 1, 3, 3)  # 88 channels in groups of 30, 30 and 28
    assert found["stages.2.blocks.5.xca.temperature"] == (4, 1, 1)
    assert found["stages.3.blocks.0.conv_dw.weight"] == (168, 1, 9, 9)
    assert found["stages.3.blocks.1.convs.2.weight"] == (42, 1, 3, 3)
    assert found["head.fc.weight"] == (512, 168)
    assert shapes("edgeface_xs")["head.fc.linear1.weight"] == (115, 192)  # int(0.6 * 192)


def test_written_out_shapes_of_the_transformers():
    assert shapes("vit_t")["patch_embed.proj.weight"] == (256, 3, 9, 9)
    assert shapes("vit_s")["feature.0.weight"] == (512, 144 * 512)
    assert shapes("mindface_vit_s")["blocks.11.attn.qkv.bias"] == (1536,)
    assert shapes("cvlface_vit_s")["blocks.0.mlp.fc1.weight"] == (2560, 512)
    assert shapes("cvlface_vit_b")["blocks.23.mlp.fc1.weight"] == (1536, 512)
