"""Rows of all ranks side by side: what a head whose classes are split over ranks has to see.

Letters: B rows of this rank, G rows of all ranks, in the order of the ranks.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

# torch 2.13 gave both a new name, and warns of the old one.
_all_gather = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)
_reduce_scatter = getattr(dist, "reduce_scatter_single", dist.reduce_scatter_tensor)


class RowExchange:
    """Moves rows between ranks for one batch. Ranks may hold different numbers of rows; one rank moves nothing.

    All ranks of the group must make the same calls in the same order.
    """

    def __init__(self, counts: list[int], rank: int, group: dist.ProcessGroup | None) -> None:
        """Take how many rows each rank of the group has; see `of` and `alone`."""
        self._counts, self._group = counts, group
        self.num_ranks = len(counts)
        self.num_rows = counts[rank]
        self.num_global_rows = sum(counts)
        self._first = sum(counts[:rank])

    @classmethod
    def of(cls, rows: Tensor, group: dist.ProcessGroup | None = None) -> RowExchange:
        """Tell the other ranks of the group how many rows this one has, and hear theirs; None means all ranks."""
        if not dist.is_initialized() or dist.get_world_size(group) == 1:
            return cls.alone(rows)
        count = torch.tensor([rows.shape[0]], device=rows.device)
        counts = [torch.zeros_like(count) for _ in range(dist.get_world_size(group))]
        dist.all_gather(counts, count, group=group)
        return cls([int(one.item()) for one in counts], dist.get_rank(group), group)

    @classmethod
    def alone(cls, rows: Tensor) -> RowExchange:
        """Return the exchange of a rank that keeps to itself."""
        return cls([rows.shape[0]], 0, None)

    def gather(self, rows: Tensor) -> Tensor:
        """Return (G, ...): the rows of all ranks, for this rank's (B, ...); no gradient."""
        if self.num_ranks == 1:
            return rows.detach()
        rows, longest = rows.detach().contiguous(), max(self._counts)
        if longest > self.num_rows:
            rows = torch.cat([rows, rows.new_zeros(longest - self.num_rows, *rows.shape[1:])])
        gathered = rows.new_empty(len(self._counts) * longest, *rows.shape[1:])
        _all_gather(gathered, rows, group=self._group)
        if min(self._counts) == longest:
            return gathered
        parts = gathered.split(longest)
        return torch.cat([part[:count] for part, count in zip(parts, self._counts, strict=True)])

    def own(self, rows: Tensor, *, dim: int = 0) -> Tensor:
        """Return this rank's B of G rows, a view."""
        return rows.narrow(dim, self._first, self.num_rows)

    def sum(self, values: Tensor) -> Tensor:
        """Return the elementwise sum over ranks; `values` itself, overwritten, where ranks have to talk."""
        if self.num_ranks > 1:
            dist.all_reduce(values, group=self._group)
        return values

    def logsumexp(self, values: Tensor) -> Tensor:
        """Return the elementwise log of the sum of exponentials over ranks; minus infinity where all are."""
        if self.num_ranks == 1:
            return values
        highest = values.clone()
        dist.all_reduce(highest, op=dist.ReduceOp.MAX, group=self._group)
        shift = highest.clamp(min=torch.finfo(values.dtype).min)
        return self.sum((values - shift).exp()).log() + shift

    def sum_own(self, rows: Tensor) -> Tensor:
        """Return this rank's (B, D) of the sum over ranks of their (G, D)."""
        if self.num_ranks == 1:
            return rows
        if min(self._counts) < max(self._counts):
            return self.own(self.sum(rows.contiguous()))
        summed = rows.new_empty(self.num_rows, *rows.shape[1:])
        _reduce_scatter(summed, rows.contiguous(), group=self._group)
        return summed


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all ranks, (G, ...), for this rank's (B, ...); no gradient."""
    return RowExchange.of(rows).gather(rows)
