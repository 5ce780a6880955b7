"""AdaFace's verification sets: `<set>/memfile/mem_file.dat` with its `.conf`, and `<set>_list.npy` beside the folder.

The data file is a raw array (2P, 3, H, W) of float32 in [-1, 1], colours in the order BGR; the conf is JSON with shape
and dtype; the list is (P,) bool. They come out as (H, W, 3) uint8 RGB: the pixels were uint8 before they were scaled by
(x / 255 - 0.5) / 0.5, so nothing is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.image_pairs import PairedImages, checked_is_mated

_MAX_SIDE = 4096
_MAX_CONF_BYTES = 65_536


class ScaledImages(Sequence[npt.NDArray[np.uint8]]):
    """Images of a raw float array, each read and turned into (H, W, 3) uint8 RGB when asked for."""

    def __init__(self, path: str, shape: tuple[int, ...], dtype: str, where: str) -> None:
        """Keep where they lie.

        Args:
            path: of the raw array.
            shape: (N, 3, H, W).
            dtype: "float32" or "float64".
            where: what to call the file in messages.
        """
        self._path, self._shape, self._dtype, self._where = path, shape, np.dtype(dtype), where

    def __len__(self) -> int:
        return self._shape[0]

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> list[npt.NDArray[np.uint8]]: ...
    def __getitem__(self, index: int | slice) -> npt.NDArray[np.uint8] | list[npt.NDArray[np.uint8]]:
        """Return an image.

        Raises:
            InputError: the file is shorter by now, or holds something else than numbers in [-1, 1].
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self._where} has {len(self)} images, there is no number {index}")
        count = int(np.prod(self._shape[1:]))
        with open(self._path, "rb") as file:
            stored = np.fromfile(file, self._dtype, count, offset=index % len(self) * count * self._dtype.itemsize)
        if stored.size != count:
            raise InputError(f"{self._where}: image {index} is cut short; the file shrank after it was opened.")
        if not (np.abs(stored) <= 1.01).all():
            raise InputError(
                f"{self._where}: image {index} has values outside [-1, 1]; it is damaged or not AdaFace's."
            )
        pixels = np.clip(np.rint((stored * 0.5 + 0.5) * 255), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels.reshape(self._shape[1:])[::-1].transpose(1, 2, 0))  # BGR planes to RGB


def read_memfile_pairs(folder: str | Path) -> tuple[Sequence[npt.NDArray[np.uint8]], npt.NDArray[np.bool_]]:
    """Return the 2P images of a set, (H, W, 3) uint8 RGB, read when asked for, and (P,) whether 2i and 2i + 1 are
    mated.

    Args:
        folder: `<set>` (with `<set>_list.npy` beside it or in it), its `memfile`, or the data file.

    Raises:
        InputError: a file of it is missing or damaged, or they do not fit together.
    """
    data_path, list_path = _places(Path(folder))
    where = f"memfile:{folder}"
    shape, dtype = _conf(data_path, where)
    itemsize = np.dtype(dtype).itemsize
    expected = itemsize * int(np.prod(shape, dtype=object))
    size = os.path.getsize(data_path)
    if size != expected:
        raise InputError(f"{where}: {data_path} has {size:,} bytes, its conf tells of {expected:,}; copy it again.")
    try:
        flags = np.load(list_path, mmap_mode="r", allow_pickle=False)  # mapped: a false size takes no memory
    except Exception as error:  # numpy's parser of the header lets through whatever Python's tokenizer raises
        raise InputError(f"{where}: {list_path} cannot be read as a list of true and false ({error}).") from error
    is_mated = checked_is_mated(np.array(flags), shape[0], str(list_path))
    return ScaledImages(str(data_path), shape, dtype, where), is_mated


class MemfilePairs(PairedImages):
    """The images of one of AdaFace's verification sets, decoded, with its `pairs`."""

    def __init__(self, folder: str | Path) -> None:
        """Open the set; see `read_memfile_pairs`."""
        images, is_mated = read_memfile_pairs(folder)
        super().__init__(location=f"memfile:{folder}", images=images, is_mated=is_mated)


def is_memfile(folder: str | Path) -> bool:
    """Return whether a folder is such a set."""
    return os.path.isfile(os.path.join(folder, "memfile", "mem_file.dat"))


def _places(folder: Path) -> tuple[Path, Path]:
    """Return the paths of the data file and of the list."""
    if folder.is_file():
        folder = folder.parent
    data = folder / "memfile" / "mem_file.dat" if is_memfile(folder) else folder / "mem_file.dat"
    if not data.is_file():
        raise InputError(f"memfile:{folder} has no memfile/mem_file.dat; give the folder of one set, such as DATA/lfw.")
    home = data.parent.parent if data.parent.name == "memfile" else data.parent
    choices = [home.with_name(f"{home.name}_list.npy"), home / f"{home.name}_list.npy"]
    for path in choices:
        if path.is_file():
            return data, path
    raise InputError(f"memfile:{folder}: {choices[0]}, which says which pairs are mated, is missing.")


def _conf(data_path: Path, where: str) -> tuple[tuple[int, ...], str]:
    """Return the shape (N, 3, H, W) and the dtype that the conf tells."""
    places = [data_path.with_name(f"{data_path.name}.conf"), data_path.with_suffix(".conf")]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(f"{where}: {places[0]} is missing; it tells the shape of the data file.")
    try:
        with open(path, "rb") as file:
            words: Any = json.loads(file.read(_MAX_CONF_BYTES))
        shape, dtype = tuple(words["shape"]), str(words["dtype"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: expected JSON with shape and dtype ({error}).") from error
    fits = len(shape) == 4 and all(type(side) is int and side > 0 for side in shape)
    if not fits or shape[1] != 3 or max(shape[2:]) > _MAX_SIDE or dtype not in ("float32", "float64"):
        raise InputError(f"{path}: expected the shape (N, 3, H, W) of float32, got {shape} of {dtype[:40]}.")
    return shape, dtype
