"""The bytes that ranks exchange are those that the estimate counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from marginface import config as recipes
from marginface.distributed import Ranks
from marginface.loading.loader import training_batches
from marginface.models import estimate_step, head_size, measure_backbone
from marginface.training.config import TrainConfig
from marginface.training.step import train_step
from marginface.training.train import prepare
from tests.helpers.gloo import run_on_ranks
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import tiny_recipe
from tests.helpers.synthetic import write_faces

pytestmark = pytest.mark.distributed

OPERATIONS = {
    "allreduce_": "all-reduce",
    "_allgather_base_": "all-gather",
    "allgather_": "all-gather",
    "_reduce_scatter_base_": "reduce-scatter",
    "reduce_scatter_": "reduce-scatter",
    "broadcast_": "broadcast",
}
WORLD_SIZE = 2
CASES: dict[str, dict[str, Any]] = {
    "ddp, dense": {"head": {"kind": "dense"}},
    "ddp, sharded": {"head": {"kind": "sharded"}},
    "fsdp, sharded, in parts": {
        "head": {"kind": "sharded"},
        "distributed": {"backbone": "fsdp"},
        "accumulation_steps": 2,
    },
}


class Traffic(TorchDispatchMode):
    """Adds up the bytes of each collective: the larger of what goes in and what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            name = func.overloadpacket.__name__
            if name in OPERATIONS:
                tensors = [tree_leaves(arg) for arg in args[:2]]
                sizes = [sum(t.nbytes for t in some if isinstance(t, Tensor)) for some in tensors]
                self.sizes[OPERATIONS[name]] += max(sizes)
            elif name != "barrier":
                self.sizes[name] += 1
        return func(*args, **(kwargs or {}))


def _count(configs: dict[str, TrainConfig]) -> dict[str, dict[str, int]]:
    found = {}
    for name, config in configs.items():
        ranks = Ranks(dist.get_rank(), WORLD_SIZE, torch.device("cpu"), init_device_mesh("cpu", (WORLD_SIZE,)))
        run = prepare(config, ranks)
        first, second = training_batches(run.dataset, run.batches, first_step=0, num_steps=2, num_workers=0)
        train_step(run, first, 0, keep_bad_batch_in=Path("never"))  # FSDP2 and DDP set themselves up
        with Traffic() as traffic:
            train_step(run, second, 1, keep_bad_batch_in=Path("never"))
        found[name] = dict(traffic.sizes)
    return found


@pytest.mark.slow
def test_a_real_step_exchanges_the_bytes_that_are_estimated(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=64, images_per_identity=2, size=32)
    source = f"folder:{faces}"
    configs = {}
    for name, changes in CASES.items():
        recipe = tiny_recipe(
            source,
            data={"source": source, "input_size": 32, "batch_size": 64, "num_workers": 0},
            backbone={"kind": KIND, "embedding_dim": 128, "num_blocks": 2, "batch_norm": True},
        )
        changes = changes | {"head": changes["head"] | {"scale": 16}}
        configs[name] = recipes.load(TrainConfig, recipe | changes)
    for found in run_on_ranks(_count, WORLD_SIZE, configs):
        for name, config in configs.items():
            at_a_time = 32 // config.accumulation_steps
            backbone = config.backbone.build(input_size=32)
            estimate = estimate_step(
                measure_backbone(backbone, input_size=32, images_at_a_time=at_a_time),
                head_size(config.head, num_classes=64, embedding_dim=128),
                images_at_a_time=at_a_time,
                num_ranks=WORLD_SIZE,
                parts=config.accumulation_steps,
                fsdp=config.distributed.backbone == "fsdp",
            )
            expected: Counter[str] = Counter()
            for collective in estimate.collectives:
                expected[collective.operation] += collective.size * collective.times
            print(name, found[name], dict(expected))
            assert found[name].keys() == expected.keys(), name
            for operation, size in expected.items():
                # 2 KiB for the numbers of the log, and what FSDP2 adds so that parts are of equal length
                assert abs(found[name][operation] - size) <= 2048 + 0.02 * size, f"{name}: {operation}"
