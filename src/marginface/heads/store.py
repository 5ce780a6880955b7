"""A head at rest: a folder with its weights and its settings.

head.safetensors   centres, running statistics, the state of its own update
head.json          settings, number of classes, names of the identities
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from marginface.config import dump, load
from marginface.errors import InputError
from marginface.heads import HEADS, HeadConfig
from marginface.heads.margin_head import MarginHead


@dataclasses.dataclass(frozen=True)
class StoredHead:
    """What `load_head` gives back."""

    head: MarginHead
    settings: HeadConfig
    identities: tuple[str, ...]


def save_head(head: MarginHead, settings: HeadConfig, folder: str | Path, *, identities: Sequence[str]) -> Path:
    """Write a head into `folder` and return it.

    Sharded, all ranks call it; the first one writes, and has room for all centres.

    Args:
        head: built from `settings`.
        settings: of the head.
        folder: made if it is not there; files of an earlier head are overwritten.
        identities: names of the classes, in their order.

    Raises:
        InputError: not as many names as classes.
    """
    if len(identities) != head.num_classes:
        raise InputError(f"{len(identities)} names for {head.num_classes} classes; give the records' identities.")
    tensors = {}
    for name, tensor in head.state_dict().items():
        whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
        tensors[name] = whole.detach().cpu().contiguous()
    folder = Path(folder)
    if head.shard.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "head.safetensors")
        about = {"settings": dump(settings), "embedding_dim": head.embedding_dim, "identities": list(identities)}
        (folder / "head.json").write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
    return folder


def load_head(folder: str | Path) -> StoredHead:
    """Return the head that `save_head` wrote, whole, on one process; without the state of its own update.

    Raises:
        InputError: files that are missing, damaged or do not belong together.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "head.safetensors")
        kind, identities = about["settings"]["kind"], tuple(about["identities"])
        settings: HeadConfig = load(HEADS[kind], about["settings"])
        head = settings.build(num_classes=len(identities), embedding_dim=about["embedding_dim"])
        head.load_state_dict({name: t for name, t in tensors.items() if not name.startswith("update.")})
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: this is no whole head ({error}); write it again with save_head.") from error
    if not torch.isfinite(head.class_centres).all():
        raise InputError(f"{folder}: its centres are not all finite; take an earlier one.")
    assert isinstance(head, MarginHead)
    return StoredHead(head, settings, identities)
