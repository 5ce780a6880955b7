"""What runs an ONNX graph on the CPU: onnxruntime or OpenVINO, each behind one callable."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from marginface.errors import InputError

Runtime = Literal["auto", "eager", "torch", "onnxruntime", "openvino"]
"""`eager` runs a backbone as it is, `torch` folded (folding.py); `auto` chooses, see `FaceModel`."""
RUNTIMES: tuple[Runtime, ...] = ("auto", "eager", "torch", "onnxruntime", "openvino")

Engine = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]
"""From a batch of images to embeddings (B, D) float32."""

EXTRAS = {"onnx": "onnx", "onnxscript": "onnx", "onnxruntime": "onnx", "openvino": "openvino"}
"""The extra that brings each package."""


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def require(*packages: str, purpose: str) -> None:
    """Raise InputError that names the extra, unless all `packages` are installed."""
    for package in packages:
        if not is_installed(package):
            raise InputError(f"{purpose} needs {package}: pip install 'marginface[{EXTRAS[package]}]'.")


def onnxruntime_engine(model: bytes | Path) -> Engine:
    """Return onnxruntime on the CPU, with as many threads as torch has, for a graph of one input and one output.

    Raises:
        InputError: onnxruntime is not installed, or cannot read the graph.
    """
    require("onnxruntime", purpose="running an ONNX graph by onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes share no base but Exception
        raise InputError(f"onnxruntime cannot read this graph ({first_line(error)}); export it again.") from error
    name = session.get_inputs()[0].name

    def run(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.asarray(session.run(None, {name: images})[0])

    return run


def openvino_engine(model: bytes | Path) -> Engine:
    """Return OpenVINO on the CPU, in float32 whatever the CPU offers, with as many threads as torch has.

    Args:
        model: the bytes of an ONNX file, or the path of an .onnx or .xml file.

    Raises:
        InputError: openvino is not installed, or cannot read the graph.
    """
    require("openvino", purpose="running a graph by OpenVINO")
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time with all threads
        "INFERENCE_PRECISION_HINT": "f32",  # else bf16 where the CPU has it, and with it other embeddings
    }
    try:
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(model), "CPU", settings)
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot read this graph ({first_line(error)}); export it again.") from error

    one_at_a_time = threading.Lock()  # a compiled model is busy while it runs, and says so to the next caller

    def run(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        with one_at_a_time:
            return np.array(compiled(images)[0])  # a copy: the next call overwrites its buffer

    return run


ENGINES: dict[str, Callable[[bytes | Path], Engine]] = {
    "openvino": openvino_engine,
    "onnxruntime": onnxruntime_engine,
}
"""The quicker first."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's text that says something, without a full stop."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return text.rstrip(". ")[:200] or type(error).__name__
