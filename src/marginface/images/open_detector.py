"""A detector's file -> the detector: told by content."""

from __future__ import annotations

from pathlib import Path

from marginface.errors import InputError
from marginface.images.detect import Detector
from marginface.images.mtcnn import FILES, Mtcnn
from marginface.images.scrfd import Scrfd
from marginface.images.yunet import YuNet


def detector_from(path: str | Path) -> Detector:
    """Return the detector of a YuNet or SCRFD .onnx, or of a folder with the three networks of an MTCNN.

    Raises:
        InputError: nothing there, or no detector.
    """
    path = Path(path).expanduser()
    if path.is_dir() and all((path / name).is_file() for name in FILES):
        return Mtcnn(path)
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such detector; give a YuNet or SCRFD .onnx, or a folder with {', '.join(FILES)}."
        )
    outputs_of_yunet = all(name in path.read_bytes() for name in (b"cls_8", b"obj_8", b"bbox_8", b"kps_8"))
    return YuNet(path) if outputs_of_yunet else Scrfd(path)
