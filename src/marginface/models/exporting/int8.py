"""Eight bits for weights and activations of an ONNX graph: static quantisation with scales from calibration images.

Weights: a scale for each output channel, symmetric. Activations: a scale for each tensor. The graph keeps float ends
and says with Quantize/Dequantize pairs (QDQ) where integers are meant; onnxruntime and OpenVINO both read that.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt

from marginface.errors import InputError
from marginface.models.exporting.onnx_graph import INPUT
from marginface.models.runtimes import first_line, require

QUANTISED_OPERATIONS = ("Conv", "Gemm", "MatMul", "Add")
"""What costs time. PReLU stays in float between them; OpenVINO fuses it into the convolution before it."""


def quantised(model: Any, batches: Iterable[npt.NDArray[Any]], *, progress: Callable[[int], None] | None = None) -> Any:
    """Return the ModelProto in int8.

    Args:
        model: a float32 ModelProto with one input.
        batches: calibration images in the form that the graph takes; a few hundred images in all.
        progress: called with the number of images seen so far.

    Raises:
        InputError: onnxruntime is not installed, there are no images, or the graph cannot be quantised.
    """
    require("onnx", "onnxruntime", purpose="int8")
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches: Iterator[npt.NDArray[Any]] = iter(batches)
            self.seen = 0

        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            batch = next(self.batches, None)
            if batch is None:
                return None
            self.seen += len(batch)
            if progress is not None:
                progress(self.seen)
            return {INPUT: batch}

    reader = Reader()
    with tempfile.TemporaryDirectory(prefix="marginface-int8-") as folder:
        before, after = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, before)
        advice = logging.Logger.manager.disable
        logging.disable(logging.WARNING)  # it advises to simplify graphs first, by the root logger; ours are simplified
        try:
            quantization.quantize_static(
                before,
                after,
                reader,
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED_OPERATIONS),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                # Without VNNI, sums of two products saturate at 16 bits: seven bits of weight leave room for them.
                reduce_range=True,
            )
        except Exception as error:  # it raises bare Exceptions and ValueErrors about the graph
            if not reader.seen:
                raise InputError("int8 needs images to calibrate on; give --calibrate SOURCE.") from error
            raise InputError(f"this graph cannot be quantised ({first_line(error)}); export it in float32.") from error
        finally:
            logging.disable(advice)
        return onnx.load(after)
