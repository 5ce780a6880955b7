"""Class centres of published files -> a head folder beside the model, from which fine-tuning goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marginface.errors import InputError
from marginface.heads import DenseHeadConfig
from marginface.heads.store import save_head
from marginface.margins import MARGINS
from marginface.models.convert.families import Family, entry_of
from marginface.models.convert.foreign_file import ForeignFile, named_tensors


@dataclass(frozen=True, kw_only=True)
class ForeignHead:
    """Class centres and what the margin kept with them."""

    centres_CD: Tensor
    margin: str
    """A key of `MARGINS`; its settings are the defaults, for no file tells them."""
    statistics: dict[str, Tensor] = field(default_factory=dict)
    """Buffers of the margin."""

    def save(self, folder: Path) -> None:
        """Write the head as `heads.store` does; classes are named by their number, for files do not name people."""
        num_classes, embedding_dim = self.centres_CD.shape
        make_margin: Any = MARGINS[self.margin]
        settings = DenseHeadConfig(margin=make_margin())
        head = settings.build(num_classes=num_classes, embedding_dim=embedding_dim)
        with torch.no_grad():
            head.class_centres.copy_(self.centres_CD)
            for name, value in self.statistics.items():
                buffer = getattr(head.margin, name)
                buffer.copy_(value.reshape(buffer.shape))
        save_head(head, settings, folder, identities=[str(i) for i in range(num_classes)])


def find_head(family: Family, files: Sequence[ForeignFile], *, embedding_dim: int) -> ForeignHead | None:
    """Return the head of a family's files, its shards joined in their order, or None where they hold none.

    Args:
        family: of the first file.
        files: the first may hold a shard, each further one has to; a file of one bare tensor is a shard.
        embedding_dim: D, which the centres have to have.

    Raises:
        InputError: centres that do not fit, a file without any, shards that cannot be those of one head in rank order.
    """
    shards = [_shard(family, file, embedding_dim) for file in files]
    for file, shard in zip(files[1:], shards[1:], strict=True):
        if shard is None:
            raise InputError(f"{file.path}: it holds no class centres; further files can only be shards of a head.")
    found = [shard for shard in shards if shard is not None]
    if not found:
        return None
    _check_order(files[-len(found) :], found)
    centres = torch.cat([shard.centres_CD for shard in found])
    return ForeignHead(centres_CD=centres, margin=found[0].margin, statistics=found[0].statistics)


def _shard(family: Family, file: ForeignFile, embedding_dim: int) -> ForeignHead | None:
    if isinstance(file.content, Tensor):
        return _checked(file, ForeignHead(centres_CD=file.content.detach().float(), margin="arcface"), embedding_dim)
    for rule in family.heads:
        tensors = named_tensors(entry_of(file.content, rule.inside or family.inside))
        if rule.name in tensors:
            centres = tensors[rule.name].float()
            head = ForeignHead(
                centres_CD=centres if rule.rows_are_classes else centres.T.contiguous(),
                margin=rule.margin,
                statistics={ours: tensors[key].float() for key, ours in rule.statistics.items() if key in tensors},
            )
            return _checked(file, head, embedding_dim)
    return None


def _checked(file: ForeignFile, head: ForeignHead, embedding_dim: int) -> ForeignHead:
    shape = tuple(head.centres_CD.shape)
    if len(shape) != 2 or shape[1] != embedding_dim:
        raise InputError(f"{file.path}: class centres of shape {shape} do not fit embeddings of {embedding_dim}.")
    if not head.centres_CD.isfinite().all():
        raise InputError(f"{file.path}: its class centres are not all finite; take an earlier checkpoint.")
    return head


def _check_order(files: Sequence[ForeignFile], shards: Sequence[ForeignHead]) -> None:
    """arcface_torch gives C // R classes to each rank and one more to the first C mod R: sizes tell a wrong order."""
    sizes = [len(shard.centres_CD) for shard in shards]
    expected = [sum(sizes) // len(sizes) + (rank < sum(sizes) % len(sizes)) for rank in range(len(sizes))]
    if sizes != expected:
        names = ", ".join(str(file.path) for file in files)
        raise InputError(f"{names}: shards of {sizes} classes are not those of all ranks in order; name them by rank.")
