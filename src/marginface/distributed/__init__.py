"""torch.distributed and nothing about faces: who am I, sums over all ranks, and what of a network is cut into parts."""

from marginface.distributed.agreement import from_first, together
from marginface.distributed.blocks import has_batch_norm, repeated_blocks
from marginface.distributed.buffers import on_copies_of_buffers, share_from_first
from marginface.distributed.collectives import (
    any_rank,
    has_other_ranks,
    sum_gradients,
    sum_over_ranks,
    sum_without_dividing,
)
from marginface.distributed.process_group import Ranks, default_device, is_lost_rank, joined_ranks
from marginface.distributed.row_exchange import RowExchange, gather_rows

__all__ = [
    "Ranks",
    "RowExchange",
    "any_rank",
    "default_device",
    "from_first",
    "gather_rows",
    "has_batch_norm",
    "has_other_ranks",
    "is_lost_rank",
    "joined_ranks",
    "on_copies_of_buffers",
    "repeated_blocks",
    "share_from_first",
    "sum_gradients",
    "sum_over_ranks",
    "sum_without_dividing",
    "together",
]
