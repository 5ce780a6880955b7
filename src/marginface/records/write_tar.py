"""Images into a tar of `identity/image.jpg` members, which `tar:` reads in place."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path

from marginface.records.image_bytes import encoded
from marginface.records.member_names import ORDER_FILE, MemberNames
from marginface.records.record import RecordSource
from marginface.records.unfinished import unfinished
from marginface.records.write_aside import Progress, new_file, no_progress


def write_tar_of(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write a tar of `<identity>/<image>` members, named as by `write_folder`, and return how many images.

    After an interruption the same call goes on, see `unfinished`.

    Raises:
        InputError: `path` exists, or a record cannot be read.
        WorkError: it cannot be written.
    """
    names = MemberNames(records.identities)
    with unfinished(path, records, written_as="tar") as work:
        listed = work.folder / "names"
        tar, lines = work.grow(work.target, listed)
        names.take_up(listed.read_bytes(), records.labels[: work.done])
        for index in range(work.done, len(records)):
            record = records[index]
            image = encoded(record.image)
            name = names.next(record, image)
            tar.write(member_bytes(name, image))
            lines.write(names.line(name))
            work.mark(index + 1)
            progress(index + 1, len(records))
        if names.needs_order_file():
            tar.write(member_bytes(ORDER_FILE, names.order_file()))
        tar.write(end_of_tar(tar.tell()))
    return len(records)


def write_tar(members: Iterable[tuple[str, bytes]], path: str | Path) -> int:
    """Write a tar and return how many members it has.

    The same members make the same bytes. It is written aside and renamed, so that a file of that name is always whole.

    Args:
        members: (key, encoded image), in the order in which they shall stand.
        path: the tar; its folder is made.

    Raises:
        WorkError: the file could not be written.
    """
    count = 0
    with new_file(Path(path)) as aside, open(aside, "wb") as tar:
        for key, data in members:
            tar.write(member_bytes(key, data))
            count += 1
        tar.write(end_of_tar(tar.tell()))
    return count


def member_bytes(key: str, data: bytes) -> bytes:
    """Return a file as a tar holds it: a plain USTAR header with no time, owner or mode of this machine, and the data.

    Names that USTAR cannot hold get a pax header before it.
    """
    member = tarfile.TarInfo(key)
    member.size, member.mode = len(data), 0o644
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def end_of_tar(size: int) -> bytes:
    """Return what ends a tar of `size` bytes: two empty blocks, and more up to a whole record of twenty."""
    end = 2 * tarfile.BLOCKSIZE
    return bytes(end + -(size + end) % tarfile.RECORDSIZE)
