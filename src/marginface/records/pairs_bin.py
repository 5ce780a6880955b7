"""insightface's `.bin` verification packs: a pickle of (list of encoded images, list of bool).

A pickle can run any code, so it goes through `restricted_pickle`. `convert` a pack once (`WRITERS` in `write.py`) and
keep the safe file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.image_pairs import PairedImages, checked_is_mated
from marginface.records.restricted_pickle import load_restricted

MAX_BYTES = 8 * 2**30
"""A pack is read whole: LFW's has 65 MB, the largest in use (IJB in 1:1 form) a few GB."""


def read_pairs_bin(path: str | Path) -> tuple[list[bytes], npt.NDArray[np.bool_]]:
    """Return the 2P encoded images of a pack, and (P,) whether images 2i and 2i + 1 show one person.

    Takes memory of twice the file's size and 0.5 GB at most.

    Raises:
        InputError: no such file, a pickle that holds or wants anything else than images and marks, or a damaged one;
            the message names the file and the image.
    """
    where = f"bin:{path}"
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise InputError(f"{where} has {os.path.getsize(path):,} bytes; packs up to {MAX_BYTES:,} are read.")
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{where} does not exist.") from error
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error}).") from error
    pack = load_restricted(data, name=where)
    if not isinstance(pack, tuple | list) or len(pack) != 2 or not isinstance(pack[0], list | tuple):
        raise InputError(f"{where} is no verification pack; expected (list of images, list of true and false).")
    is_mated = checked_is_mated(pack[1], len(pack[0]), where)
    seen: dict[int, bytes] = {}  # an array that occurs many times is copied once
    images = [_encoded(image, seen, f"{where}, image {i}") for i, image in enumerate(pack[0])]
    return images, is_mated


def _encoded(image: Any, seen: dict[int, bytes], where: str) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size == max(image.shape, default=0):
        if id(image) not in seen:
            seen[id(image)] = image.tobytes()  # (n,) or (n, 1), as mxnet's arrays of a file's bytes are
        return seen[id(image)]
    what = f"an array {image.shape} {image.dtype}" if isinstance(image, np.ndarray) else f"a {type(image).__name__}"
    raise InputError(f"{where} is {what}; expected an encoded image.")


class PairsBin(PairedImages):
    """The images of a `.bin` pack, held in memory, with its `pairs`."""

    def __init__(self, path: str | Path) -> None:
        """Read the pack; see `read_pairs_bin`."""
        images, is_mated = read_pairs_bin(path)
        super().__init__(location=f"bin:{path}", images=images, is_mated=is_mated)
