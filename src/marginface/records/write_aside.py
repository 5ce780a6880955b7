"""New files appear whole or not at all: written aside and renamed. What takes long is `unfinished`'s."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from marginface.errors import InputError, WorkError

Progress = Callable[[int, int], None]
"""Called with (how many records are done, how many there are)."""


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


def refuse_existing(path: Path) -> None:
    """Refuse to write over something.

    Raises:
        InputError: `path` exists.
    """
    if os.path.lexists(path):
        raise InputError(f"{path} exists already; nothing was written. Choose another name, or delete it first.")


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside `path`, which gets its name when the block ends well, and is removed when it does not.

    Args:
        path: of the file; its folder is made, a file of that name is replaced.

    Raises:
        WorkError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(path)
    except OSError as error:
        raise WorkError(f"{path}: could not be written ({error.strerror or error}).") from error
    finally:
        with contextlib.suppress(OSError):  # nothing to clear away where not even the folder could be made
            aside.unlink()


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file, which ends with the process, however that ends; on Windows there is none.

    Raises:
        BlockingIOError: another process holds it, and `wait` is False.
    """
    with open(path, "ab") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
