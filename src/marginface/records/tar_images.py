"""A tar of identity/image files, read in place."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from marginface.errors import InputError
from marginface.records.file_at import FileAt
from marginface.records.index_cache import Arrays, cached, stamp_of
from marginface.records.indexed import IndexedImages, is_image_name, numbered
from marginface.records.member_names import MAX_ORDER_BYTES, ORDER_FILE, Order, identities_of, read_order
from marginface.records.tar_index import Member, tar_members

logger = logging.getLogger(__name__)


class TarImages(IndexedImages):
    """The images of a tar, each read by one `pread`, in the order of their names unless the tar has an order file.

    Members that are not images, or are hidden, are passed over; where a name occurs twice, the later member counts, as
    it does for tar. Reading is safe from several threads and from forked workers; a pickle opens the file again.
    """

    def __init__(self, path: str | Path, *, root: str | None = None) -> None:
        """Read the headers.

        Args:
            path: an uncompressed tar.
            root: the folder inside the tar whose folders are the identities, where that is not the top.

        Raises:
            InputError: see `tar_members`; or there is no `<identity>/<image>` in it.
        """
        self.path = os.path.abspath(path)
        self._root = root
        located = f"tar:{path}" if root is None else f"tar:{path}?root={root}"
        self._file = FileAt(path, where=located)
        index = cached(f"tar {root}", self.path, stamp_of(self.path), lambda: self._index(path))
        if index["loose"][0]:
            logger.warning("%s: passed over %d images that belong to no identity's folder", located, index["loose"][0])
        self._offsets, self._sizes = index["offsets"], index["sizes"]
        super().__init__(location=located, index=index)

    def _index(self, path: str | Path) -> Arrays:
        members = tar_members(path)
        images, loose = _images_below(members, self._root)
        if not images:
            why = f"{loose} images belong to no folder" if loose else "there is no image in it"
            where = "" if self._root is None else f" below {self._root}"
            raise InputError(f"tar:{path}: {why}{where}; expected members named <identity>/<image>.")
        order = self._order(members, images)
        keys = order.names if order else sorted(images)
        return {
            **numbered(keys=keys, **identities_of(keys, order)),
            "offsets": np.array([images[key].offset for key in keys], dtype=np.int64),
            "sizes": np.array([images[key].size for key in keys], dtype=np.int64),
            "loose": np.array([loose]),
        }

    def _read(self, index: int) -> bytes:
        return self._file.read(int(self._offsets[index]), int(self._sizes[index]), self._keys[index])

    def _order(self, members: list[Member], images: dict[str, Member]) -> Order | None:
        name = ORDER_FILE if self._root is None else f"{self._root.strip('/')}/{ORDER_FILE}"
        found = [member for member in members if member.name.removeprefix("./") == name]
        if not found:
            return None
        size = min(found[-1].size, MAX_ORDER_BYTES + 1)
        return read_order(self._file.read(found[-1].offset, size, name), images, self._file.where)


def _images_below(members: list[Member], root: str | None) -> tuple[dict[str, Member], int]:
    """Return the image members by key, and how many images lie outside any identity's folder."""
    prefix = "" if root is None else root.strip("/") + "/"
    images: dict[str, Member] = {}
    loose = 0
    for member in members:
        name = member.name.removeprefix("./").lstrip("/")
        if not name.startswith(prefix):
            continue
        key = name[len(prefix) :]
        *folders, file_name = key.split("/")
        if not is_image_name(file_name) or any(folder.startswith(".") for folder in folders):
            continue
        if folders:
            images[key] = member
        else:
            loose += 1
    return images, loose
