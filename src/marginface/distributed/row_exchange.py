"""Rows of all ranks side by side: what a head whose classes are split over ranks has to see.

Letters: B rows of this rank, G rows of all ranks, in the order of the ranks.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


class RowExchange:
    """Moves rows between ranks for one batch. Ranks may hold different numbers of rows; one rank moves nothing.

    All ranks of the group must make the same calls in the same order.
    """

    def __init__(self, num_rows: int, device: torch.device, group: dist.ProcessGroup | None = None) -> None:
        """Tell the other ranks how many rows this one has.

        Args:
            num_rows: B, of this rank; may differ from the others'.
            device: where the rows are.
            group: the ranks; None means all, or this process alone where there is no process group.
        """
        self._group = group
        self._alone = not dist.is_initialized() or dist.get_world_size(group) == 1
        self._counts = [num_rows]
        rank = 0
        if not self._alone:
            rank = dist.get_rank(group)
            counts = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(dist.get_world_size(group))]
            dist.all_gather(counts, torch.tensor([num_rows], device=device), group=group)
            self._counts = [int(count.item()) for count in counts]
        self.num_rows = num_rows
        self.num_global_rows = sum(self._counts)
        first = sum(self._counts[:rank])
        self._own = slice(first, first + num_rows)

    def gather(self, rows: Tensor) -> Tensor:
        """Return (G, ...): the rows of all ranks, for this rank's (B, ...); no gradient."""
        if self._alone:
            return rows.detach()
        rows, longest = rows.detach().contiguous(), max(self._counts)
        if longest > self.num_rows:
            rows = torch.cat([rows, rows.new_zeros(longest - self.num_rows, *rows.shape[1:])])
        gathered = rows.new_empty(len(self._counts) * longest, *rows.shape[1:])
        dist.all_gather_into_tensor(gathered, rows, group=self._group)
        if min(self._counts) == longest:
            return gathered
        parts = gathered.split(longest)
        return torch.cat([part[:count] for part, count in zip(parts, self._counts, strict=True)])

    def own(self, rows: Tensor, *, dim: int = 0) -> Tensor:
        """Return this rank's B of G rows, a view."""
        return rows.narrow(dim, self._own.start, self.num_rows)

    def sum(self, values: Tensor) -> Tensor:
        """Return the elementwise sum over ranks; `values` itself, overwritten, where ranks have to talk."""
        if not self._alone:
            dist.all_reduce(values, group=self._group)
        return values

    def logsumexp(self, values: Tensor) -> Tensor:
        """Return the elementwise log of the sum of exponentials over ranks; minus infinity where all are."""
        if self._alone:
            return values
        highest = values.clone()
        dist.all_reduce(highest, op=dist.ReduceOp.MAX, group=self._group)
        shift = highest.clamp(min=torch.finfo(values.dtype).min)
        return self.sum((values - shift).exp()).log() + shift

    def sum_own(self, rows: Tensor) -> Tensor:
        """Return this rank's (B, D) of the sum over ranks of their (G, D)."""
        if self._alone:
            return rows
        if min(self._counts) < max(self._counts):
            return self.own(self.sum(rows.contiguous()))
        summed = rows.new_empty(self.num_rows, *rows.shape[1:])
        dist.reduce_scatter_tensor(summed, rows.contiguous(), group=self._group)
        return summed


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all ranks, (G, ...), for this rank's (B, ...); no gradient."""
    return RowExchange(rows.shape[0], rows.device).gather(rows)
