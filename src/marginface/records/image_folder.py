"""root/<identity>/<image>: the commonest way in which people keep faces."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from marginface.errors import InputError
from marginface.records.file_at import whole_file
from marginface.records.index_cache import Arrays, cached
from marginface.records.indexed import IndexedImages, is_image_name, numbered
from marginface.records.member_names import MAX_ORDER_BYTES, ORDER_FILE, Order, identities_of, read_order
from marginface.records.name_arrays import ArrayNames, name_arrays

logger = logging.getLogger(__name__)

_TICK_NS = 2_000_000_000
"""FAT keeps times to two seconds; others are finer."""


class ImageFolder(IndexedImages):
    """A folder of one folder for each identity, each with images, possibly in further folders.

    Identities and keys are sorted by name, unless the folder has an order file (`member_names`). Hidden files and
    files that are not images are passed over. The listing of a large folder is kept (`index_cache`); it is used again
    when no folder in it has changed since, which costs a look at each folder instead of at each file.
    """

    def __init__(self, root: str | Path) -> None:
        """List the folder.

        Raises:
            InputError: no such folder, one that cannot be read, or no image in it.
        """
        self.root = os.path.abspath(root)
        if not os.path.isdir(self.root):
            what = "is not a folder" if os.path.exists(self.root) else "does not exist"
            raise InputError(f"folder:{root} {what}; expected FOLDER/<identity>/<image>.")
        try:
            index = cached("folder", self.root, "", self._index, holds=self._unchanged, may_keep=_settled)
        except OSError as error:
            raise InputError(f"folder:{root} cannot be listed ({error}).") from error
        loose, num = int(index["loose"][0]), len(index["labels"])
        if not num:
            why = f"{loose} images lie directly in it" if loose else "there is no image in it"
            raise InputError(f"folder:{root}: {why}; expected FOLDER/<identity>/<image>.")
        if loose:
            logger.warning("folder:%s: passed over %d images that belong to no identity's folder", root, loose)
        super().__init__(location=f"folder:{root}", index=index)

    def _index(self) -> Arrays:
        began = time.time_ns()
        folders: dict[str, int] = {}
        found = sorted(_image_keys(self.root, "", folders))
        keys = [key for key in found if "/" in key]
        order = self._order(keys)
        names = order.names if order else keys
        ends, text = name_arrays(list(folders))
        return {
            **numbered(keys=names, **identities_of(names, order)),
            "folder_ends": ends,
            "folder_text": text,
            "folder_times": np.fromiter(folders.values(), np.int64, count=len(folders)),
            "order_time": np.array([self._order_time()]),
            "loose": np.array([len(found) - len(keys)]),
            "began": np.array([began]),
        }

    def _unchanged(self, index: Arrays) -> bool:
        """Return whether every folder is as old as it was: adding, removing or renaming a file makes it younger."""
        folders = ArrayNames(index["folder_ends"], index["folder_text"])
        try:
            same = all(
                os.stat(os.path.join(self.root, folder)).st_mtime_ns == time_ns
                for folder, time_ns in zip(folders, index["folder_times"].tolist(), strict=True)
            )
        except OSError:
            return False
        return same and self._order_time() == index["order_time"][0]

    def _order_time(self) -> int:
        try:
            return os.stat(os.path.join(self.root, ORDER_FILE)).st_mtime_ns
        except FileNotFoundError:
            return 0

    def _order(self, found: list[str]) -> Order | None:
        try:
            with open(os.path.join(self.root, ORDER_FILE), "rb") as file:
                return read_order(file.read(MAX_ORDER_BYTES + 1), found, f"folder:{self.root}")
        except FileNotFoundError:
            return None

    def _read(self, index: int) -> bytes:
        return whole_file(f"{self.root}/{self._keys[index]}")


def _image_keys(folder: str, prefix: str, folders: dict[str, int]) -> Iterator[str]:
    """Yield the images of a folder and those below it, and note each folder's time of change, nanoseconds."""
    folders[prefix] = os.stat(folder).st_mtime_ns  # before it is listed: a file that comes meanwhile makes it younger
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _image_keys(entry.path, f"{prefix}{entry.name}/", folders)
            elif is_image_name(entry.name):
                yield prefix + entry.name


def _settled(index: Arrays) -> bool:
    """Return whether no folder changed shortly before it was listed.

    Times of change are coarse on some file systems: a file that came in the same tick as the listing would not be seen.
    """
    youngest = max(int(index["folder_times"].max()), int(index["order_time"][0]))
    return youngest < int(index["began"][0]) - _TICK_NS
