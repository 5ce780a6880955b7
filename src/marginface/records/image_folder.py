"""root/<identity>/<image>: the commonest way in which people keep faces."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from marginface.errors import InputError
from marginface.records.indexed import IndexedImages, is_image_name
from marginface.records.member_names import ORDER_FILE, Order, identities_of, read_order

logger = logging.getLogger(__name__)


class ImageFolder(IndexedImages):
    """A folder of one folder for each identity, each with images, possibly in further folders.

    Identities and keys are sorted by name, unless the folder has an order file (`member_names`). Hidden files and
    files that are not images are passed over.
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
            keys = sorted(_image_keys(self.root, ""))
        except OSError as error:
            raise InputError(f"folder:{root} cannot be listed ({error}).") from error
        loose = sum("/" not in key for key in keys)
        keys = [key for key in keys if "/" in key]
        if not keys:
            why = f"{loose} images lie directly in it" if loose else "there is no image in it"
            raise InputError(f"folder:{root}: {why}; expected FOLDER/<identity>/<image>.")
        if loose:
            logger.warning("folder:%s: passed over %d images that belong to no identity's folder", root, loose)
        order = self._order(keys, f"folder:{root}")
        keys = order.names if order else keys
        super().__init__(location=f"folder:{root}", keys=keys, **identities_of(keys, order))

    def _order(self, found: list[str], where: str) -> Order | None:
        try:
            with open(os.path.join(self.root, ORDER_FILE), "rb") as file:
                return read_order(file.read(), found, where)
        except FileNotFoundError:
            return None

    def _read(self, index: int) -> bytes:
        with open(f"{self.root}/{self._keys[index]}", "rb", buffering=0) as file:
            return file.read()


def _image_keys(folder: str, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _image_keys(entry.path, f"{prefix}{entry.name}/")
            elif is_image_name(entry.name):
                yield prefix + entry.name
