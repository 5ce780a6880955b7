"""Embeddings on disk: what protocols, quality, curation and search speak. Embed once, evaluate many times."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError

_FORMAT = "marginface embedding table 1"
_ARRAYS = ("vectors", "norms", "labels")
_COLUMN_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_WORDS = ("keys", "identities", "fingerprint", "meta")


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """N embeddings with the names of their images and people."""

    vectors: npt.NDArray[np.float32]
    """(N, D) as the model gave them, not normalised."""
    norms: npt.NDArray[np.float32]
    """(N,) their lengths."""
    keys: tuple[str, ...]
    """(N,) unique names of the images."""
    labels: npt.NDArray[np.int64]
    """(N,) 0..C-1."""
    identities: tuple[str, ...]
    """(C,) names; the label is the position."""
    fingerprint: str
    """Of the model that made it: vectors of two models cannot be compared."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """How it was made: source, flip policy, counts of broken images. JSON values."""
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """What else is known of each row: (N,) numbers or text, by a name such as "quality", "template" or "media"."""

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together.

        Raises:
            InputError: a label out of range, a key that occurs twice, a vector that is not finite.
            ValueError: lengths or shapes that differ, a column of Python objects or of a name that is no word.
        """
        num = len(self.keys)
        if (
            self.vectors.ndim != 2
            or len(self.vectors) != num
            or self.norms.shape != (num,)
            or self.labels.shape != (num,)
        ):
            shapes = f"{self.vectors.shape}, {self.norms.shape}, {self.labels.shape}"
            raise ValueError(f"vectors (N, D), norms (N,) and labels (N,) of {num} keys have shapes {shapes}")
        if self.vectors.dtype != np.float32 or self.norms.dtype != np.float32 or self.labels.dtype != np.int64:
            raise ValueError("vectors and norms are float32, labels are int64")
        for name, column in self.columns.items():
            if not _COLUMN_NAME.fullmatch(name):
                raise ValueError(f"column name {name!r} is not a word of letters, digits and _")
            if column.shape != (num,) or column.dtype.kind not in "biufU":
                raise ValueError(f"column {name} is {column.dtype} {column.shape}; give ({num},) numbers or text")
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.identities)))
        if outside.size:
            i = int(outside[0])
            raise InputError(
                f"label {self.labels[i]} of {self.keys[i]} is outside 0..{len(self.identities) - 1};"
                " is this the identity table that the labels were numbered with?"
            )
        if len(set(self.keys)) != num:
            raise InputError(f"{num - len(set(self.keys))} of {num} keys occur twice; keys name one image each.")
        broken = np.flatnonzero(~np.isfinite(self.norms))
        if broken.size:
            raise InputError(f"{broken.size} of {num} embeddings are not finite, first {self.keys[int(broken[0])]}.")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def embedding_dim(self) -> int:
        """D."""
        return int(self.vectors.shape[1])

    @cached_property
    def unit(self) -> npt.NDArray[np.float32]:
        """(N, D) float32 vectors of length 1; a vector of length 0 stays 0, so its scores are 0 rather than NaN."""
        lengths = np.maximum(self.norms, np.finfo(np.float32).tiny)[:, None]
        return np.asarray(self.vectors / lengths, dtype=np.float32)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return the (N,) column of that name.

        Raises:
            InputError: the table has no such column.
        """
        if name not in self.columns:
            has = ", ".join(sorted(self.columns)) or "none"
            raise InputError(f"This embedding table has no column {name!r} (it has: {has}); add it, or embed again.")
        return self.columns[name]

    def with_columns(self, columns: Mapping[str, npt.NDArray[Any]]) -> EmbeddingTable:
        """Return the same table with these (N,) columns added; a column of the same name is replaced."""
        return replace(self, columns={**self.columns, **columns})

    def save(self, folder: str | Path) -> None:
        """Write the table into `folder`; what names its contents comes last, so a half-written one is no table.

        A table that was loaded from `folder` may be saved there again: files are replaced, never written over.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "table.json").unlink(missing_ok=True)
        for name in _ARRAYS:
            _save_array(folder / f"{name}.npy", getattr(self, name))
        for name, column in self.columns.items():
            _save_array(_column_path(folder, name), column)
        for left_over in set(folder.glob("column-*.npy")) - {_column_path(folder, name) for name in self.columns}:
            left_over.unlink()
        words = {
            "format": _FORMAT,
            "shape": list(self.vectors.shape),
            "columns": list(self.columns),
            **{name: getattr(self, name) for name in _WORDS},
        }
        aside = folder / "table.json.partial"
        aside.write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
        os.replace(aside, folder / "table.json")

    @classmethod
    def load(cls, folder: str | Path) -> EmbeddingTable:
        """Return the table in `folder`, its vectors and columns mapped from disk.

        Raises:
            InputError: no table there, or a damaged one.
        """
        folder = Path(folder)
        try:
            words = json.loads((folder / "table.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"{folder}: there is no finished embedding table here (no table.json).") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}/table.json is damaged ({error}); embed again.") from error
        if not isinstance(words, dict) or words.get("format") != _FORMAT:
            raise InputError(f"{folder}/table.json is not a table this version can read; embed again.")
        try:
            arrays = {name: _load_array(folder / f"{name}.npy") for name in _ARRAYS}
            if list(arrays["vectors"].shape) != words["shape"]:
                raise ValueError(f"vectors are {arrays['vectors'].shape}, table.json says {words['shape']}")
            return cls(
                **arrays,
                keys=tuple(words["keys"]),
                identities=tuple(words["identities"]),
                fingerprint=words["fingerprint"],
                meta=words["meta"],
                # a table of an earlier version names none
                columns={name: _load_array(_column_path(folder, name)) for name in words.get("columns", ())},
            )
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputError(f"{folder}: the embedding table is damaged ({error}); embed again.") from error


def _column_path(folder: Path, name: str) -> Path:
    return folder / f"column-{name}.npy"


def _save_array(path: Path, array: npt.NDArray[Any]) -> None:
    aside = path.with_suffix(".partial.npy")
    np.save(aside, array, allow_pickle=False)
    os.replace(aside, path)


def _load_array(path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # numpy's parser of headers lets through whatever Python's tokenizer raises
        raise ValueError(f"{path.name}: {error}") from error
    return array
