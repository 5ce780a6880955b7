"""A run with a head for each source: two sources hold the same people under other names, and neither pulls at them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from marginface import config as recipes
from marginface.cli.main import main
from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.evaluation.embed import embed_records
from marginface.heads import HeadPerSource
from marginface.heads.store import load_head
from marginface.images.normalize import InputContract, normalize
from marginface.loading.loader import training_batches
from marginface.models import FaceModel, ModelCard, Provenance, load_model, save_model
from marginface.records.embedding_table import EmbeddingTable
from marginface.training import checkpoint as checkpoints
from marginface.training import dry_run
from marginface.training.config import TrainConfig
from marginface.training.log import read_events
from marginface.training.run_head import head_of_run
from marginface.training.start_head import start_head
from marginface.training.step import train_step
from marginface.training.train import prepare, train
from marginface.training.warm_start import warm_start
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import log_without_clock, tiny_recipe
from tests.helpers.synthetic import write_faces

ALONE = Ranks(0, 1, torch.device("cpu"))
ADAFACE = {"kind": "adaface", "ema_weight": 0.3}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_faces(folder / "many", num_identities=6, images_per_identity=5, size=32)
    write_faces(folder / "few", num_identities=3, images_per_identity=2, size=32)  # the first of the many, once more
    return folder


def _recipe(place: Path, **changes: Any) -> dict[str, Any]:
    data = {"source": f"folder:{place / 'many'}", "more_sources": [f"folder:{place / 'few'}"]}
    data |= {"input_size": 32, "batch_size": 6, "num_workers": 0} | changes.pop("data", {})
    changes = {"backbone": {"kind": KIND, "embedding_dim": 16}, "head_per_source": True, "epochs": 2} | changes
    return tiny_recipe("", data=data, **changes)


def _config(place: Path, **changes: Any) -> TrainConfig:
    return recipes.load(TrainConfig, _recipe(place, **changes))


def test_each_source_has_its_own_people_and_the_loss_is_that_of_its_head(place: Path, tmp_path: Path) -> None:
    run = prepare(_config(place), ALONE)
    assert isinstance(run.task.head, HeadPerSource)
    assert [(part.name, part.head.num_classes, part.first_label) for part in run.task.heads] == [
        ("0", 6, 0),
        ("1", 3, 6),
    ]
    starts = [part.head.class_centres.detach() for part in run.task.heads]
    assert not torch.equal(starts[0][:3], starts[1]), "heads start apart"
    (batch,) = training_batches(run.dataset, run.batches, first_step=0, num_steps=1, num_workers=0)
    embeddings = run.task.backbone(normalize(batch.images, run.contract)).detach()
    sums = {}
    for part in run.task.heads:
        own = part.rows_of(batch.labels)
        losses = part.head(embeddings[own], batch.labels[own] - part.first_label).sample_loss_B
        sums[part.name] = (len(own), float(losses.double().sum()))
    numbers = train_step(run, batch, 0, keep_bad_batch_in=tmp_path)
    assert {name: s.images for name, s in numbers.sources.items()} == {name: n for name, (n, _) in sums.items()}
    for name, (_, loss) in sums.items():
        assert numbers.sources[name].loss == pytest.approx(loss, rel=1e-5)
    assert numbers.loss == pytest.approx(sum(loss for _, loss in sums.values()) / 6, rel=1e-5)


def test_the_log_has_a_line_of_each_source_and_they_add_up(place: Path, tmp_path: Path) -> None:
    sampler = {"kind": "weighted", "weights": [2, 1]}
    config = _config(place, data={"sampler": sampler}, log={"every_steps": 2})
    assert train(config, tmp_path / "run") == 0
    events = read_events(tmp_path / "run" / "log.jsonl", "step")
    for event in events:
        assert (event["0/images"], event["1/images"]) == (8, 4)
        for what in ("loss", "mean_target_cos"):
            assert event[what] == pytest.approx((2 * event[f"0/{what}"] + event[f"1/{what}"]) / 3, rel=1e-6)
    alone = _config(place, head_per_source=False, epochs=1)
    assert train(alone, tmp_path / "joint") == 0
    assert not [name for name in read_events(tmp_path / "joint" / "log.jsonl", "step")[0] if "/" in name]


def test_a_window_without_images_of_a_source_has_no_mean_of_it(place: Path, tmp_path: Path) -> None:
    config = _config(place, data={"batch_size": 2}, epochs=1)  # 18 steps for the 6 images of the few
    assert train(config, tmp_path / "run") == 0
    events = read_events(tmp_path / "run" / "log.jsonl", "step")
    absent = [event for event in events if event["1/images"] == 0]
    assert absent
    assert not any("1/loss" in event for event in absent)
    assert sum(event["1/images"] for event in events) == 6


HEADS = {
    "dense": {"kind": "dense"},
    "fused": {"kind": "sharded", "fused_update": True},
    "sampled": {"kind": "sampled", "rate": 0.5},
}


@pytest.mark.parametrize("name", HEADS)
def test_a_resumed_run_ends_bit_by_bit_as_one_without_a_break(name: str, place: Path, tmp_path: Path) -> None:
    config = _config(
        place,
        head=HEADS[name] | {"scale": 16, "margin": ADAFACE},
        backbone={"kind": KIND, "embedding_dim": 16, "dropout": 0.5},
        accumulation_steps=3,  # two images each: many parts are of one source
        norm_warm_start_images=30,
        checkpoint={"every_epochs": 0.5, "keep": 9},
        log={"every_steps": 4},  # a checkpoint in the middle of a line's sums
    )
    assert train(config, tmp_path / "unbroken") == 0
    shutil.copytree(tmp_path / "unbroken", tmp_path / "broken")
    folder = tmp_path / "broken" / "checkpoints"
    for step in checkpoints.list_steps(folder)[1:]:
        checkpoints.path_of(folder, step).rename(tmp_path / f"gone-{step}")
    assert train(config, tmp_path / "broken", resume=True) == 0
    assert log_without_clock(tmp_path / "broken") == log_without_clock(tmp_path / "unbroken")
    for source in ("0", "1"):
        ours, theirs = (head_of_run(tmp_path / run, name=source).head.state_dict() for run in ("broken", "unbroken"))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_statistics_of_norms_begin_with_the_sources_own(place: Path) -> None:
    head = {"kind": "dense", "scale": 16, "margin": ADAFACE}
    run = prepare(_config(place, head=head, norm_warm_start_images=30), ALONE)
    batches = training_batches(run.dataset, run.batches, first_step=0, num_steps=5, num_workers=0)
    norms, labels = [], []
    for batch in batches:
        norms.append(run.task.backbone(normalize(batch.images, run.contract)).norm(dim=1).detach())
        labels.append(batch.labels)
    of_few = torch.cat(labels) >= 6
    warm_start(run)
    for part, own in zip(run.task.heads, (~of_few, of_few), strict=True):
        expected = torch.cat(norms)[own].clamp(1e-3, 100)
        torch.testing.assert_close(part.head.margin.batch_mean, expected.mean(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(part.head.margin.batch_std, expected.std(), rtol=1e-3, atol=1e-5)


def test_heads_begin_at_the_class_means_of_their_own_people(place: Path, tmp_path: Path) -> None:
    backbone = _config(place).backbone
    card = ModelCard(name="m", provenance=Provenance())
    model = FaceModel(backbone.build(), backbone, InputContract(input_size=32), card)
    save_model(model, tmp_path / "model")
    run = prepare(_config(place, start={"model": str(tmp_path / "model")}), ALONE)
    start_head(run, "class_means")
    table = embed_records(load_model(tmp_path / "model"), run.dataset.records, flip="none")
    for part in run.task.heads:
        for own, centre in enumerate(part.head.class_centres.detach()):
            mean = table.unit[table.labels == part.first_label + own].mean(axis=0)
            assert float(F.cosine_similarity(centre, torch.from_numpy(mean), dim=0)) == pytest.approx(1.0, abs=1e-5)


def test_a_head_is_exported_by_the_number_of_its_source(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(_config(place, epochs=1), run) == 0
    assert main(["head", "export", str(run), "--out", str(tmp_path / "head"), "--head", "1"]) == 0
    stored = load_head(tmp_path / "head")
    assert stored.identities == ("person_00", "person_01", "person_02"), "under the names of their own source"
    table = EmbeddingTable.load(tmp_path / "head" / "templates")
    centres = F.normalize(stored.head.class_centres.detach()).numpy()
    np.testing.assert_allclose(table.vectors, centres, atol=1e-6)
    capsys.readouterr()
    for words, sentence in (
        ([], "has a head for each source: 0 (folder:"),
        (["--head", "2"], "there is no '2'"),
    ):
        assert main(["head", "export", str(run), "--out", str(tmp_path / "no"), *words]) == 2
        assert sentence in capsys.readouterr().err
    joint = tmp_path / "joint"
    assert train(_config(place, epochs=1, head_per_source=False), joint) == 0
    assert main(["head", "export", str(joint), "--out", str(tmp_path / "no"), "--head", "0"]) == 2
    assert "has one head over all people; leave out --head 0" in capsys.readouterr().err
    assert head_of_run(joint).identities[-1] == "1/person_02"


def test_a_dry_run_reckons_with_every_head(place: Path) -> None:
    sampler = {"kind": "weighted", "weights": [2, 1]}
    said = dry_run.describe_run(_config(place, data={"sampler": sampler}, head={"kind": "sharded"}), num_ranks=2)
    assert "96 parameters (6 classes), about 67% of the images, folder:" in said
    assert "48 parameters (3 classes), about 33% of the images, folder:" in said
    assert said.count("gradient of embeddings") == 1
    assert f"head weights                      {5 * 16 * 4 / 1024:.1f} KiB" in said  # of 6 + 3 people, rank 0 has 3 + 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": {"more_sources": []}}, "there is one source, whose head is the only one"),
        ({"start": {"model": "m", "head": "heads/one"}}, "heads/one is one head, and with head_per_source there are"),
    ],
)
def test_recipes_that_mean_nothing_are_refused(place: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        _config(place, **changes)


def test_a_source_of_one_person_cannot_have_a_head(place: Path, tmp_path: Path) -> None:
    write_faces(tmp_path / "one", num_identities=1, images_per_identity=3, size=32)
    with pytest.raises(InputError, match="only one identity"):
        prepare(_config(place, data={"more_sources": [f"folder:{tmp_path / 'one'}"]}), ALONE)


def test_a_run_keeps_its_heads_and_one_from_before_the_setting_goes_on(place: Path, tmp_path: Path) -> None:
    joint = _config(place, head_per_source=False, epochs=1)
    assert train(joint, tmp_path / "run") == 0
    recipe = tmp_path / "run" / "recipe.yaml"
    older = yaml.safe_load(recipe.read_text())
    del older["head_per_source"]
    recipe.write_text(yaml.safe_dump(older))
    assert train(joint, tmp_path / "run", resume=True) == 0
    with pytest.raises(InputError, match="head_per_source was False, now True"):
        train(_config(place, epochs=1), tmp_path / "run", resume=True)
