"""The networks compute what their papers draw: a second forward, written out from the key names of the weights."""

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

    def norm(self, x, name):
        shape = (1, -1, 1, 1)[: x.dim()]
        mean, variance, scale, bias = (
            self.state[f"{name}.{part}"].view(shape) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * scale + bias

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


WRITTEN_OUT = {
    "iresnet18": lambda w, x: iresnet(w, x, (2, 2, 2, 2)),
    "iresnet34": lambda w, x: iresnet(w, x, (3, 4, 6, 3)),
    "mobilefacenet": mobilefacenet,
    "mobilefacenet_112x96": lambda w, x: mobilefacenet(w, x[..., 8:-8]),
    "mobilefacenet_045g": lambda w, x: mobilefacenet_wide(w, x, (1, 4, 6, 2)),
    "mobilefacenet_large": lambda w, x: mobilefacenet_wide(w, x, (2, 8, 12, 4)),
}


@pytest.mark.parametrize("kind", WRITTEN_OUT)
def test_forward_equals_the_written_out_one(kind):
    backbone = BACKBONES[kind](kind=kind, embedding_dim=24).build(input_size=32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in backbone.state_dict().values():  # norms and slopes away from their plain start
            if tensor.dim() == 1:
                tensor.add_(torch.rand(tensor.shape, generator=generator), alpha=0.3)
        backbone.double().eval()
        images = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=generator)
        expected = WRITTEN_OUT[kind](Weights(backbone.state_dict()), images)
        torch.testing.assert_close(backbone(images), expected, rtol=1e-9, atol=1e-9)
