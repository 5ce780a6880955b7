"""What ranks tell each other about their rows equals what one process would see."""

import warnings

import pytest
import torch
import torch.distributed as dist

from marginface.distributed import RowExchange, gather_rows
from tests.helpers.gloo import run_on_ranks

COUNTS = {"uneven": [3, 1, 2], "equal": [2, 2, 2], "one has none": [0, 4, 2]}
WIDTH = 5


def rows_of(counts, rank):
    """Rows that tell where they come from: row g of all has the values 10 g, 10 g + 1, ..."""
    first = sum(counts[:rank])
    return 10.0 * torch.arange(first, first + counts[rank])[:, None] + torch.arange(WIDTH)


def seen_by_a_rank():
    rank, found = dist.get_rank(), {}
    warnings.simplefilter("error")  # of names that torch has given up
    for name, counts in COUNTS.items():
        own = rows_of(counts, rank).requires_grad_()
        exchange = RowExchange.of(own)
        gathered = exchange.gather(own)
        everyones = torch.arange(6.0 * WIDTH).view(6, WIDTH) * (rank + 1)
        before = everyones.clone()
        values = torch.tensor([[0.5, -100.0, 3e38, -torch.inf], [200.0, -torch.inf, -3e38, -torch.inf]])
        if rank == 1:
            values = torch.tensor([[0.5, -90.0, -torch.inf, -torch.inf], [0.0, 7.0, 5.0, -torch.inf]])
        logs = values.clone()
        found[name] = {
            "counts": (exchange.num_ranks, exchange.num_rows, exchange.num_global_rows),
            "gathered": gathered,
            "requires_grad": gathered.requires_grad,
            "labels": exchange.gather(own[:, 0].long()),
            "function": gather_rows(own),
            "own": exchange.own(gathered),
            "own_columns": exchange.own(gathered.T, dim=1),
            "sum": exchange.sum(torch.tensor([rank, 1.0])),
            "sum_own": exchange.sum_own(everyones),
            "sum_own_of_columns": exchange.sum_own(before.T.contiguous().T),
            "values": values,
            "logsumexp": exchange.logsumexp(logs),
            "untouched": torch.equal(logs, values),
        }
    return found


@pytest.mark.distributed
def test_rows_of_three_ranks():
    by_rank = run_on_ranks(seen_by_a_rank, 3)
    for name, counts in COUNTS.items():
        everything = rows_of([6], 0)
        total = 6.0 * torch.arange(6.0 * WIDTH).view(6, WIDTH)
        for rank, found in enumerate(one[name] for one in by_rank):
            here = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
            assert found["counts"] == (3, counts[rank], 6)
            assert torch.equal(found["gathered"], everything)
            assert not found["requires_grad"]
            assert torch.equal(found["labels"], everything[:, 0].long())
            assert torch.equal(found["function"], everything)
            assert torch.equal(found["own"], everything[here])
            assert torch.equal(found["own_columns"], everything[here].T)
            assert found["sum"].tolist() == [3.0, 3.0]
            assert torch.equal(found["sum_own"], total[here])
            assert torch.equal(found["sum_own_of_columns"], total[here])
            expected = torch.stack([one[name]["values"] for one in by_rank]).logsumexp(dim=0)
            torch.testing.assert_close(found["logsumexp"], expected)
            assert (found["logsumexp"][:, 3] == -torch.inf).all()
            assert found["untouched"]


def test_a_rank_alone_moves_nothing():
    rows = rows_of([4], 0).requires_grad_()
    for exchange in (RowExchange.alone(rows), RowExchange.of(rows)):
        assert (exchange.num_ranks, exchange.num_rows, exchange.num_global_rows) == (1, 4, 4)
        gathered = exchange.gather(rows)
        assert gathered.data_ptr() == rows.data_ptr()
        assert not gathered.requires_grad
        for same in (exchange.own(gathered), exchange.sum(gathered), exchange.sum_own(gathered)):
            assert torch.equal(same, rows)
        values = torch.tensor([0.5, -torch.inf])
        assert torch.equal(exchange.logsumexp(values), values)
    assert torch.equal(gather_rows(rows), rows)
