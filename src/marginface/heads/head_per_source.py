"""A head for each source of people: somebody may be in several sources under other names, and nothing pulls them apart.

Letters: B rows of this rank, G rows of all ranks, S sources, D embedding; n_k rows of source k.

    loss = mean over all G rows of the row's loss under the head of its own source = sum_k n_k / G loss_k

Labels are those of all sources one after another, as joined records have them, so a label tells its source. How many
rows a source has is different in every batch: none on some ranks, or none at all. A head without a row on any rank
rests: it has no gradient, so no optimiser moves it, and neither does it move itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from marginface.distributed import sum_over_ranks
from marginface.errors import InputError
from marginface.heads.head import Head, HeadOutput, check_batch


@dataclass(frozen=True)
class HeadOfSource:
    """A head, and which labels of a batch are its own."""

    name: str
    """Of the source; empty where one head has all people."""
    head: Head
    first_label: int
    """The batch's label of its class 0."""

    def rows_of(self, labels_B: Tensor) -> Tensor:
        """Return which rows of a batch are this head's, ascending."""
        last = self.first_label + self.head.num_classes
        return ((labels_B >= self.first_label) & (labels_B < last)).nonzero()[:, 0]


class HeadPerSource(nn.Module):
    """Heads side by side, each with its own people; called as one head over all of them.

    All ranks call it together, whatever its heads are: they ask each other which sources the batch has.

    Attributes:
        heads: by the name of their source, in the order of the labels.
    """

    def __init__(self, heads: Mapping[str, Head]) -> None:
        """Put heads for embeddings of one length side by side.

        Raises:
            InputError: none, or heads for embeddings of different lengths.
        """
        super().__init__()
        if len({head.embedding_dim for head in heads.values()}) != 1:
            raise InputError("heads side by side need embeddings of one length; give at least one, all of one length.")
        self.heads = nn.ModuleDict(heads)
        firsts = itertools.accumulate((head.num_classes for head in heads.values()), initial=0)
        self.parts = tuple(
            HeadOfSource(name, head, first) for (name, head), first in zip(heads.items(), firsts, strict=False)
        )

    @property
    def num_classes(self) -> int:
        """The people of all sources."""
        return sum(part.head.num_classes for part in self.parts)

    @property
    def embedding_dim(self) -> int:
        """D, the length of an embedding vector."""
        return self.parts[0].head.embedding_dim

    def forward(self, embeddings_BD: Tensor, labels_B: Tensor) -> HeadOutput:
        """Return the loss of a batch and what the log wants, as one head does.

        Args:
            embeddings_BD: (B, D) of any floating dtype, not normalised.
            labels_B: (B,) integers, those of the first source first.

        Raises:
            InputError: a batch that does not fit; whatever one of the heads refuses.
        """
        check_batch(embeddings_BD, labels_B, num_classes=self.num_classes, embedding_dim=self.embedding_dim)
        rows = [part.rows_of(labels_B) for part in self.parts]
        outputs: list[tuple[Tensor, HeadOutput]] = []
        for part, own_b, is_there in zip(self.parts, rows, _are_anywhere(rows), strict=True):
            if is_there:
                embeddings_bD, labels_b = embeddings_BD.index_select(0, own_b), labels_B[own_b] - part.first_label
                outputs.append((own_b, part.head(embeddings_bD, labels_b)))
            else:
                part.head.leave_out()
        if not outputs:
            raise InputError("the batch is empty on every rank; give at least one embedding.")
        num_rows = sum(output.num_rows for _, output in outputs)
        shares = [output.loss * (output.num_rows / max(num_rows, 1)) for _, output in outputs]
        order_B = torch.cat([own_b for own_b, _ in outputs]).argsort()
        return HeadOutput(
            loss=torch.stack(shares).sum(),
            sample_loss_B=torch.cat([output.sample_loss_B for _, output in outputs])[order_B],
            target_cos_B=torch.cat([output.target_cos_B for _, output in outputs])[order_B],
            norm_B=torch.cat([output.norm_B for _, output in outputs])[order_B],
            num_rows=num_rows,
        )


def heads_of(head: Head | HeadPerSource) -> tuple[HeadOfSource, ...]:
    """Return the heads that there are: one for each source, or the one for all people."""
    return head.parts if isinstance(head, HeadPerSource) else (HeadOfSource("", head, 0),)


def _are_anywhere(rows: list[Tensor]) -> list[bool]:
    """Return of each source whether any rank has rows of it."""
    counts = torch.tensor([len(own) for own in rows], dtype=torch.float32, device=rows[0].device)
    return [count > 0 for count in sum_over_ranks(counts).tolist()]
