"""Embeddings that were made before stand in for the model that made them: embed once, evaluate many times.

kept/                   of one model on one set: the table itself
kept/<model>/<set>/     of several: `kept/<model>` serves as a model on all sets that it has
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource
from marginface.records.select import subset

from .embed import Embedder, Progress, embed_records
from .settings import EvaluationConfig
from .words import slug

_TABLE = "table.json"


class SavedEmbeddings:
    """Tables of embeddings in the place of a model: one for whatever set is judged, or one for each set."""

    def __init__(self, folder: str | Path) -> None:
        """Open the table; of several, the first.

        Raises:
            InputError: no table there, or a damaged one.
        """
        self.folder = Path(folder)
        tables = _tables_in(self.folder)
        self.table = EmbeddingTable.load(tables[0] if tables else self.folder)

    @property
    def name(self) -> str:
        """Of the model that made them."""
        return str(self.table.meta.get("embedder", self.folder.name))

    @property
    def description(self) -> str:
        """That they were not made just now."""
        return f"Embeddings saved in {self.folder}."

    @property
    def embedding_dim(self) -> int:
        """D."""
        return self.table.embedding_dim

    @property
    def fingerprint(self) -> str:
        """Of the model that made them."""
        return self.table.fingerprint

    @property
    def made_from(self) -> str:
        """Which images, for the record."""
        return f"embeddings of {self.table.meta.get('source', 'an unknown source')}"

    def of_set(self, name: str) -> SavedEmbeddings:
        """Return the embeddings of a set, or these where they are for whatever is judged.

        Raises:
            InputError: there are tables of sets, and none of this one.
        """
        if is_saved_table(self.folder):
            return self
        found = self.folder / slug(name)
        if not is_saved_table(found):
            has = ", ".join(one.name for one in _tables_in(self.folder))
            raise InputError(f"{self.folder}: there are no embeddings of {name} in {slug(name)}; it has {has}.")
        return SavedEmbeddings(found)

    def table_for(self, flip: str) -> EmbeddingTable:
        """Return the table, if it was made with this flip policy.

        Raises:
            InputError: it was made with another.
        """
        made = self.table.meta.get("flip", flip)
        if made != flip:
            raise InputError(
                f"{self.folder}: these embeddings were made with flip {made}; evaluate with --flip {made}."
            )
        return self.table


def is_saved(folder: Path) -> bool:
    """Return whether a folder holds embeddings: a table, or tables of sets."""
    return is_saved_table(folder) or bool(_tables_in(folder))


def is_saved_table(folder: Path) -> bool:
    """Return whether a folder is an embedding table."""
    return (folder / _TABLE).is_file()


def embedded(
    embedder: Embedder | SavedEmbeddings,
    config: EvaluationConfig,
    source: RecordSource,
    images: npt.NDArray[np.int64],
    *,
    batch_size: int = 64,
    num_workers: int = 0,
    progress: Progress | None = None,
    ranks: Ranks | None = None,
) -> EmbeddingTable:
    """Return an embedder's vectors of some images of a source, made now or saved before."""
    if isinstance(embedder, SavedEmbeddings):
        return embedder.table_for(config.flip)
    return embed_records(
        embedder,
        subset(source, images),
        flip=config.flip,
        batch_size=batch_size,
        num_workers=num_workers,
        skip_broken=config.skip_broken,
        progress=progress,
        ranks=ranks,
    )


def described(embedder: object) -> str:
    """Return what a baseline says of itself, or what a model's card says."""
    return str(getattr(embedder, "description", "") or getattr(getattr(embedder, "card", None), "description", ""))


def places(base: Path, systems: Sequence[str], sets: Sequence[str], *, suffix: str = "") -> dict[tuple[str, str], Path]:
    """Return where what belongs to (system, set) is kept: `base` where there is one of each, or a place of its own.

    Args:
        base: what the user named.
        systems: names of the systems.
        sets: names of the sets.
        suffix: of the files; empty for folders.

    Raises:
        InputError: two names that would share a place, or a file's name where a folder is needed.
    """
    if len(systems) == len(sets) == 1:
        return {(systems[0], sets[0]): base}
    if base.is_file() or (suffix and base.suffix == suffix) or is_saved_table(base):
        one = "embedding table" if is_saved_table(base) else "file"
        raise InputError(f"{base} is one {one}, and {len(systems) * len(sets)} are to be written; name a folder.")
    for names in (systems, sets):
        short = [slug(name) for name in names]
        for i, one in enumerate(short):
            if one in short[:i]:
                other = names[short.index(one)]
                raise InputError(f"{base}: {other!r} and {names[i]!r} would both be kept as {one!r}; rename one.")
    return {(system, one): base / slug(system) / f"{slug(one)}{suffix}" for system in systems for one in sets}


def _tables_in(folder: Path) -> list[Path]:
    """Return the tables of sets in a folder, by name."""
    if is_saved_table(folder) or not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if is_saved_table(one))
