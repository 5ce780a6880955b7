"""Images into a tar of `identity/image.jpg` members, which `tar:` reads in place."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from marginface.records.write_aside import new_file


def write_tar(members: Iterable[tuple[str, bytes]], path: str | Path) -> int:
    """Write a tar and return how many members it has.

    The same members make the same bytes: plain USTAR headers (pax ones for names that these cannot hold) with no time,
    owner or mode of this machine. It is written aside and renamed, so that a file of that name is always whole.

    Args:
        members: (key, encoded image), in the order in which they shall stand.
        path: the tar; its folder is made.

    Raises:
        WorkError: the file could not be written.
    """
    count = 0
    with new_file(Path(path)) as aside, tarfile.open(aside, "w", format=tarfile.PAX_FORMAT) as tar:
        for key, data in members:
            member = tarfile.TarInfo(key)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
            count += 1
    return count
