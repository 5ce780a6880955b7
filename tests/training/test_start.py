"""Training that begins with a model: what may move moves, the rest stays bit by bit, and it resumes exactly."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from marginface import config as recipes
from marginface.backbones import BACKBONES
from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.evaluation.embed import embed_records
from marginface.heads.store import save_head
from marginface.images.normalize import InputContract, normalize
from marginface.models import FaceModel, ModelCard, Provenance, load_model, save_model
from marginface.training.config import TrainConfig
from marginface.training.start import last_stage
from marginface.training.start_head import start_head
from marginface.training.step import train_step
from marginface.training.train import prepare, train
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import log_without_clock, tiny_recipe
from tests.helpers.synthetic import write_faces

ALONE = Ranks(0, 1, torch.device("cpu"))
BACKBONE = {"kind": KIND, "num_blocks": 2, "batch_norm": True}
HEAD = {"kind": "dense", "scale": 16, "margin": {"kind": "arcface", "margin": 0.2}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    write_faces(folder / "faces", num_identities=6, images_per_identity=6, size=32)
    save_model(_model(folder), folder / "model")
    return folder


def _model(place: Path, *, seed: int = 7, **contract: Any) -> FaceModel:
    config = recipes.load(TrainConfig, tiny_recipe("folder:none", backbone=BACKBONE)).backbone
    backbone = config.build(input_size=32, seed=seed)
    with torch.no_grad():
        backbone.train()(torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)))  # some statistics
    card = ModelCard(
        name="theirs",
        training_data="casia",
        licence="theirs alone",
        commercial_use="not allowed",
        provenance=Provenance(origin="file.pth"),
    )
    return FaceModel(backbone, config, InputContract(input_size=32, **contract), card)


def _config(place: Path, start: dict[str, Any] | None = None, **changes: Any) -> TrainConfig:
    changes = {"backbone": BACKBONE, "epochs": 1} | changes
    recipe = tiny_recipe(f"folder:{place / 'faces'}", **changes)
    recipe["start"] = {"model": str(place / "model")} | (start or {})
    return recipes.load(TrainConfig, recipe)


MOVES = {
    "all": lambda name: True,
    "last_stage": lambda name: name.split(".")[0] in ("3", "6"),  # of two blocks one, and the last layer
    "head": lambda name: False,
}


@pytest.mark.parametrize("trains", list(MOVES))
def test_what_does_not_train_is_bitwise_as_it_was_and_the_rest_moves(trains: str, place: Path, tmp_path: Path) -> None:
    config = _config(place, {"trains": trains}, ema={"decay": 0.9})
    assert train(config, tmp_path / "run") == 0
    before, after = (load_file(f / "model.safetensors") for f in (place / "model", tmp_path / "run" / "model"))
    for name in before:
        assert torch.equal(before[name], after[name]) != MOVES[trains](name), name


def test_frozen_batch_norm_stays_and_convolutions_move(place: Path, tmp_path: Path) -> None:
    assert train(_config(place, {"frozen_batch_norm": True}), tmp_path / "run") == 0
    before, after = (load_file(f / "model.safetensors") for f in (place / "model", tmp_path / "run" / "model"))
    for name in before:
        assert torch.equal(before[name], after[name]) == (".norm." in name), name


@pytest.mark.parametrize("trains", list(MOVES))
def test_frozen_parameters_are_in_no_group_and_rates_are_apart(trains: str, place: Path) -> None:
    factor = {} if trains == "head" else {"backbone_lr_factor": 0.1}
    run = prepare(_config(place, {"trains": trains, **factor}), ALONE)
    in_groups = {id(p) for group in run.optimizer.param_groups for p in group["params"]}
    for name, parameter in run.task.backbone.named_parameters():
        assert (id(parameter) in in_groups) == parameter.requires_grad == MOVES[trains](name), name
    rates = {group["name"]: group["lr_factor"] for group in run.optimizer.param_groups}
    assert rates["head"] == 1.0
    assert all(rate == 0.1 for name, rate in rates.items() if name.startswith("backbone"))


def test_the_head_begins_at_class_means(place: Path) -> None:
    run = prepare(_config(place), ALONE)
    start_head(run, "class_means")
    table = embed_records(load_model(place / "model"), run.dataset.records, flip="none")
    for label in range(6):
        mean = table.unit[table.labels == label].mean(axis=0)
        cos = F.cosine_similarity(run.task.head.class_centres[label].detach(), torch.from_numpy(mean), dim=0)
        assert float(cos) == pytest.approx(1.0, abs=1e-5)


def test_the_head_goes_on_with_a_stored_one(place: Path, tmp_path: Path) -> None:
    run = prepare(_config(place, {"head": "random"}), ALONE)
    start_head(run, "random")
    random = run.task.head.class_centres.detach().clone()
    earlier = run.config.head.build(num_classes=6, embedding_dim=run.config.backbone.embedding_dim, seed=99)
    assert not torch.equal(earlier.class_centres, random)
    save_head(earlier, run.config.head, tmp_path / "head", identities=[str(i) for i in range(6)])
    start_head(run, str(tmp_path / "head"))
    assert torch.equal(run.task.head.class_centres, earlier.class_centres)


@pytest.mark.parametrize(("names", "said"), [(["a"] * 6, "class 0 of .* is 'a'"), (["0", "1"], "its centres are 2 x")])
def test_a_stored_head_of_other_people_is_refused(place: Path, tmp_path: Path, names: list[str], said: str) -> None:
    run = prepare(_config(place, {"head": "random"}), ALONE)
    dim = run.config.backbone.embedding_dim
    earlier = run.config.head.build(num_classes=len(names), embedding_dim=dim, seed=99)
    save_head(earlier, run.config.head, tmp_path / "head", identities=names)
    with pytest.raises(InputError, match=said):
        start_head(run, str(tmp_path / "head"))


def test_colour_order_and_terms_come_with_the_model(place: Path, tmp_path: Path) -> None:
    save_model(_model(place, colour_order="bgr", value_range="zero_to_one"), tmp_path / "bgr")
    config = _config(place, {"model": str(tmp_path / "bgr")})
    assert train(config, tmp_path / "run") == 0
    made = load_model(tmp_path / "run" / "model")
    assert (made.contract.colour_order, made.contract.value_range) == ("bgr", "zero_to_one")
    assert made.card.commercial_use == "not allowed"
    assert made.card.licence.startswith("theirs alone")
    assert made.card.training_data.startswith("casia; then 36 images of 6 people")
    assert "file.pth" in made.card.provenance.origin


@pytest.mark.parametrize("trains", ["last_stage", "head"])
def test_a_resumed_run_ends_bit_by_bit_as_one_without_a_break(trains: str, place: Path, tmp_path: Path) -> None:
    more = {"distillation": 0.5} if trains == "last_stage" else {}
    config = _config(
        place, {"trains": trains, **more}, epochs=2, checkpoint={"every_epochs": 0.5, "keep": 9}, clip_norm=5.0
    )
    assert train(config, tmp_path / "whole") == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    for folder in sorted((tmp_path / "broken" / "checkpoints").iterdir())[1:]:
        shutil.rmtree(folder)
    save_model(load_model(place / "model"), tmp_path / "moved")  # the model may lie elsewhere by now
    moved = replace(config, start=replace(config.start, model=str(tmp_path / "moved")))
    assert train(moved, tmp_path / "broken", resume=True) == 0
    assert log_without_clock(tmp_path / "whole") == log_without_clock(tmp_path / "broken")
    whole, broken = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_going_on_from_another_model_is_refused(place: Path, tmp_path: Path) -> None:
    config = _config(place)
    assert train(config, tmp_path / "run") == 0
    save_model(_model(place, seed=8), tmp_path / "other")
    other = replace(config, start=replace(config.start, model=str(tmp_path / "other")))
    with pytest.raises(InputError, match="start.model: the run began with the model"):
        train(other, tmp_path / "run", resume=True)


def test_distillation_adds_its_formula_to_the_loss_and_holds_embeddings_where_they_were(
    place: Path, tmp_path: Path
) -> None:
    drifts = {}
    for weight in (0.0, 50.0):
        config = _config(place, {"distillation": weight}, epochs=2)
        assert train(config, tmp_path / f"run{weight}") == 0
        run = prepare(config, ALONE)
        now, before = (load_model(f) for f in (tmp_path / f"run{weight}" / "model", place / "model"))
        unit = [embed_records(model, run.dataset.records, flip="none").unit for model in (now, before)]
        drifts[weight] = float(1 - np.einsum("nd,nd->n", *unit).mean())
    assert drifts[50.0] < 0.5 * drifts[0.0]

    run = prepare(_config(place, {"distillation": 3.0}), ALONE)
    without = prepare(_config(place), ALONE)
    for one in (run, without):  # one step away from the start
        train_step(one, _first_batch(one), 0, keep_bad_batch_in=tmp_path)
        one.task.backbone.eval()
        if one is run:
            moved = {name: t.clone() for name, t in one.task.state_dict().items()}
    without.task.load_state_dict(moved)
    run.task.load_state_dict(moved)
    batch = _first_batch(run)
    pixels = normalize(batch.images, run.contract)
    with torch.no_grad():
        cos = F.cosine_similarity(run.task.backbone(pixels), load_model(place / "model").backbone(pixels))
    losses = [train_step(one, batch, 1, keep_bad_batch_in=tmp_path).loss for one in (run, without)]
    assert losses[0] - losses[1] == pytest.approx(3.0 * float((1 - cos).mean()), rel=1e-3)


def _first_batch(run: Any) -> Any:
    return run.dataset.batch(run.batches.batch_at(0))


@pytest.mark.parametrize(
    ("kind", "settings", "first"),
    [
        ("iresnet18", {}, "layer4.0"),
        ("mobilefacenet", {}, "conv_5.model.0"),
        ("ir18", {}, None),
        ("vit_t", {}, None),
        ("edgeface_xxs", {}, None),
    ],
)
def test_the_last_stage_of_published_backbones(kind: str, settings: dict[str, Any], first: str | None) -> None:
    config = BACKBONES[kind](kind=kind, **settings)
    backbone = config.build(input_size=112)
    trained = last_stage(backbone, input_size=112)
    names = {name for name, _ in backbone.named_parameters()}
    own = {name for name, module in backbone.named_modules() if module in trained}
    moving = {name for name in names if name.rpartition(".")[0] in own}
    share = sum(p.numel() for name, p in backbone.named_parameters() if name in moving) / sum(
        p.numel() for p in backbone.parameters()
    )
    if first is not None:
        assert next(name for name, module in backbone.named_modules() if module in trained) == first
    assert 0.1 < share < 0.95


def test_what_does_not_fit_together_is_refused(place: Path, tmp_path: Path) -> None:
    for start, changes, message in [
        ({"model": str(tmp_path / "none")}, {}, "there is no such folder"),
        (
            {},
            {"backbone": {"kind": "mobilefacenet", "embedding_dim": 16}},
            "the recipe's backbone is mobilefacenet",
        ),
        ({}, {"data": {"source": f"folder:{place / 'faces'}", "input_size": 48, "num_workers": 0}}, "takes 32 pixels"),
        ({"trains": "head"}, {"head": HEAD | {"fused_update": True}}, "nothing else trains"),
    ]:
        with pytest.raises(InputError, match=message):
            prepare(_config(place, start, **changes), ALONE)
    with pytest.raises(InputError, match="the whole backbone stays as it is"):
        _config(place, {"trains": "head", "distillation": 1.0})
    save_model(_plain_model(place), tmp_path / "plain")
    config = _config(place, {"model": str(tmp_path / "plain")}, backbone={"kind": KIND})
    for start, message in [
        ({"trains": "last_stage"}, "no repeated blocks"),
        ({"frozen_batch_norm": True}, "no batch normalisation"),
    ]:
        with pytest.raises(InputError, match=message):
            prepare(replace(config, start=replace(config.start, **start)), ALONE)


def _plain_model(place: Path) -> FaceModel:
    config = recipes.load(TrainConfig, tiny_recipe("folder:none", backbone={"kind": KIND})).backbone
    return FaceModel(config.build(input_size=32), config, InputContract(input_size=32))
