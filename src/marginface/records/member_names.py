"""Records as files `<identity>/<image>`: what each is called, and the order file that keeps what names cannot say.

Folders and tars are read by name: identities and images come out sorted. Where that would change the order or the
labels, or lose people without images, the writer adds `.order.json`, and the readers obey it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.image_bytes import suffix_of
from marginface.records.indexed import is_image_name
from marginface.records.record import Record

ORDER_FILE = ".order.json"
_FORMAT = "marginface order 1"
MAX_ORDER_BYTES = 2**29
"""About eight million names; reading them takes ten times that at most."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]|^\.|[. ]$|^$")
_MAX_NAME_BYTES = 200


class Order(NamedTuple):
    """What `.order.json` keeps."""

    identities: list[str]
    """(C,) names; the label is the position."""
    names: list[str]
    """(N,) `<identity>/<image>` as the files are called, in the records' order."""
    labels: list[int]
    """(N,) 0..C-1."""


class MemberNames:
    """Gives each record of a source a file name of its own, and knows whether reading by name gives them back."""

    def __init__(self, identities: Sequence[str]) -> None:
        self.order = Order(list(identities), [], [])
        self._folders = [_safe(name) for name in identities]
        self._taken: set[str] = set()

    def take_up(self, lines: bytes, labels: npt.NDArray[np.int64]) -> None:
        """Go on behind the records that an interrupted run has written.

        Args:
            lines: the file of their names, see `line`.
            labels: of these records.

        Raises:
            InputError: the lines are not about as many records.
        """
        names = [line.rpartition("\t")[2] for line in lines.decode("utf-8", "surrogateescape").split("\n")[:-1]]
        if len(names) != len(labels):
            raise InputError(
                f"what an interrupted run left behind has {len(names)} names for {len(labels)} images; delete its"
                " hidden folder, .NAME.partial."
            )
        self.order.names.extend(names)
        self.order.labels.extend(labels.tolist())
        self._taken.update(names)

    @staticmethod
    def line(name: str) -> bytes:
        """Return a line of the file of names; `_safe` has left no line end in a name."""
        return f"{name}\n".encode("utf-8", "surrogateescape")

    def next(self, record: Record, image: bytes) -> str:
        """Return the name of the next record, whose encoded bytes are `image`: its key, wherever that is a safe one."""
        folder = self._folders[record.label]
        identity = self.order.identities[record.label]
        rest = record.key.removeprefix(f"{identity}/").strip("/") or "image"
        name = "/".join([folder, *(_safe(part) for part in rest.split("/"))])
        suffix = suffix_of(image)
        if is_image_name(name.rpartition("/")[2]):
            name, _, last = name.rpartition(".")
            suffix = f".{last}"
        number, unique = 1, name + suffix
        while unique in self._taken:
            number += 1
            unique = f"{name}~{number}{suffix}"
        self._taken.add(unique)
        self.order.names.append(unique)
        self.order.labels.append(record.label)
        return unique

    def needs_order_file(self) -> bool:
        """Return whether reading by name would give other labels or another order."""
        identities, names, labels = self.order
        read_identities = sorted({name.partition("/")[0] for name in names})
        return (
            identities != read_identities
            or names != sorted(names)
            or any(identities[label] != name.partition("/")[0] for name, label in zip(names, labels, strict=True))
        )

    def order_file(self) -> bytes:
        """Return the content of `.order.json`."""
        return json.dumps({"format": _FORMAT, **self.order._asdict()}).encode()


def read_order(data: bytes, found: Iterable[str], where: str) -> Order:
    """Return what an order file says.

    Args:
        data: its content.
        found: the images that are there.
        where: what to name in a message.

    Raises:
        InputError: damaged, or not about these images.
    """
    try:
        if len(data) > MAX_ORDER_BYTES:
            raise ValueError("it is too large")
        words: dict[str, Any] = json.loads(data)
        order = Order(words["identities"], words["names"], words["labels"])
        if words["format"] != _FORMAT or len(order.names) != len(order.labels):
            raise ValueError("it is of another kind")
        if not all(isinstance(name, str) for name in [*order.identities, *order.names]):
            raise ValueError("a name is no text")
        "".join([*order.identities, *order.names]).encode("utf-8", "surrogateescape")  # a lone surrogate is no text
        if len(set(order.identities)) != len(order.identities) or len(set(order.names)) != len(order.names):
            raise ValueError("a name occurs twice")
        if not all(type(label) is int and 0 <= label < len(order.identities) for label in order.labels):
            raise ValueError("a label is out of range")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{where}: its {ORDER_FILE} is damaged ({error}); without it, images are read by name."
        ) from None
    different = set(order.names).symmetric_difference(found)
    if different:
        raise InputError(
            f"{where}: {len(different)} images, first {min(different)}, are either new or gone since its"
            f" {ORDER_FILE} was written; delete that file to read the images by name."
        )
    return order


def identities_of(keys: Sequence[str], order: Order | None) -> dict[str, list[str]]:
    """Return the identity of each key and all identities in their order, as `IndexedImages` takes them."""
    if order is not None:
        return {"identity_of": [order.identities[label] for label in order.labels], "order": order.identities}
    identity_of = [key.partition("/")[0] for key in keys]
    return {"identity_of": identity_of, "order": sorted(set(identity_of))}


def _safe(name: str) -> str:
    """Return a name that is one visible file or folder on any system: unsafe characters as %XX."""
    safe = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()) or "%", name)
    stored = safe.encode("utf-8", "surrogateescape")
    return safe if len(stored) <= _MAX_NAME_BYTES else stored[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
