"""A FaceModel -> a graph on disk, for other programs or for speed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor

from marginface.errors import InputError, one_of
from marginface.images.normalize import normalize
from marginface.models.drift import check_drift
from marginface.models.exported_model import ExportedModel, Graph, load_exported
from marginface.models.exporting.files import (
    FORMAT,
    GraphDescription,
    read_torch_file,
    write_onnx,
    write_openvino,
    write_torch,
)
from marginface.models.exporting.graph import Container, GraphConfig, Takes, WholeGraph, example_input, program_of
from marginface.models.exporting.int8 import quantised
from marginface.models.exporting.onnx_graph import onnx_graph
from marginface.models.face_model import FaceModel, evaluating
from marginface.models.folding import fold_batch_norm
from marginface.models.runtimes import Runtime

SUFFIX = {"onnx": ".onnx", "openvino": "", "torch": ".pt2"}


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What to export, and with how much of the work around the backbone inside."""

    to: Container = "onnx"
    takes: Takes = "normalised"
    """What comes in: see `GraphConfig.takes`. `bytes` are crops as they are decoded."""
    adds_mirror_image: bool = False
    """Add the embedding of the mirrored image inside."""
    int8: bool = False
    """Weights and activations in eight bits."""

    def __post_init__(self) -> None:
        for name, value, choices in (("to", self.to, get_args(Container)), ("takes", self.takes, get_args(Takes))):
            if value not in choices:
                raise InputError(f"{name} {value!r} is unknown{one_of(value, choices)}.")
        if self.int8 and self.to == "torch":
            raise InputError("int8 is for onnx and openvino; torch programs are exported in float32.")


def export_model(
    model: FaceModel,
    path: Path,
    config: ExportConfig,
    *,
    calibration: Iterable[Tensor] = (),
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write `model` as a graph; BN are folded wherever that is exact. Nothing is checked: see `evaluation.parity`.

    Args:
        model: on the CPU.
        path: a file ending in .onnx or .pt2, or for OpenVINO a folder that does not exist.
        config: what to write.
        calibration: for int8, batches (B, S, S, 3) uint8 RGB of crops, a few hundred in all.
        progress: called with the number of calibration images seen.

    Raises:
        InputError: a missing extra, an exported model, a wrong suffix.
    """
    if isinstance(model, ExportedModel):
        raise InputError(f"{model.name}: this is an exported graph already; give the model folder that it came from.")
    check_suffix(path, config)
    contract = model.contract
    with evaluating(model.backbone):
        pixels = torch.zeros(1, 3, contract.input_size, contract.input_size)
        folded = fold_batch_norm(model.backbone, pixels)
        check_drift(model.backbone(pixels).detach(), folded(pixels).detach())
    network = WholeGraph(folded, contract, takes=config.takes, adds_mirror_image=config.adds_mirror_image)
    example = example_input(contract, config.takes)
    if config.to == "torch":
        write_torch(program_of(network, example), _description(model, config, model.fingerprint), path)
        return
    graph = onnx_graph(network, example, for_onnxruntime=config.to == "onnx")
    fingerprint = model.fingerprint
    if config.int8:
        graph = quantised(graph, (_form_of(batch, model, config) for batch in calibration), progress=progress)
        fingerprint = hashlib.sha256(graph.SerializeToString()).hexdigest()[:16]
    write = write_onnx if config.to == "onnx" else write_openvino
    write(graph, _description(model, config, fingerprint), path)


def check_suffix(path: Path, config: ExportConfig) -> None:
    """Raise InputError unless the name of `path` is one that is known again when it is loaded."""
    suffix = SUFFIX[config.to]
    if suffix and path.suffix != suffix:
        raise InputError(f"{path}: --to {config.to} writes a file whose name ends in {suffix}.")


def read_back(path: Path, config: ExportConfig, *, runtime: Runtime = "auto") -> ExportedModel:
    """Return what `export_model` has just written, as a model; also a torch program, which `load_model` refuses."""
    if config.to != "torch":
        return load_exported(path, runtime=runtime)
    program, about = read_torch_file(path)
    network = program.module()
    graph = Graph(lambda images: network(torch.from_numpy(images)).detach().numpy(), about.backbone, content=b"")
    return ExportedModel(graph, about.backbone, about.contract, about.card, fingerprint=about.fingerprint)


def _form_of(crops: Tensor, model: FaceModel, config: ExportConfig) -> Any:
    """Return crops in the form that the graph takes, as numpy."""
    if config.takes == "bytes":
        return crops.numpy()
    if config.takes == "pixels":
        return crops.permute(0, 3, 1, 2).float().contiguous().numpy()
    return normalize(crops, model.contract).numpy()


def _description(model: FaceModel, config: ExportConfig, fingerprint: str) -> GraphDescription:
    return GraphDescription(
        format=FORMAT,
        backbone=GraphConfig(
            kind=cast(Any, f"{config.to}_graph"),
            embedding_dim=model.embedding_dim,
            backbone=model.backbone_config.kind,
            takes=config.takes,
            adds_mirror_image=config.adds_mirror_image,
            precision="int8" if config.int8 else "float32",
        ),
        contract=model.contract,
        fingerprint=fingerprint,
        card=model.card,
    )
