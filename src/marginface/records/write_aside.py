"""New files and folders appear whole or not at all: written aside and renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
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
def new_folder(path: Path, *, keep_partial: bool = False) -> Iterator[Path]:
    """Yield a hidden folder beside `path`, which gets its name when the block ends well.

    Args:
        path: the folder to make; its parents are made.
        keep_partial: leave the hidden folder behind when the block fails, and take up the one of an earlier failure.

    Raises:
        InputError: `path` exists.
        WorkError: it cannot be written.
    """
    refuse_existing(path)
    aside = path.with_name(f".{path.name}.partial")
    try:
        if not keep_partial:
            shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.rename(path)
    except OSError as error:
        raise WorkError(f"{path}: could not be written ({error.strerror or error}).") from error
    finally:
        if not keep_partial:
            shutil.rmtree(aside, ignore_errors=True)
