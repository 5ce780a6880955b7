"""An exported graph, or somebody else's ONNX file, used like any other model: uint8 crops in, embeddings out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from marginface.errors import InputError
from marginface.images.normalize import InputContract, normalize
from marginface.models.card import ModelCard
from marginface.models.exporting.files import XML, read_onnx_file, read_openvino_folder
from marginface.models.exporting.graph import GraphConfig
from marginface.models.exporting.onnx_graph import read_onnx
from marginface.models.face_model import FaceModel, checked_runtime
from marginface.models.runtimes import ENGINES, Engine, Runtime, is_installed, onnxruntime_engine, openvino_engine


class ExportedModel(FaceModel):
    """A `FaceModel` whose backbone is a graph: everything but training works. It runs on the CPU."""

    def __init__(
        self,
        graph: Graph,
        backbone_config: GraphConfig,
        contract: InputContract,
        card: ModelCard | None = None,
        *,
        fingerprint: str = "",
        content: bytes = b"",
    ) -> None:
        """Args:
        graph: what runs.
        backbone_config: what it takes.
        contract: what is done to images for it, or what it does itself.
        card: the model's.
        fingerprint: of the model that it was exported from; its own, made of its bytes, unless given.
        content: the ONNX file, for `save_model`.
        """
        super().__init__(graph, backbone_config, contract, card, runtime="eager")
        self._fingerprint = fingerprint
        self.content = content

    @property
    def graph_config(self) -> GraphConfig:
        """What the graph takes."""
        return cast(GraphConfig, self.backbone_config)

    @property
    def fingerprint(self) -> str:
        """16 hex digits; equal to those of the torch model where the embeddings are, but for rounding."""
        return self._fingerprint or super().fingerprint

    def _embed_crops(self, images: Tensor, flip: Literal["none", "sum"]) -> Tensor:
        takes = self.graph_config
        if takes.adds_mirror_image and flip == "none":
            raise InputError(f"{self.name}: this graph adds the mirror image itself; use flip sum, or export without.")
        inputs = images.cpu()
        if takes.takes == "normalised":
            inputs = normalize(inputs, self.contract)
        elif takes.takes == "pixels":
            inputs = inputs.permute(0, 3, 1, 2).float()
        graph = cast(Graph, self.backbone)
        embeddings = graph.run(inputs)
        if flip == "sum" and not takes.adds_mirror_image:
            embeddings = embeddings + graph.run(inputs.flip(2 if takes.takes == "bytes" else 3))
        return embeddings


class Graph(nn.Module):
    """An engine with the form of a backbone: no parameters, one buffer with the digest of what runs."""

    def __init__(self, engine: Engine, takes: GraphConfig, *, content: bytes, fixed_batch: int | None = None) -> None:
        """Args:
        engine: what runs.
        takes: in which form.
        content: from which the fingerprint is made.
        fixed_batch: the only number of images that it takes at once; None for any.
        """
        super().__init__()
        self._engine = engine
        self._takes = takes.takes
        self._fixed_batch = fixed_batch
        self.register_buffer("digest", torch.frombuffer(bytearray(hashlib.sha256(content).digest()), dtype=torch.uint8))

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D) of normalised images (B, 3, S, S).

        Raises:
            InputError: the graph normalises inside, so that there is one contract only.
        """
        if self._takes != "normalised":
            raise InputError("this graph normalises its images itself, so there is no other input contract to try.")
        return self.run(images)

    def run(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D) float32 of images in the form that the graph takes."""
        whole = np.ascontiguousarray(images.numpy())
        step = self._fixed_batch
        if step is None or not len(whole):
            return torch.from_numpy(self._engine(whole)).float()
        parts = []
        for start in range(0, len(whole), step):
            part = whole[start : start + step]
            padded = np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)])
            parts.append(self._engine(padded)[: len(part)])
        return torch.from_numpy(np.concatenate(parts)).float()


def is_exported(path: Path) -> bool:
    """Return whether `path` looks like an exported graph: an .onnx or .pt2 file, or an OpenVINO folder."""
    return (path.is_file() and path.suffix in (".onnx", ".pt2")) or (path / XML).is_file()


def load_exported(path: Path, *, runtime: Runtime = "auto") -> ExportedModel:
    """Return the model in a file or folder that `export` wrote.

    Args:
        path: an .onnx file, or a folder with model.xml and model.bin.
        runtime: `onnxruntime` or `openvino`; `auto` is OpenVINO for int8 if it is installed, else onnxruntime, and
            OpenVINO for its own folders.

    Raises:
        InputError: damaged, cut off, without a description, or not for this runtime.
    """
    if path.suffix == ".pt2":
        raise InputError(
            f"{path}: this is a torch program, and reading one can run code that is in it; if you trust it, "
            "torch.export.load reads it, and `marginface export --to onnx` writes a file that is only read."
        )
    runtime = _runtime_of_graphs(runtime)
    if (path / XML).is_file():
        if runtime == "onnxruntime":
            raise InputError(f"{path}: an OpenVINO folder is run by OpenVINO, not by {runtime}; leave runtime at auto.")
        about = read_openvino_folder(path)
        engine, content = openvino_engine(path / XML), b""
    else:
        content, found = read_onnx_file(path)
        if found is None:
            raise InputError(
                f"{path}: marginface did not write this ONNX file, so its input contract is unknown; turn it into a "
                "model folder with `marginface models import`."
            )
        about = found
        engine = onnx_engine(content, runtime=runtime, precision=about.backbone.precision)
    graph = Graph(engine, about.backbone, content=content)
    return ExportedModel(
        graph, about.backbone, about.contract, about.card, fingerprint=about.fingerprint, content=content
    )


def model_of_onnx(
    content: bytes,
    takes: GraphConfig,
    contract: InputContract,
    card: ModelCard,
    *,
    runtime: Runtime = "auto",
    name: str,
) -> ExportedModel:
    """Return a model that runs somebody else's ONNX file.

    Args:
        content: of the file.
        takes: what goes in and comes out.
        contract: what the graph expects of images.
        card: the model's.
        runtime: `onnxruntime`, `openvino` or `auto`, the first.
        name: what errors call the file.

    Raises:
        InputError: damaged, or not for this runtime.
    """
    batch = read_onnx(content, name=name).graph.input[0].type.tensor_type.shape.dim[0].dim_value
    engine = onnx_engine(content, runtime=_runtime_of_graphs(runtime))
    graph = Graph(engine, takes, content=content, fixed_batch=batch or None)
    return ExportedModel(graph, takes, contract, card, content=content)


def _runtime_of_graphs(runtime: Runtime) -> Runtime:
    """Return the runtime, `auto` where MARGINFACE_RUNTIME names one for backbones."""
    named = checked_runtime(runtime)
    if named in ENGINES or named == "auto":
        return named
    if runtime == "auto":
        return "auto"
    raise InputError(f"an exported graph is run by {' or '.join(sorted(ENGINES))}, not by {runtime}.")


def onnx_engine(content: bytes, *, runtime: Runtime, precision: str = "float32") -> Engine:
    """Return what runs an ONNX file; `auto` is OpenVINO for int8 if installed (onnxruntime is slower there).

    Raises:
        InputError: a runtime that is not installed, or cannot read this file.
    """
    if runtime != "auto":
        return ENGINES[runtime](content)
    return (openvino_engine if precision == "int8" and is_installed("openvino") else onnxruntime_engine)(content)
