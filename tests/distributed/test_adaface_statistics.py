"""AdaFace's running statistics are those of the global batch, the same on every rank, however it is split."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from marginface.margins import AdaFaceConfig

pytestmark = pytest.mark.distributed

NORMS = torch.tensor([5.0, 12.0, 18.0, 23.0, 30.0, 41.0, 8.0])
SPLITS = ([4, 3], [6, 1])  # a rank with one image has no deviation of its own


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    margins = []
    for sizes in SPLITS:
        margin = AdaFaceConfig().build()
        mine = NORMS.split(sizes)[rank]
        margin(torch.zeros_like(mine), mine)
        margins.append(margin)
    warm = AdaFaceConfig().build()
    warm.warm_start(NORMS.split(SPLITS[0])[rank])
    torch.save([m.state_dict() for m in [*margins, warm]], f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_have_the_statistics_of_one_process(tmp_path: Path) -> None:
    mp.spawn(_rank, (str(tmp_path),), nprocs=2)
    alone, warm = AdaFaceConfig().build(), AdaFaceConfig().build()
    alone(torch.zeros_like(NORMS), NORMS)
    warm.warm_start(NORMS)
    states = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    for state in states:
        for theirs, ours in zip(state, [alone, alone, warm], strict=True):
            torch.testing.assert_close(theirs, dict(ours.state_dict()))
    for ours, other in zip(*states, strict=True):
        assert all(torch.equal(ours[name], other[name]) for name in ours)
