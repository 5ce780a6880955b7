"""The networks compute what their papers draw: a second forward, written out from the key names of the weights."""

import math

import pytest
import torch
import torch.nn.functional as F

from marginface.backbones import BACKBONES


class Weights:
    """Looks layers up by the published key names."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, name, *, stride=1, padding=0):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=padding, groups=x.shape[1] // weight.shape[1])

    def norm(self, x, name, *, eps=1e-5):
        shape = (1, -1, 1, 1)[: x.dim()]
        mean, variance = (self.state[f"{name}.{part}"].view(shape) for part in ("running_mean", "running_var"))
        x = (x - mean) / torch.sqrt(variance + eps)
        if f"{name}.weight" not in self.state:
            return x
        return x * self.state[f"{name}.weight"].view(shape) + self.state[f"{name}.bias"].view(shape)

    def linear(self, x, name):
        if f"{name}.linear1.weight" in self.state:
            return self.linear(self.linear(x, f"{name}.linear1"), f"{name}.linear2")
        x = x @ self.state[f"{name}.weight"].T
        return x + self.state[f"{name}.bias"] if f"{name}.bias" in self.state else x

    def layer_norm(self, x, name, *, eps):
        """Over the last dimension."""
        centred = x - x.mean(-1, keepdim=True)
        scale, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * scale + bias

    def conv_with_bias(self, x, name, *, stride=1, padding=0):
        return self.conv(x, name, stride=stride, padding=padding) + self.state[f"{name}.bias"].view(1, -1, 1, 1)

    def prelu(self, x, name):
        return x.clamp_min(0) + self.state[f"{name}.weight"].view(1, -1, 1, 1) * x.clamp_max(0)


def iresnet(w, x, blocks):
    x = w.prelu(w.norm(w.conv(x, "conv1", padding=1), "bn1"), "prelu")
    for stage, num_blocks in enumerate(blocks, start=1):
        for i in range(num_blocks):
            at, stride = f"layer{stage}.{i}", 2 if i == 0 else 1
            y = w.norm(w.conv(w.norm(x, f"{at}.bn1"), f"{at}.conv1", padding=1), f"{at}.bn2")
            y = w.norm(w.conv(w.prelu(y, f"{at}.prelu"), f"{at}.conv2", stride=stride, padding=1), f"{at}.bn3")
            if i == 0:
                x = w.norm(w.conv(x, f"{at}.downsample.0", stride=2), f"{at}.downsample.1")
            x = x + y
    x = w.norm(x, "bn2").flatten(1)
    return w.norm(x @ w.state["fc.weight"].T + w.state["fc.bias"], "features")


def mobilefacenet(w, x):
    def block(x, at, *, stride=1, padding=0):
        x = w.norm(w.conv(x, f"{at}.conv", stride=stride, padding=padding), f"{at}.bn")
        return w.prelu(x, f"{at}.prelu") if f"{at}.prelu.weight" in w.state else x

    def bottleneck(x, at, *, stride):
        return block(block(block(x, f"{at}.conv"), f"{at}.conv_dw", stride=stride, padding=1), f"{at}.project")

    x = block(block(x, "conv1", stride=2, padding=1), "conv2_dw", padding=1)
    for down, stage, num_blocks in [("conv_23", "conv_3", 4), ("conv_34", "conv_4", 6), ("conv_45", "conv_5", 2)]:
        x = bottleneck(x, down, stride=2)
        for i in range(num_blocks):
            x = x + bottleneck(x, f"{stage}.model.{i}", stride=1)
    x = block(block(x, "conv_6_sep"), "conv_6_dw").flatten(1)
    return w.norm(x @ w.state["linear.weight"].T, "bn")


def mobilefacenet_wide(w, x, blocks):
    def block(x, at, *, stride=1, padding=0):
        x = w.norm(w.conv(x, f"{at}.layers.0", stride=stride, padding=padding), f"{at}.layers.1")
        return w.prelu(x, f"{at}.layers.2") if f"{at}.layers.2.weight" in w.state else x

    def bottleneck(x, at, *, stride):
        x = block(block(x, f"{at}.layers.0"), f"{at}.layers.1", stride=stride, padding=1)
        return block(x, f"{at}.layers.2")

    def residual(x, at, num_blocks):
        for i in range(num_blocks):
            x = x + bottleneck(x, f"{at}.layers.{i}", stride=1)
        return x

    x = block(x, "layers.0", stride=2, padding=1)
    x = block(x, "layers.1", padding=1) if blocks[0] == 1 else residual(x, "layers.1", blocks[0])
    for down, num_blocks in zip((2, 4, 6), blocks[1:], strict=True):
        x = residual(bottleneck(x, f"layers.{down}", stride=2), f"layers.{down + 1}", num_blocks)
    x = block(block(x, "conv_sep"), "features.layers.0").flatten(1)
    return w.norm(x @ w.state["features.layers.2.weight"].T, "features.layers.3")


def ir(w, x, blocks, *, layers):
    """`layers`: what a block's `res_layer` is made of, in order; the stride is the last convolution's."""
    x = w.prelu(w.norm(w.conv(x, "input_layer.0", padding=1), "input_layer.1"), "input_layer.2")
    first_of_stage = {sum(blocks[:stage]) for stage in range(4)}
    for block in range(sum(blocks)):
        y, stride = x, 2 if block in first_of_stage else 1
        for i, layer in enumerate(layers):
            at, is_last_conv = f"body.{block}.res_layer.{i}", not any(k.startswith("conv") for k in layers[i + 1 :])
            if layer == "bn":
                y = w.norm(y, at)
            elif layer == "prelu":
                y = w.prelu(y, at)
            elif layer == "excite":
                at = at if f"{at}.fc1.weight" in w.state else f"body.{block}.res_layer.se_block"
                weights = w.conv(w.conv(y.mean((2, 3), keepdim=True), f"{at}.fc1").clamp_min(0), f"{at}.fc2")
                y = y / (1 + torch.exp(-weights))
            else:
                y = w.conv(y, at, stride=stride if is_last_conv else 1, padding=1 if layer == "conv3" else 0)
        at = f"body.{block}.shortcut_layer"
        if f"{at}.0.weight" in w.state:
            shortcut = w.norm(w.conv(x, f"{at}.0", stride=stride), f"{at}.1")
        else:
            shortcut = F.max_pool2d(x, 1, stride)
        x = y + shortcut
    x = w.norm(x, "output_layer.0").flatten(1)
    return w.norm(w.linear(x, "output_layer.3"), "output_layer.4")


BASIC = ["bn", "conv3", "bn", "prelu", "conv3", "bn"]
BOTTLENECK = ["bn", "conv1", "bn", "prelu", "conv3", "bn", "prelu", "conv1", "bn"]
MULTIFACE = ["bn", "conv3", "prelu", "conv3", "bn"]


def vit(w, x, *, depth, num_heads, patch, eps=1e-5):
    side = x.shape[2] // patch
    x = x[:, :, : side * patch, : side * patch].reshape(-1, 3, side, patch, side, patch)
    x = torch.einsum("bcyixj,dcij->byxd", x, w.state["patch_embed.proj.weight"]).flatten(1, 2)
    x = x + w.state["patch_embed.proj.bias"] + w.state["pos_embed"]
    for block in range(depth):
        at = f"blocks.{block}"
        qkv = w.linear(w.layer_norm(x, f"{at}.norm1", eps=eps), f"{at}.attn.qkv")
        heads = []
        for q, k, v in zip(*(part.chunk(num_heads, dim=2) for part in qkv.chunk(3, dim=2)), strict=True):
            heads.append(torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[2]), dim=2) @ v)
        x = x + w.linear(torch.cat(heads, dim=2), f"{at}.attn.proj")
        hidden = w.linear(w.layer_norm(x, f"{at}.norm2", eps=eps), f"{at}.mlp.fc1").clamp(0, 6)
        x = x + w.linear(hidden, f"{at}.mlp.fc2")
    x = w.layer_norm(x, "norm", eps=eps).flatten(1)
    x = w.norm(w.linear(x, "feature.0"), "feature.1", eps=2e-5)
    return w.norm(w.linear(x, "feature.2"), "feature.3", eps=2e-5)


def edgeface(w, x, *, blocks, num_heads):
    def over_channels(x, name):
        return w.layer_norm(x.permute(0, 2, 3, 1), name, eps=1e-6).permute(0, 3, 1, 2)

    def mlp(x, at):
        hidden = w.linear(x, f"{at}.mlp.fc1")
        return w.linear(hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2))), f"{at}.mlp.fc2")

    def attention(x, at):
        qkv, mixed = w.linear(x, f"{at}.qkv").chunk(3, dim=2), []
        for head, (q, k, v) in enumerate(zip(*(part.chunk(num_heads, dim=2) for part in qkv), strict=True)):
            q, k = (part / part.norm(dim=1, keepdim=True) for part in (q, k))  # each channel over all pixels
            weights = torch.softmax(q.transpose(1, 2) @ k * w.state[f"{at}.temperature"][head], dim=2)
            mixed.append(v @ weights.transpose(1, 2))
        return w.linear(torch.cat(mixed, dim=2), f"{at}.proj")

    def position_code(side, at):
        code = torch.zeros(64, side, side, dtype=torch.float64)
        for row in range(side):
            for column in range(side):
                for start, place in ((0, row), (32, column)):
                    for pair in range(16):
                        angle = (place + 1) / (side + 1e-6) * 2 * math.pi / 10_000 ** (2 * pair / 32)
                        code[start + 2 * pair, row, column] = math.sin(angle)
                        code[start + 2 * pair + 1, row, column] = math.cos(angle)
        return w.conv_with_bias(code[None], f"{at}.pos_embd.token_projection")

    x = over_channels(w.conv_with_bias(x, "stem.0", stride=4), "stem.1")
    for stage, num_blocks in enumerate(blocks):
        if stage > 0:
            at = f"stages.{stage}.downsample"
            x = w.conv_with_bias(over_channels(x, f"{at}.0"), f"{at}.1", stride=2)
        for block in range(num_blocks):
            at = f"stages.{stage}.blocks.{block}"
            if stage == 0 or block < num_blocks - 1:
                y = w.conv_with_bias(x, f"{at}.conv_dw", padding=1 + stage).permute(0, 2, 3, 1)
            else:
                width, groups, y = w.state[f"{at}.convs.0.weight"].shape[0], [], 0
                for group in range(max(1, stage)):
                    y = w.conv_with_bias(
                        x[:, group * width : (group + 1) * width] + y, f"{at}.convs.{group}", padding=1
                    )
                    groups.append(y)
                y = torch.cat([*groups, x[:, len(groups) * width :]], dim=1)
                if stage == 1:
                    y = y + position_code(y.shape[2], at)
                shape, y = y.shape, y.flatten(2).transpose(1, 2)
                seen = attention(w.layer_norm(y, f"{at}.norm_xca", eps=1e-6), f"{at}.xca")
                y = y + w.state[f"{at}.gamma_xca"] * seen
                y = y.transpose(1, 2).reshape(shape).permute(0, 2, 3, 1)
            mixed = w.state[f"{at}.gamma"] * mlp(w.layer_norm(y, f"{at}.norm", eps=1e-6), at)
            x = x + mixed.permute(0, 3, 1, 2)
    return w.linear(w.layer_norm(x.mean((2, 3)), "head.norm", eps=1e-6), "head.fc")


WRITTEN_OUT = {
    "iresnet18": lambda w, x: iresnet(w, x, (2, 2, 2, 2)),
    "iresnet34": lambda w, x: iresnet(w, x, (3, 4, 6, 3)),
    "ir18": lambda w, x: ir(w, x, (2, 2, 2, 2), layers=BASIC),
    "ir_se50": lambda w, x: ir(w, x, (3, 4, 14, 3), layers=[*BASIC, "excite"]),
    "ir152": lambda w, x: ir(w, x, (3, 8, 36, 3), layers=BOTTLENECK),
    "multiface_ir50": lambda w, x: ir(w, x, (3, 4, 14, 3), layers=MULTIFACE),
    "multiface_ir_se50": lambda w, x: ir(w, x, (3, 4, 14, 3), layers=[*MULTIFACE, "excite"]),
    "mobilefacenet": mobilefacenet,
    "mobilefacenet_112x96": lambda w, x: mobilefacenet(w, x[..., 8:-8]),
    "mobilefacenet_045g": lambda w, x: mobilefacenet_wide(w, x, (1, 4, 6, 2)),
    "mobilefacenet_large": lambda w, x: mobilefacenet_wide(w, x, (2, 8, 12, 4)),
    "edgeface_xxs": lambda w, x: edgeface(w, x, blocks=(2, 2, 6, 2), num_heads=4),
    "edgeface_s": lambda w, x: edgeface(w, x, blocks=(3, 3, 9, 3), num_heads=8),
    "vit_t": lambda w, x: vit(w, x, depth=12, num_heads=8, patch=9),
    "mindface_vit_t": lambda w, x: vit(w, x, depth=12, num_heads=8, patch=9, eps=1e-7),
    "cvlface_vit_b": lambda w, x: vit(w, x, depth=24, num_heads=16, patch=8),
}
LARGE = {"cvlface_vit_b", "ir152"}  # seconds each, in float64
KINDS = [pytest.param(kind, marks=[pytest.mark.slow] if kind in LARGE else []) for kind in WRITTEN_OUT]


@pytest.mark.parametrize("kind", KINDS)
def test_forward_equals_the_written_out_one(kind):
    backbone = BACKBONES[kind](kind=kind, embedding_dim=24).build(input_size=32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in backbone.state_dict().values():  # norms and slopes away from their plain start
            if tensor.dim() == 1 or tensor.shape[1:] == (1, 1):  # (heads, 1, 1): temperatures
                tensor.add_(torch.rand(tensor.shape, generator=generator), alpha=0.3)
        backbone.double().eval()
        images = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=generator)
        expected = WRITTEN_OUT[kind](Weights(backbone.state_dict()), images)
        torch.testing.assert_close(backbone(images), expected, rtol=1e-9, atol=1e-9)
