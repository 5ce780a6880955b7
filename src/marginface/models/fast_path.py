"""The quickest safe way to run a backbone on a CPU, made when first needed and kept while its weights stay as they are.

Safe means: the backbone itself is never touched, what was made of it is compared with it before it is used, and it is
made anew once a weight, a running statistic or a layer has changed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from marginface.errors import InputError
from marginface.models.drift import check_drift
from marginface.models.folding import fold_batch_norm, is_foldable
from marginface.models.runtimes import ENGINES, Runtime, is_installed

logger = logging.getLogger(__name__)

Run = Callable[[Tensor], Tensor]
"""From normalised images (B, 3, S, S) to embeddings (B, D) float32."""

MANY_IMAGES = 5_000
"""From which on `auto` converts for OpenVINO: that takes tens of seconds, and a MobileFaceNet needs
thousands of images to earn them back (docs/results/export.md)."""


def chosen_runtime(runtime: Runtime, *, num_images: int) -> Runtime:
    """Return what `auto` means for a job of so many images on this machine; anything else as it is."""
    if runtime != "auto":
        return runtime
    converts = num_images >= MANY_IMAGES and is_installed("openvino") and is_installed("onnxscript")
    return "openvino" if converts else "torch"  # onnxruntime was slower than torch where it was measured


class FastPath:
    """What was made of one backbone, and of which state of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[Any, Run] | None = None

    def __reduce__(self) -> tuple[type[FastPath], tuple[()]]:
        return FastPath, ()  # copies and pickles make their own

    def run_for(self, backbone: nn.Module, pixels: Tensor, *, runtime: Runtime, may_fall_back: bool) -> Run:
        """Return how to run `backbone` in evaluation mode.

        Args:
            backbone: on any device; off the CPU it runs as it is.
            pixels: (B, 3, S, S), the images to come: the first is used to compare the fast way with the slow one.
            runtime: not `auto`.
            may_fall_back: on a conversion that fails, warn and run folded in torch.

        Raises:
            InputError: a runtime that is not installed, or that runs on the CPU only while the backbone is elsewhere.
        """
        on_cpu = pixels.device.type == "cpu"
        if runtime in ENGINES and not on_cpu:
            raise InputError(f"{runtime} runs on the CPU here, but the model is on {pixels.device}; use runtime torch.")
        if runtime == "eager" or not on_cpu or not len(pixels) or not is_foldable(backbone):
            return lambda images: run_eagerly(backbone, images)
        with self._lock:
            state = (runtime, _state_of(backbone))
            if self._made is None or self._made[0] != state:
                self._made = None  # free the memory of the old one first
                self._made = (state, _make(backbone, pixels[:1], runtime, may_fall_back=may_fall_back))
            return self._made[1]


def run_eagerly(backbone: nn.Module, pixels: Tensor) -> Tensor:
    """Return what the backbone itself gives in evaluation mode, float32."""
    with evaluating(backbone):
        result: Tensor = backbone(pixels)
    return result.float()


def _make(backbone: nn.Module, pixels: Tensor, runtime: Runtime, *, may_fall_back: bool) -> Run:
    expected = run_eagerly(backbone, pixels)
    folded = backbone
    try:
        with evaluating(backbone):
            folded = fold_batch_norm(backbone, pixels)
        check_drift(expected, folded(pixels))
    except Exception as error:  # whatever somebody's backbone does that folding has not foreseen: slower, not wrong
        logger.info("the backbone runs as it is, for folding its batch norms failed: %s", error)
        return lambda images: run_eagerly(backbone, images)
    if runtime in ENGINES:
        try:
            return _converted(folded, pixels, expected, runtime)
        except Exception as error:
            if not may_fall_back:
                raise
            logger.warning("%s is not used, for converting failed; torch runs the backbone: %s", runtime, error)
    return lambda images: folded(images).float()  # type: ignore[no-any-return]


def _converted(folded: nn.Module, pixels: Tensor, expected: Tensor, runtime: Runtime) -> Run:
    from marginface.models.exporting.onnx_graph import onnx_graph

    logger.info("converting the backbone for %s", runtime)
    two = torch.cat([pixels, pixels])  # of one image, torch.export takes the size of the batch for a constant
    graph = onnx_graph(folded, two, for_onnxruntime=runtime == "onnxruntime")
    engine = ENGINES[runtime](graph.SerializeToString())

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(engine(np.ascontiguousarray(images.numpy())))

    check_drift(expected, run(pixels))
    return run


def _state_of(backbone: nn.Module) -> Any:
    """Return what differs as soon as the backbone would compute something else.

    Every in-place operation of torch moves a tensor's version. Writing through `.data`, or by a collective, does not;
    so the sum of each tensor is looked at too (1 to 4 % of one image's time).
    """
    tensors = [(t.data_ptr(), t._version, float(t.detach().sum())) for t in backbone.parameters()]
    tensors += [(t.data_ptr(), t._version, float(t.detach().sum())) for t in backbone.buffers()]
    layers = [(id(m), m.eps if isinstance(m, _BatchNorm) else None) for m in backbone.modules()]
    return tensors, layers


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` and all below it into evaluation mode inside the block, and each back into its own after it."""
    was_training = [m for m in module.modules() if m.training]
    module.eval()
    try:
        yield
    finally:
        for m in was_training:
            m.training = True
