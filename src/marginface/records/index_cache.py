"""Arrays that took long to make, kept for the next time and mapped from disk: parsed indices, gathered labels.

They lie in `$MARGINFACE_CACHE`, or `$XDG_CACHE_HOME/marginface`, or `~/.cache/marginface`; deleting that folder costs
time and nothing else. An entry holds the stamp of what it was made from (path, size, time of the last change), and is
made again when that differs. It holds numbers only, so a damaged or foreign one cannot run anything.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

logger = logging.getLogger(__name__)

_FORMAT = "marginface index 1"
WORTH_BYTES = 4 * 2**20
"""Smaller entries are not kept, unless they took long."""
WORTH_SECONDS = 1.0

Arrays = dict[str, npt.NDArray]


def cache_folder() -> Path:
    """Return where entries are kept."""
    if chosen := os.environ.get("MARGINFACE_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "marginface"


def stamp_of(path: str | Path) -> str:
    """Return what changes when a file does: its path, number, size and time of the last change."""
    status = os.stat(path)
    return f"{os.path.abspath(path)} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def cached(
    kind: str,
    place: str | Path,
    stamp: str,
    make: Callable[[], Arrays],
    *,
    holds: Callable[[Arrays], bool] = lambda arrays: True,
    may_keep: Callable[[Arrays], bool] = lambda arrays: True,
) -> Arrays:
    """Return the arrays that `make` gives, read-only, from the cache where they were made before.

    Args:
        kind: what they are; part of the entry's name.
        place: path of what they are about; an entry of the same kind and place is replaced.
        stamp: of what they are made from.
        make: makes them; what it raises goes through.
        holds: whether kept ones are still right, where a stamp cannot tell.
        may_keep: whether new ones can be kept.
    """
    entry = cache_folder() / hashlib.sha256(f"{kind} {os.path.abspath(place)}".encode()).hexdigest()[:32]
    arrays = _load(entry, stamp)
    if arrays is None or not holds(arrays):
        began = time.monotonic()
        arrays = make()
        num_bytes = sum(array.nbytes for array in arrays.values())
        worth = num_bytes >= WORTH_BYTES or time.monotonic() - began >= WORTH_SECONDS
        if worth and may_keep(arrays):
            arrays = _keep(entry, stamp, arrays)
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _load(entry: Path, stamp: str) -> Arrays | None:
    try:
        about = json.loads((entry / "about.json").read_text(encoding="utf-8"))
        if about["format"] != _FORMAT or about["stamp"] != stamp:
            return None
        arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in about["arrays"]}
        fits = all([array.dtype.str, list(array.shape)] == about["arrays"][name] for name, array in arrays.items())
        return arrays if fits else None
    except Exception:  # numpy's parser of headers lets through whatever Python's tokenizer raises
        return None  # absent, half-written by an older version, or damaged: made again


def _keep(entry: Path, stamp: str, arrays: Arrays) -> Arrays:
    """Write an entry aside and rename it; return it mapped, so that the memory it took is free again."""
    aside = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=entry.parent))
        for name, array in arrays.items():
            np.save(aside / f"{name}.npy", array, allow_pickle=False)
        about = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
        words = json.dumps({"format": _FORMAT, "stamp": stamp, "arrays": about})
        (aside / "about.json").write_text(words, encoding="utf-8")
        shutil.rmtree(entry, ignore_errors=True)
        os.rename(aside, entry)
    except OSError as error:  # another process was quicker, the disk is full, no home: only time is lost
        logger.info("the index was not kept in %s (%s)", entry, error)
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
    kept = _load(entry, stamp)
    return arrays if kept is None else kept
