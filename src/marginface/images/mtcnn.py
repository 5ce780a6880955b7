"""MTCNN (Zhang et al., IEEE SPL 2016, arXiv:1604.02878) from the PyTorch weights that facenet-pytorch publishes (MIT).

A folder with `pnet.pt`, `rnet.pt` and `onet.pt`, read with `weights_only`. Here for crops made as older work made them;
YuNet is faster by far and finds more. Settings are facenet-pytorch's; AdaFace's own copy differs in `factor` (0.85).
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from marginface.errors import InputError
from marginface.images.detect import DetectedFace, Pixels, largest_first

FILES = ("pnet.pt", "rnet.pt", "onet.pt")
_STRIDE, _CELL = 2, 12
Boxes = npt.NDArray[np.float64]
"""(n, 5) left, top, right, bottom in pixels, and the score."""


class Mtcnn:
    """Three networks, each looking closer at what the one before it let through; safe to call from several threads."""

    def __init__(
        self,
        folder: str | Path,
        *,
        min_face: int = 20,
        factor: float = 0.709,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
    ) -> None:
        """Load the networks.

        Args:
            folder: of `pnet.pt`, `rnet.pt` and `onet.pt`.
            min_face: shortest side of a face that is looked for, pixels.
            factor: by which each step of the pyramid is smaller than the one before.
            thresholds: least score after each network, 0..1.

        Raises:
            InputError: a file is missing, or is not that network.
        """
        self.folder, self.min_face, self.factor, self.thresholds = Path(folder), min_face, factor, thresholds
        self._networks = tuple(
            _loaded(self.folder / name, network)
            for name, network in zip(FILES, (_proposals(), _refinement(), _output()), strict=True)
        )

    @torch.no_grad()
    def detect(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces of an (H, W, 3) uint8 RGB image, the largest first."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
        boxes = _squared(self._propose(pixels))
        boxes, told = self._look_closer(1, pixels, boxes, 24)
        chosen = _without_overlaps(boxes, 0.7)
        boxes = _squared(_moved(boxes[chosen], told["move"][chosen]))
        boxes, told = self._look_closer(2, pixels, boxes, 48)
        sizes = boxes[:, 2:4] - boxes[:, :2] + 1
        points = told["points"].reshape(-1, 2, 5).transpose(0, 2, 1) * sizes[:, None] + boxes[:, None, :2] - 1
        boxes = _moved(boxes, told["move"])
        return largest_first(
            DetectedFace(
                box=np.concatenate([boxes[i, :2], boxes[i, 2:4] - boxes[i, :2]]),
                landmarks=points[i],
                confidence=float(boxes[i, 4]),
            )
            for i in _without_overlaps(boxes, 0.7, of_the_smaller=True)
        )

    def _look_closer(
        self, number: int, pixels: Tensor, boxes: Boxes, size: int
    ) -> tuple[Boxes, dict[str, npt.NDArray[np.float64]]]:
        """Return the boxes that a network takes for faces, with its scores, and what else it says of them."""
        crops, there = _crops(pixels, boxes, size)
        told = _run(self._networks[number], crops)
        kept = told["score"] > self.thresholds[number]
        told = {what: values[kept] for what, values in told.items()}
        return np.column_stack([boxes[there][kept, :4], told["score"]]), told

    def _propose(self, pixels: Tensor) -> Boxes:
        """Return what the first network lets through, over a pyramid of sizes."""
        scale = _CELL / self.min_face
        side, found = min(pixels.shape[2:]) * scale, []
        while side >= _CELL:
            size = [int(length * scale + 1) for length in pixels.shape[2:]]
            small = (nn.functional.interpolate(pixels, size=size, mode="area") - 127.5) * 0.0078125
            told = self._networks[0](small)
            score, move = told["score"][0, 1].numpy(), told["move"][0].numpy()
            rows, columns = np.nonzero(score >= self.thresholds[0])
            corner = np.stack([columns, rows], axis=1) * _STRIDE + 1.0
            here = np.column_stack(
                [np.floor(corner / scale), np.floor((corner - 1 + _CELL) / scale), score[rows, columns]]
            )
            chosen = _without_overlaps(here, 0.5)
            found.append(np.column_stack([here[chosen], move[:, rows[chosen], columns[chosen]].T]))
            scale, side = scale * self.factor, side * self.factor
        together = np.concatenate(found) if found else np.empty((0, 9))
        together = together[_without_overlaps(together[:, :5], 0.7)]
        sizes = together[:, 2:4] - together[:, :2]
        moved = together[:, :4] + together[:, 5:9] * np.tile(sizes, 2)
        return np.column_stack([moved, together[:, 4]])

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.folder, self.min_face, self.factor, self.thresholds)


class _Branches(nn.Module):
    """A trunk, then one layer for the score of "face", one for the move of the box and maybe one for the landmarks."""

    def __init__(self, trunk: OrderedDict[str, nn.Module], heads: dict[str, tuple[str, nn.Module]]) -> None:
        super().__init__()
        for name, layer in trunk.items():
            self.add_module(name, layer)
        for name, layer in heads.values():
            self.add_module(name, layer)
        self.trunk_names, self.head_names = list(trunk), {what: name for what, (name, _) in heads.items()}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        for name in self.trunk_names:
            if name.startswith("dense") and images.dim() == 4:  # the weights came from Caffe over TensorFlow: (W, H, C)
                images = images.permute(0, 3, 2, 1).flatten(1)
            images = self.get_submodule(name)(images)
        told = {what: self.get_submodule(name)(images) for what, name in self.head_names.items()}
        return told | {"score": told["score"].softmax(dim=1)}


def _convolutions(*layers: tuple[int, int, int, int]) -> OrderedDict[str, nn.Module]:
    """Return convolutions with PReLU and, where `pool` is not 0, pooling: (channels in, out, kernel, pool)."""
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (inside, outside, kernel, pool) in enumerate(layers, start=1):
        named[f"conv{i}"], named[f"prelu{i}"] = nn.Conv2d(inside, outside, kernel), nn.PReLU(outside)
        if pool:
            named[f"pool{i}"] = nn.MaxPool2d(pool, 2, ceil_mode=True)
    return named


def _proposals() -> _Branches:
    heads: dict[str, tuple[str, nn.Module]] = {
        "score": ("conv4_1", nn.Conv2d(32, 2, 1)),
        "move": ("conv4_2", nn.Conv2d(32, 4, 1)),
    }
    return _Branches(_convolutions((3, 10, 3, 2), (10, 16, 3, 0), (16, 32, 3, 0)), heads)


def _refinement() -> _Branches:
    trunk = _convolutions((3, 28, 3, 3), (28, 48, 3, 3), (48, 64, 2, 0))
    trunk |= {"dense4": nn.Linear(576, 128), "prelu4": nn.PReLU(128)}
    return _Branches(trunk, {"score": ("dense5_1", nn.Linear(128, 2)), "move": ("dense5_2", nn.Linear(128, 4))})


def _output() -> _Branches:
    trunk = _convolutions((3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, 0))
    trunk |= {"dense5": nn.Linear(1152, 256), "prelu5": nn.PReLU(256)}
    heads: dict[str, tuple[str, nn.Module]] = {
        "score": ("dense6_1", nn.Linear(256, 2)),
        "move": ("dense6_2", nn.Linear(256, 4)),
        "points": ("dense6_3", nn.Linear(256, 10)),
    }
    return _Branches(trunk, heads)


def _loaded(path: Path, network: nn.Module) -> nn.Module:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; an MTCNN is a folder with {', '.join(FILES)}.")
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: these are not the weights of facenet-pytorch's {path.stem}.") from error
    return network.eval()


def _run(network: nn.Module, crops: Tensor) -> dict[str, npt.NDArray[np.float64]]:
    told = {what: values.double().numpy() for what, values in network((crops - 127.5) * 0.0078125).items()}
    return told | {"score": told["score"][:, 1]}


def _squared(boxes: Boxes) -> Boxes:
    sizes = boxes[:, 2:4] - boxes[:, :2]
    side = sizes.max(axis=1, keepdims=True, initial=0.0)
    corner = boxes[:, :2] + sizes / 2 - side / 2
    return np.column_stack([corner, corner + side, boxes[:, 4]])


def _moved(boxes: Boxes, move: npt.NDArray[np.float64]) -> Boxes:
    sizes = boxes[:, 2:4] - boxes[:, :2] + 1
    return np.column_stack([boxes[:, :4] + move * np.tile(sizes, 2), boxes[:, 4]])


def _crops(pixels: Tensor, boxes: Boxes, size: int) -> tuple[Tensor, list[int]]:
    """Return the boxes cut out and shrunk, (n, 3, size, size), and which they are: those that hold a pixel.

    Corners are cut to whole numbers and count from 1, as in the networks' first home, Matlab.
    """
    height, width = pixels.shape[2:]
    cut, there = [torch.empty((0, 3, size, size))], []
    for i, (left, top, right, bottom) in enumerate(np.trunc(boxes[:, :4]).astype(int).tolist()):
        part = pixels[:, :, max(top, 1) - 1 : max(min(bottom, height), 0), max(left, 1) - 1 : max(min(right, width), 0)]
        if part.numel():
            cut.append(nn.functional.interpolate(part, size=(size, size), mode="area"))
            there.append(i)
    return torch.cat(cut), there


def _without_overlaps(boxes: Boxes, most: float, *, of_the_smaller: bool = False) -> npt.NDArray[np.int64]:
    """Return the boxes, best score first, that overlap no better one by more than `most` of their union."""
    rest, kept = np.argsort(-boxes[:, 4], kind="stable"), []
    areas = (boxes[:, 2:4] - boxes[:, :2] + (1 if of_the_smaller else 0)).prod(axis=1)
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        shared = np.maximum(np.minimum(boxes[best, 2:4], boxes[rest, 2:4]) - low + (1 if of_the_smaller else 0), 0)
        inside = shared.prod(axis=1)
        whole = np.minimum(areas[best], areas[rest]) if of_the_smaller else areas[best] + areas[rest] - inside
        rest = rest[inside <= most * whole]
    return np.array(kept, dtype=np.int64)


def _load(folder: Path, min_face: int, factor: float, thresholds: tuple[float, float, float]) -> Mtcnn:
    return Mtcnn(folder, min_face=min_face, factor=factor, thresholds=thresholds)
