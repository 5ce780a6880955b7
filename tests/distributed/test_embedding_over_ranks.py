"""Ranks share the embedding, and every one of them ends with the table of one process, bit by bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from marginface import config as recipes
from marginface.backbones import MobileFaceNetConfig
from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.evaluation.baselines import untrained
from marginface.evaluation.embed import embed_records
from marginface.images.normalize import InputContract
from marginface.models import save_model
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.open import open_records
from marginface.training.config import TrainConfig
from marginface.training.train import prepare
from marginface.training.validation import evaluate_now
from tests.helpers.gloo import run_on_ranks
from tests.helpers.runs import marginface, tiny_recipe
from tests.helpers.synthetic import write_faces

pytestmark = pytest.mark.distributed

CONFIG = MobileFaceNetConfig(embedding_dim=16)
PEOPLE = 5


def _embed(root: Path, *, batch_size: int, skip_broken: bool = True, ranks: Ranks | None = None) -> EmbeddingTable:
    model = untrained(CONFIG, contract=InputContract(input_size=32), seed=1)
    return embed_records(model, open_records(root), batch_size=batch_size, skip_broken=skip_broken, ranks=ranks)


def _embed_all(roots: list[Path], batch_sizes: list[int]) -> list[EmbeddingTable]:
    ranks = Ranks(dist.get_rank(), dist.get_world_size(), torch.device("cpu"))
    return [_embed(root, batch_size=size, ranks=ranks) for root in roots for size in batch_sizes]


def _evaluate_while_training(configs: list[TrainConfig]) -> list[list[dict[str, Any]]]:
    world_size = dist.get_world_size() if dist.is_initialized() else 1
    rank, mesh = (dist.get_rank(), init_device_mesh("cpu", (world_size,))) if world_size > 1 else (0, None)
    runs = [prepare(config, Ranks(rank, world_size, torch.device("cpu"), mesh)) for config in configs]
    return [[dict(result.fields) for result in evaluate_now(run)] for run in runs]


def _embed_strictly(root: Path) -> str:
    try:
        _embed(root, batch_size=4, skip_broken=False, ranks=Ranks(dist.get_rank(), 2, torch.device("cpu")))
    except InputError as error:
        return str(error)
    return "no error"


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Faces all of which can be read; faces with some that cannot; and with a whole rank's share that cannot."""
    folder = tmp_path_factory.mktemp("embedding")
    made = [write_faces(folder / n, num_identities=PEOPLE, images_per_identity=4, size=32) for n in ("a", "b", "c")]
    for root, broken in zip(made[1:], ([1, 5], range(12)), strict=True):
        for i in broken:
            (root / f"person_{i // 4:02d}" / f"{i % 4:04d}.jpg").write_text("not an image")
    return made


@pytest.mark.parametrize("world_size", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_every_rank_has_the_table_of_one_process(roots: list[Path], world_size: int) -> None:
    sizes = [3, 4, 64]  # 20 images: shares of unequal length, and with 64 all but one rank have nothing to do
    expected = [_embed(root, batch_size=size) for root in roots for size in sizes]
    for tables in run_on_ranks(_embed_all, world_size, roots, sizes):
        for found, alone in zip(tables, expected, strict=True):
            np.testing.assert_array_equal(found.vectors, alone.vectors)
            np.testing.assert_array_equal(found.norms, alone.norms)
            np.testing.assert_array_equal(found.labels, alone.labels)
            assert (found.keys, found.identities, found.meta) == (alone.keys, alone.identities, alone.meta)


def test_a_broken_image_of_one_rank_stops_all_with_its_name(roots: list[Path]) -> None:
    (first, second) = run_on_ranks(_embed_strictly, 2, roots[1])
    assert first == second
    assert "person_00/0001.jpg" in first


@pytest.mark.slow
def test_an_evaluation_during_training_is_that_of_one_process_on_every_rank(roots: list[Path]) -> None:
    evaluation = {"name": "s", "data": f"folder:{roots[0]}", "protocol": {"kind": "generated"}, "num_replicates": 20}
    configs = [
        recipes.load(
            TrainConfig,
            tiny_recipe(
                f"folder:{roots[0]}",
                evaluations=[evaluation, evaluation | {"name": "again", "flip": "none"}],
                distributed={"backbone": spread},
                ema={"decay": 0.5},
            ),
        )
        for spread in ("ddp", "fsdp")
    ]
    alone = _evaluate_while_training(configs)
    assert [fields["name"] for fields in alone[0]] == ["s", "again"]
    assert run_on_ranks(_evaluate_while_training, 2, configs) == [alone, alone]


@pytest.mark.slow
def test_evaluate_under_torchrun_writes_the_report_of_one_process_once(roots: list[Path], tmp_path: Path) -> None:
    save_model(untrained(CONFIG, contract=InputContract(input_size=32), seed=1), tmp_path / "model")
    reports = []
    for ranks in (None, 2):
        out = tmp_path / f"report-{ranks}"
        words = ["--data", f"folder:{roots[0]}", "--workers", "0", "--replicates", "20", "--out", out]
        done = marginface("evaluate", tmp_path / "model", *words, torchrun=ranks)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("report: ") == 1
        report = json.loads((out / "report.json").read_text())
        for system in report["systems"]:
            system["provenance"].pop("date")
            system["provenance"].pop("command")
        reports.append(report["systems"])
    assert reports[0] == reports[1]


@pytest.mark.slow
def test_embed_under_torchrun_writes_the_table_of_one_process(roots: list[Path], tmp_path: Path) -> None:
    save_model(untrained(CONFIG, contract=InputContract(input_size=32), seed=1), tmp_path / "model")
    for ranks in (None, 2):
        words = ["--model", tmp_path / "model", "--workers", "0", "--out", tmp_path / f"table-{ranks}"]
        done = marginface("embed", f"folder:{roots[0]}", *words, torchrun=ranks)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("20 embeddings of 16 values") == 1
    alone, shared = (EmbeddingTable.load(tmp_path / f"table-{ranks}") for ranks in (None, 2))
    np.testing.assert_array_equal(alone.vectors, shared.vectors)
    assert alone.keys == shared.keys
