"""Resumable checkpoints: written aside, renamed when whole, checked when read.

    checkpoints/step-00001200/
      *.distcp .metadata     tensors, by torch.distributed.checkpoint (any number of ranks may read them)
      manifest.json          step, and the size and checksum of each file above

A folder without a manifest is never mistaken for a checkpoint, so a process killed at any moment leaves the last whole
one in place.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from marginface.distributed import is_lost_rank, together
from marginface.errors import InputError, WorkError

logger = logging.getLogger(__name__)
_NAME = re.compile(r"step-(\d{8,})")


def save_checkpoint(state: dict[str, Any], folder: Path, *, step: int, is_first_rank: bool = True) -> Path:
    """Write `state` as the checkpoint of `step` and return its folder; all ranks call it together.

    Raises:
        WorkError: the disk refused (full, read-only); earlier checkpoints are untouched.
    """
    final = folder / f"step-{step:08d}"
    aside = folder / f".step-{step:08d}.writing"

    def make_room() -> None:
        if is_first_rank:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)

    def put_in_place() -> None:
        if is_first_rank:
            _write_manifest(aside, step)
            shutil.rmtree(final, ignore_errors=True)
            os.replace(aside, final)

    try:
        together(make_room)
        _write(state, aside)
        together(put_in_place)
    except (OSError, dcp.api.CheckpointException, RuntimeError) as error:
        if is_lost_rank(error):
            raise
        shutil.rmtree(aside, ignore_errors=True)
        last = latest_step(folder)
        kept = f"the checkpoint of step {last} is intact" if last is not None else "there is no earlier checkpoint"
        raise WorkError(
            f"{final}: the checkpoint of step {step} could not be written ({_reason(error)}); {kept}. "
            f"Make room and go on with --resume."
        ) from error
    return final


def load_checkpoint(state: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    """Return `state` with the checkpoint's values; tensors are filled in place, so shapes have to agree.

    Raises:
        InputError: a file is missing or damaged, or a tensor has another shape.
    """
    _check_manifest(checkpoint)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one process without a group is how we mean it
            dcp.load(  # type: ignore[attr-defined]
                state, checkpoint_id=checkpoint, no_dist=not dist.is_initialized()
            )
    except (dcp.api.CheckpointException, RuntimeError, ValueError, KeyError) as error:
        if is_lost_rank(error):
            raise
        raise InputError(
            f"{checkpoint}: this checkpoint is of another model or head ({_reason(error)}); resume with the recipe "
            f"it was made with."
        ) from error
    return state


def list_steps(folder: Path) -> list[int]:
    """Return the steps that have a whole checkpoint, ascending."""
    found = [
        int(match[1])
        for p in folder.glob("step-*")
        if (match := _NAME.fullmatch(p.name)) and (p / "manifest.json").exists()
    ]
    return sorted(found)


def latest_step(folder: Path) -> int | None:
    """Return the newest step that has a checkpoint, or None."""
    return max(list_steps(folder), default=None)


def path_of(folder: Path, step: int) -> Path:
    """Return where the checkpoint of `step` lies."""
    return folder / f"step-{step:08d}"


def remove_old(folder: Path, *, keep: int, spare: set[int]) -> None:
    """Remove all but the newest `keep` checkpoints and those of the steps in `spare`, and what a killed run left."""
    for step in list_steps(folder)[:-keep]:
        if step not in spare:
            shutil.rmtree(path_of(folder, step), ignore_errors=True)
    for leftover in folder.glob(".step-*.writing"):
        shutil.rmtree(leftover, ignore_errors=True)


def _write(state: dict[str, Any], folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(  # type: ignore[attr-defined]
            state, checkpoint_id=folder, no_dist=not dist.is_initialized()
        )


def _write_manifest(folder: Path, step: int) -> None:
    files = {p.name: {"bytes": p.stat().st_size, "sha256": _sha256(p)} for p in sorted(folder.iterdir())}
    path = folder / "manifest.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"step": step, "files": files}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())


def _check_manifest(checkpoint: Path) -> None:
    advice = _advice(checkpoint)
    try:
        files = json.loads((checkpoint / "manifest.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{checkpoint}: this checkpoint has no readable manifest.json; {advice}") from error
    for name, expected in files.items():
        path = checkpoint / name
        if not path.is_file():
            raise InputError(f"{path}: this file of the checkpoint is missing; {advice}")
        if path.stat().st_size != expected["bytes"] or _sha256(path) != expected["sha256"]:
            raise InputError(f"{path}: this file of the checkpoint is damaged (its checksum differs); {advice}")


def _advice(checkpoint: Path) -> str:
    earlier = [s for s in list_steps(checkpoint.parent) if path_of(checkpoint.parent, s) != checkpoint]
    if earlier:
        return f"delete the folder {checkpoint} and --resume goes on from step {max(earlier)}."
    return "there is no other checkpoint in this run, so it has to be started anew."


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    """Return the innermost cause in one line; torch wraps what happened in a report of every rank's traceback."""
    if isinstance(error, dcp.api.CheckpointException) and error.failures:
        first = next(iter(error.failures.values()))
        error = first[0] if isinstance(first, tuple) else first
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
