"""torch.distributed and nothing about faces: who am I, and sums over all ranks."""

from marginface.distributed.collectives import any_rank, sum_gradients, sum_over_ranks, sum_without_dividing
from marginface.distributed.process_group import Ranks, joined_ranks
from marginface.distributed.row_exchange import RowExchange, gather_rows

__all__ = [
    "Ranks",
    "RowExchange",
    "any_rank",
    "gather_rows",
    "joined_ranks",
    "sum_gradients",
    "sum_over_ranks",
    "sum_without_dividing",
]
