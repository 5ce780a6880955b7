"""A detector's file -> the detector: told by content."""

from __future__ import annotations

from pathlib import Path

from marginface.errors import InputError
from marginface.images.detect import Detector
from marginface.images.yunet import YuNet


def detector_from(path: str | Path) -> Detector:
    """Return the detector of a file: a YuNet .onnx.

    Raises:
        InputError: nothing there, or no detector.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: there is no such detector file; give a YuNet .onnx.")
    return YuNet(path)
