"""Somebody else's ONNX recogniser, such as those in insightface's packs: run as it is, under a contract given to it.

An ONNX file is a list of operations with known meanings and no code of its own. What it cannot say is which colours and
range its input has; except where it normalises by itself, as graphs that came from MXNet do: their first operations
subtract 127.5 and multiply by 1/128 or so, and then the input is RGB pixels of 0 to 255.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from marginface.errors import InputError
from marginface.models.convert.foreign_file import ForeignFile
from marginface.models.exported_model import onnx_engine
from marginface.models.exporting.graph import GraphConfig
from marginface.models.exporting.onnx_graph import read_onnx
from marginface.models.runtimes import first_line

_FIELDS_OF_A_MODEL = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})
"""Tags that may follow the version at the start of an ONNX file."""
_FIRST_OPERATIONS = 8
"""Where insightface looks for a graph's own normalising."""


@dataclass(frozen=True, kw_only=True)
class OnnxPack:
    """What an ONNX recogniser was seen to be."""

    file: ForeignFile
    takes: GraphConfig
    input_size: int
    gives_unit_embeddings: bool
    """Whether embeddings come out with length 1, so that their norm says nothing of quality."""


def is_onnx(path: str | Path) -> bool:
    """Return whether a file begins as ONNX files do: a small version number, then another field of a model."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(3)
    return len(head) == 3 and head[0] == 0x08 and head[1] < 0x40 and head[2] in _FIELDS_OF_A_MODEL


def read_onnx_pack(path: str | Path) -> OnnxPack:
    """Return what the ONNX file of a recogniser is, after running it once on two images of noise.

    Raises:
        InputError: damaged, or no recogniser of square images.
    """
    path = Path(path)
    content = path.read_bytes()
    model = read_onnx(content, name=str(path))
    sizes = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    real_inputs = [i for i in model.graph.input if i.name not in {t.name for t in model.graph.initializer}]
    if len(real_inputs) != 1 or len(sizes) != 4 or sizes[1] != 3 or sizes[2] != sizes[3]:
        shape = ", ".join(str(size or "?") for size in sizes)
        raise InputError(f"{path}: it takes ({shape}); a recogniser takes one batch of images (B, 3, S, S).")
    side = sizes[2] or 112
    noise = np.random.default_rng(0).normal(0, 0.5, size=(sizes[0] or 2, 3, side, side)).astype(np.float32)
    normalises = _normalises_itself(model)
    try:
        found = onnx_engine(content, runtime="auto")(127.5 + 127.5 * noise if normalises else noise)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # of the runtime, about an image that the graph does not take
        raise InputError(f"{path}: it does not run on images of {side} pixels ({first_line(error)}).") from error
    if found.ndim != 2 or len(found) != len(noise) or not np.isfinite(found).all():
        raise InputError(f"{path}: it gives {found.shape} for {len(noise)} images; a recogniser gives (B, D).")
    lengths = np.linalg.norm(found, axis=1)
    return OnnxPack(
        file=ForeignFile(path=path, container="onnx", content=content, sha256=hashlib.sha256(content).hexdigest()),
        takes=GraphConfig(
            kind="onnx_graph", embedding_dim=found.shape[1], takes="pixels" if normalises else "normalised"
        ),
        input_size=side,
        gives_unit_embeddings=bool(np.allclose(lengths, 1.0, atol=1e-4)),
    )


def _normalises_itself(model: Any) -> bool:
    """Return whether the graph begins with a subtraction and a product or quotient of one number each."""
    first = [node.op_type for node in list(model.graph.node)[:_FIRST_OPERATIONS]]
    until_conv = first[: first.index("Conv")] if "Conv" in first else first
    return "Sub" in until_conv and ("Mul" in until_conv or "Div" in until_conv)
