"""Embeddings that were made before stand in for the model that made them: embed once, evaluate many times."""

from __future__ import annotations

from pathlib import Path

from marginface.errors import InputError
from marginface.records.embedding_table import EmbeddingTable

from .embed import Embedder, Flip
from .record import contract_words


class SavedEmbeddings:
    """A table of embeddings in the place of a model."""

    def __init__(self, folder: str | Path) -> None:
        """Open the table.

        Raises:
            InputError: no table there, or a damaged one.
        """
        self.table = EmbeddingTable.load(folder)
        self.folder = Path(folder)

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

    def table_for(self, flip: Flip) -> EmbeddingTable:
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


class HeldEmbeddings(SavedEmbeddings):
    """Embeddings that a model made a moment ago, for more than one set."""

    def __init__(self, embedder: Embedder, table: EmbeddingTable) -> None:
        """Hold the table of an embedder."""
        self.embedder = embedder
        self.table = table
        self.folder = Path(embedder.name)

    @property
    def name(self) -> str:
        """Of the model."""
        return self.embedder.name

    @property
    def description(self) -> str:
        """What a baseline says of itself, or what a model's card says."""
        return described(self.embedder)

    @property
    def made_from(self) -> str:
        """The model's input contract: the embeddings are as it would make them."""
        return contract_words(self.embedder.contract)


def described(embedder: object) -> str:
    """Return what a baseline says of itself, or what a model's card says."""
    return str(getattr(embedder, "description", "") or getattr(getattr(embedder, "card", None), "description", ""))
