"""Images into a tar of `identity/image.jpg` members, which `tar:` reads in place."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from marginface.errors import WorkError


def write_tar(members: Iterable[tuple[str, bytes]], path: str | Path) -> int:
    """Write a tar and return how many members it has.

    The same members make the same bytes: plain USTAR headers (pax ones for names that these cannot hold) with no time,
    owner or mode of this machine. It is written
    aside and renamed, so that a file of that name is always whole.

    Args:
        members: (key, encoded image), in the order in which they shall stand.
        path: the tar; its folder is made.

    Raises:
        WorkError: the file could not be written.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(aside, "w", format=tarfile.PAX_FORMAT) as tar:
            for key, data in members:
                member = tarfile.TarInfo(key)
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
                count += 1
        aside.replace(path)
    except OSError as error:
        raise WorkError(f"{path}: could not be written ({error.strerror or error}).") from error
    finally:
        with contextlib.suppress(OSError):  # nothing to clear away where not even the folder could be made
            aside.unlink()
    return count
