"""Files as publishers write them, made from networks of ours with random statistics.

Where a publisher's names are not ours, the network is written here a second time under theirs, so that a wrong rename
cannot hide behind itself.
"""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from marginface.backbones import BACKBONES

DIM, NUM_CLASSES = 16, 7


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give norms and slopes values of their own, so that no two tensors can be mistaken for each other."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and (tensor.dim() <= 1 or "gamma" in name):
                tensor.add_(torch.rand(tensor.shape, generator=generator), alpha=0.3)
            elif name in ("pos_embed", "mask_token"):
                tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.1)
    return network.eval()


@functools.cache
def network_of(kind: str, input_size: int = 32, **settings: Any) -> nn.Module:
    make: Any = BACKBONES[kind]
    return shaken(make(kind=kind, embedding_dim=DIM, **settings).build(input_size=input_size))


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def centres(num_rows: int = DIM, num_columns: int = NUM_CLASSES, seed: int = 1) -> Tensor:
    return torch.randn(num_rows, num_columns, generator=torch.Generator().manual_seed(seed))


# -- MobileFaceNet under two other publishers' names -------------------------------------------------------------------


def _conv(channels_in: int, channels_out: int, kernel: int | tuple[int, int] = 1, **settings: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, bias=False, **settings)


class _NamedBlock(nn.Module):
    def __init__(self, conv: nn.Conv2d, *, activate: bool = True) -> None:
        super().__init__()
        self.conv, self.bn = conv, nn.BatchNorm2d(conv.out_channels)
        if activate:
            self.prelu = nn.PReLU(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return self.prelu(x) if hasattr(self, "prelu") else x


class XiaoccerNet(nn.Module):
    """112 x 96 pixels (here smaller): one list of bottlenecks, each a flat sequence; the embedding by a convolution."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.conv1 = _NamedBlock(_conv(3, 64, 3, stride=2, padding=1))
        self.dw_conv1 = _NamedBlock(_conv(64, 64, 3, padding=1, groups=64))
        blocks, before = [], 64
        for expand, channels, repeats, stride in [
            (2, 64, 5, 2),
            (4, 128, 1, 2),
            (2, 128, 6, 1),
            (4, 128, 1, 2),
            (2, 128, 2, 1),
        ]:
            for i in range(repeats):
                blocks.append(_FlatBottleneck(before, channels, expand, stride if i == 0 else 1))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = _NamedBlock(_conv(128, 512))
        self.linear7 = _NamedBlock(_conv(512, 512, (height // 16, width // 16), groups=512), activate=False)
        self.linear1 = _NamedBlock(_conv(512, DIM), activate=False)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(images))))
        return self.linear1(self.linear7(x)).flatten(1)


class _FlatBottleneck(nn.Module):
    def __init__(self, before: int, after: int, expand: int, stride: int) -> None:
        super().__init__()
        wide = before * expand
        self.residual = stride == 1 and before == after
        self.conv = nn.Sequential(
            *(_conv(before, wide), nn.BatchNorm2d(wide), nn.PReLU(wide)),
            *(_conv(wide, wide, 3, stride=stride, padding=1, groups=wide), nn.BatchNorm2d(wide), nn.PReLU(wide)),
            *(_conv(wide, after), nn.BatchNorm2d(after)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class BubbliiiingNet(nn.Module):
    """The body under the usual names, the end under names of its own."""

    def __init__(self, side: int) -> None:
        super().__init__()
        body = copy.deepcopy(network_of("mobilefacenet"))
        for name in ("conv1", "conv2_dw", "conv_23", "conv_3", "conv_34", "conv_4", "conv_45", "conv_5"):
            self.add_module(name, body.get_submodule(name))
        self.sep, self.sep_bn, self.prelu = _conv(128, 512), nn.BatchNorm2d(512), nn.PReLU(512)
        self.GDC_dw, self.GDC_bn = _conv(512, 512, side, groups=512), nn.BatchNorm2d(512)
        self.features, self.last_bn = _conv(512, DIM), nn.BatchNorm2d(DIM)

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for part in (self.conv1, self.conv2_dw, self.conv_23, self.conv_3, self.conv_34):
            x = part(x)
        x = self.conv_5(self.conv_45(self.conv_4(x)))
        x = self.GDC_bn(self.GDC_dw(self.prelu(self.sep_bn(self.sep(x)))))
        return self.last_bn(self.features(x)).flatten(1)


def _xiaoccer(images: Tensor) -> Tensor:
    return _xiaoccer_net()(images[..., 8:-8])  # 32 x 16 out of the middle of 32 x 32


@functools.cache
def _xiaoccer_net() -> nn.Module:
    return shaken(XiaoccerNet(32, 16))


@functools.cache
def _bubbliiiing_net() -> nn.Module:
    return shaken(BubbliiiingNet(2))


# -- mindface ----------------------------------------------------------------------------------------------------------

_MINDSPORE_BN = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def mindspore_names(network: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network as MindSpore names them, told by the kind of their layer."""
    named = {}
    for path, module in network.named_modules():
        own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        for name, tensor in own.items():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)):
                if name == "num_batches_tracked":
                    continue
                name = _MINDSPORE_BN[name]
            elif isinstance(module, nn.PReLU):
                name = "w"
            named[f"{path}.{name}".lstrip(".")] = tensor.detach()
    return named


def mindface_vit_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The same for mindface's ViT: layers in residual cells, and keys before queries."""
    cells = {
        "norm1": "layer1.0.cell.0",
        "attn": "layer1.0.cell.1",
        "norm2": "layer2.0.cell.0",
        "mlp": "layer2.0.cell.1",
    }
    named = {}
    for name, tensor in mindspore_names(network).items():
        parts = name.split(".")
        if parts[0] == "blocks":
            parts[2] = cells[parts[2]]
        if "qkv" in parts:
            third = len(tensor) // 3
            tensor = torch.cat([tensor[third : 2 * third], tensor[:third], tensor[2 * third :]])
        named[".".join(parts)] = tensor
    return named


def mindspore_bytes(tensors: Mapping[str, Tensor], *, slice_bytes: int = 1 << 30) -> bytes:
    """A MindSpore checkpoint, written by Google's protocol buffers from the published schema."""
    checkpoint_type = _mindspore_schema()
    checkpoint = checkpoint_type()
    for name, tensor in tensors.items():
        content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        for start in range(0, max(len(content), 1), slice_bytes):
            value = checkpoint.value.add(tag=name)
            value.tensor.dims.extend(tensor.shape)
            value.tensor.tensor_type = {torch.float32: "Float32", torch.float16: "Float16"}[tensor.dtype]
            value.tensor.tensor_content = content[start : start + slice_bytes]
    return bytes(checkpoint.SerializeToString())


@functools.cache
def _mindspore_schema() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="checkpoint.proto", syntax="proto2")
    checkpoint = file.message_type.add(name="Checkpoint")
    value = checkpoint.nested_type.add(name="Value")
    value.field.add(name="tag", number=1, type=field.TYPE_STRING, label=field.LABEL_REQUIRED)
    value.field.add(
        name="tensor", number=2, type=field.TYPE_MESSAGE, type_name=".TensorProto", label=field.LABEL_OPTIONAL
    )
    checkpoint.field.add(
        name="value", number=1, type=field.TYPE_MESSAGE, type_name=".Checkpoint.Value", label=field.LABEL_REPEATED
    )
    tensor = file.message_type.add(name="TensorProto")
    tensor.field.add(name="dims", number=1, type=field.TYPE_INT64, label=field.LABEL_REPEATED)
    tensor.field.add(name="tensor_type", number=2, type=field.TYPE_STRING, label=field.LABEL_REQUIRED)
    tensor.field.add(name="tensor_content", number=3, type=field.TYPE_BYTES, label=field.LABEL_REQUIRED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Checkpoint"))


# -- the cases ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One kind of published file."""

    family: str
    kind: str
    make: Callable[[], Any]
    """The content: a mapping for torch.save or safetensors, or bytes."""
    forward: Callable[[Tensor], Tensor]
    contract: tuple[str, str] | None
    input_size: int = 32
    num_classes: int = 0
    safetensors: bool = False


def _case(family: str, kind: str, contract: Any, wrap: Callable[[dict], Any], **more: Any) -> Case:
    size, settings = more.pop("size", 32), more.pop("settings", {})
    return Case(
        family,
        kind,
        lambda: wrap(OrderedDict(network_of(kind, size, **settings).state_dict())),
        lambda images: network_of(kind, size, **settings)(images),
        contract,
        input_size=size,
        **more,
    )


RGB, BGR = ("rgb", "minus_one_to_one"), ("bgr", "minus_one_to_one")
MAGFACE = {"settings": {"bn_eps": 2e-5}, "num_classes": NUM_CLASSES}
OPTIMIZER = {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


def magface(state: dict, prefix: str, head: dict) -> dict:
    tensors = {**prefixed(prefix, state), **head}
    return {"epoch": 25, "arch": "iresnet18", "state_dict": OrderedDict(tensors), "optimizer": OPTIMIZER}


def adaface(state: dict) -> dict:
    head = {
        "head.kernel": centres(),
        "head.t": torch.zeros(1),
        "head.batch_mean": torch.full((1,), 21.5),
        "head.batch_std": torch.full((1,), 4.5),
    }
    return {"epoch": 3, "global_step": 9, "state_dict": OrderedDict({**prefixed("model.", state), **head})}


def insightface_resume(state: dict, rows: Tensor | None = None) -> dict:
    return {
        "epoch": 1,
        "global_step": 10,
        "state_dict_backbone": OrderedDict(state),
        "state_dict_softmax_fc": {"weight": centres(NUM_CLASSES, DIM) if rows is None else rows},
        "state_optimizer": OPTIMIZER,
        "state_lr_scheduler": {"last_epoch": 10},
    }


CASES = {
    "magface DataParallel": _case(
        *("magface", "iresnet18", ("bgr", "zero_to_one")),
        lambda s: magface(s, "module.features.module.", {"module.fc.weight": centres()}),
        **MAGFACE,
    ),
    "magface one wrapper": _case(
        *("magface", "iresnet18", ("bgr", "zero_to_one")),
        lambda s: magface(s, "module.features.", {"module.fc.weight": centres()}),
        **MAGFACE,
    ),
    "magface parallel": _case(
        *("magface", "iresnet18", ("bgr", "zero_to_one")),
        lambda s: magface(s, "features.module.", {"parallel_fc.weight": centres(NUM_CLASSES, DIM)}),
        **MAGFACE,
    ),
    "adaface": _case("adaface", "ir18", BGR, adaface, num_classes=NUM_CLASSES),
    "adaface SE": _case("adaface", "ir_se50", BGR, adaface, num_classes=NUM_CLASSES),
    "insightface": _case("insightface", "iresnet18", RGB, dict),
    "insightface DDP": _case("insightface", "iresnet18", RGB, lambda s: prefixed("module.", s)),
    "insightface mbf": _case("insightface", "mobilefacenet_045g", RGB, dict),
    "insightface mbf_large": _case("insightface", "mobilefacenet_large", RGB, dict),
    "insightface ViT": _case("insightface", "vit_t", RGB, dict, size=112),
    "insightface resume": _case("insightface_resume", "iresnet18", RGB, insightface_resume, num_classes=NUM_CLASSES),
    "cvlface": _case("cvlface", "ir18", None, lambda s: prefixed("net.", s)),
    "cvlface safetensors": _case("cvlface", "ir18", None, lambda s: prefixed("model.net.", s), safetensors=True),
    "cvlface ViT": _case("cvlface", "cvlface_vit_s", None, lambda s: prefixed("net.", s), size=16),
    "multiface": _case("multiface", "multiface_ir50", BGR, dict),
    "multiface SE DP": _case("multiface", "multiface_ir_se50", BGR, lambda s: prefixed("module.", s)),
    "multiface mobile": _case("multiface", "mobilefacenet", BGR, dict),
    "bubbliiiing": Case(
        *("bubbliiiing", "mobilefacenet"),
        lambda: prefixed("arcface.", _bubbliiiing_net().state_dict()),
        lambda images: _bubbliiiing_net()(images),
        RGB,
    ),
    "xiaoccer": Case(
        *("xiaoccer", "mobilefacenet_112x96"),
        lambda: {"epoch": 68, "net_state_dict": _xiaoccer_net().state_dict()},
        _xiaoccer,
        RGB,
    ),
    "edgeface": _case("edgeface", "edgeface_xxs", RGB, lambda s: prefixed("model.", s), size=112),
    "edgeface low rank": _case("edgeface", "edgeface_xs", RGB, dict, size=112),
    "tface": _case("tface", "ir18", None, dict),
    "mindface": Case(
        *("mindface", "iresnet18"),
        lambda: mindspore_bytes(
            {**mindspore_names(network_of("iresnet18")), "mp_weight": centres(NUM_CLASSES, DIM)}, slice_bytes=50_000
        ),
        lambda images: network_of("iresnet18")(images),
        RGB,
        num_classes=NUM_CLASSES,
    ),
    "mindface mbf": Case(
        *("mindface", "mobilefacenet_045g"),
        lambda: mindspore_bytes(mindspore_names(network_of("mobilefacenet_045g"))),
        lambda images: network_of("mobilefacenet_045g")(images),
        RGB,
    ),
    "mindface ViT": Case(
        *("mindface", "mindface_vit_t"),
        lambda: mindspore_bytes(mindface_vit_tensors(network_of("mindface_vit_t", 112))),
        lambda images: network_of("mindface_vit_t", 112)(images),
        RGB,
        input_size=112,
    ),
    "plain state dict": _case("state_dict", "mobilefacenet", None, dict, safetensors=True),
}


def quantised(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The linear layers of a state dict as torch's dynamic quantisation stores them."""
    made: dict[str, Any] = {}
    for name, tensor in state.items():
        layer = name.removesuffix(".weight")
        if name.endswith(".weight") and tensor.dim() == 2:
            packed = torch.quantize_per_tensor(tensor, float(tensor.abs().max()) / 127, 0, torch.qint8)
            made[f"{layer}.scale"], made[f"{layer}.zero_point"] = torch.tensor(1.0), torch.tensor(0)
            made[f"{layer}._packed_params.dtype"] = torch.qint8
            made[f"{layer}._packed_params._packed_params"] = (packed, state.get(f"{layer}.bias"))
        elif not (name.endswith(".bias") and state.get(name.removesuffix("bias") + "weight", tensor).dim() == 2):
            made[name] = tensor
    return made
