"""A tar of identity/image files, read in place."""

from __future__ import annotations

import logging
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from marginface.errors import InputError
from marginface.records.indexed import IndexedImages, is_image_name
from marginface.records.tar_index import Member, tar_members

logger = logging.getLogger(__name__)


class TarImages(IndexedImages):
    """The images of a tar in the order of their names, each read by one `pread`.

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
        located = f"tar:{path}" if root is None else f"tar:{path}?root={root}"
        images, loose = _images_below(tar_members(path), root)
        if not images:
            why = f"{loose} images belong to no folder" if loose else "there is no image in it"
            where = "" if root is None else f" below {root}"
            raise InputError(f"tar:{path}: {why}{where}; expected members named <identity>/<image>.")
        if loose:
            logger.warning("%s: passed over %d images that belong to no identity's folder", located, loose)
        keys = sorted(images)
        self._offsets = np.array([images[key].offset for key in keys], dtype=np.int64)
        self._sizes = np.array([images[key].size for key in keys], dtype=np.int64)
        self._tar_size = os.path.getsize(self.path)
        self._descriptor: int | None = None
        identity_of = [key.partition("/")[0] for key in keys]
        super().__init__(location=located, keys=keys, identity_of=identity_of, order=sorted(set(identity_of)))

    def _read(self, index: int) -> bytes:
        if self._descriptor is None:
            self._descriptor = self._open()
        size = int(self._sizes[index])
        data = os.pread(self._descriptor, size, int(self._offsets[index]))
        if len(data) != size:
            raise InputError(f"{self.location}: {self._keys[index]} is cut short; the file shrank after it was opened.")
        return data

    def _open(self) -> int:
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        weakref.finalize(self, os.close, descriptor)
        if os.fstat(descriptor).st_size != self._tar_size:
            raise InputError(f"{self.location} changed after it was opened; start again.")
        return descriptor

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptor": None}


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
