"""A network as an ONNX graph, and what is written into an ONNX file beside the graph."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from marginface.errors import InputError
from marginface.models.exporting.graph import program_of
from marginface.models.runtimes import first_line, require

OPSET = 18
"""Read by onnxruntime from 1.14 (2023) and by OpenVINO from 2023.1; newer ones bring these networks nothing."""
INPUT, OUTPUT = "images", "embeddings"
MAX_BYTES = (1 << 31) - (1 << 20)
"""A protocol buffer ends at 2 GiB."""


class ClampedPReLU(nn.Module):
    """PReLU as max(x, 0) + w min(x, 0): on a CPU onnxruntime's own PRelu takes longer than convolutions do."""

    def __init__(self, prelu: nn.PReLU) -> None:
        super().__init__()
        self.weight = nn.Parameter(prelu.weight.detach().clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape, channels in dimension 1."""
        slope = self.weight.view(-1, *[1] * (x.dim() - 2))
        return x.clamp_min(0.0) + slope * x.clamp_max(0.0)


def onnx_graph(network: nn.Module, images: Tensor, *, for_onnxruntime: bool = False) -> Any:
    """Return the `onnx.ModelProto` of `network`: one input `images`, one output `embeddings`, a batch of any size.

    Args:
        network: in evaluation mode.
        images: an example of what it takes.
        for_onnxruntime: write PReLU as `ClampedPReLU`; OpenVINO fuses PRelu into the convolution before it, and is
            quicker with that.

    Raises:
        InputError: onnx or onnxscript is not installed, or the network is too large for one file.
    """
    require("onnx", "onnxscript", purpose="making an ONNX graph")
    num_bytes = sum(t.numel() * t.element_size() for t in network.parameters())
    if num_bytes > MAX_BYTES:
        raise InputError(f"the weights are {num_bytes:,} bytes, and an ONNX file ends at 2 GiB; export --to torch.")
    if for_onnxruntime:
        network = _with_clamped_prelu(copy.deepcopy(network))
    with _quietly():
        program = torch.onnx.export(
            program_of(network, images),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for end in (model.graph.input[0], model.graph.output[0]):
        end.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def _with_clamped_prelu(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.PReLU):
        return ClampedPReLU(module)
    for name, child in module.named_children():
        setattr(module, name, _with_clamped_prelu(child))
    return module


def with_metadata(model: Any, properties: Mapping[str, str]) -> Any:
    """Return the ModelProto with `properties` in its metadata; what was there under other names stays."""
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    kept = {p.key: p.value for p in copied.metadata_props} | dict(properties)
    onnx.helper.set_model_props(copied, kept)
    return copied


def read_onnx(content: bytes, *, name: str) -> Any:
    """Return the ModelProto in the bytes of a file.

    Raises:
        InputError: onnx is not installed; damaged, cut off, or with weights in other files.
    """
    require("onnx", purpose="reading an ONNX file")
    import onnx

    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # of protobuf, which changes their class between versions
        raise InputError(
            f"{name}: this ONNX file is damaged or cut off ({first_line(error)}); get it again."
        ) from error
    if not model.graph.node or not model.graph.output:
        raise InputError(f"{name}: this is no whole ONNX file (it has no graph); get it again.")
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise InputError(f"{name}: its weights are in other files; save it as one file (onnx.save does) first.")
    return model


def metadata_of(model: Any) -> dict[str, str]:
    """Return the metadata properties of a ModelProto."""
    return {p.key: p.value for p in model.metadata_props}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's remarks about packages and steps off the terminal; errors are raised all the same."""
    names = ("torch.onnx", "torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")
    noisy = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(noisy, before, strict=True):
            logger.setLevel(level)
