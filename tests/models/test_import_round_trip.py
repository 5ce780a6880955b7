"""What publishers write comes back as a model with the same outputs, its contract, its head and its terms."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from marginface.errors import InputError
from marginface.heads.store import load_head
from marginface.models import load_model
from marginface.models.convert import FAMILIES, ContractUnknownError, import_checkpoint
from tests.models import published
from tests.models.published import CASES, DIM, NUM_CLASSES, Case, centres, network_of


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write(case: Case, path: Path) -> Path:
    content = case.make()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif case.safetensors:
        safetensors.torch.save_file({k: v.contiguous() for k, v in content.items()}, path)
    else:
        torch.save(content, path)
    return path


def given(case: Case) -> dict[str, str]:
    """What the user is asked for."""
    return {} if case.contract else {"colour_order": "rgb", "value_range": "minus_one_to_one"}


def test_every_family_has_a_round_trip():
    assert {case.family for case in CASES.values()} == set(FAMILIES)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "cvlface ViT" else []) for n in CASES]
)
def test_outputs_are_the_published_network_s(name, tmp_path):
    case = CASES[name]
    imported = import_checkpoint(write(case, tmp_path / "a.bin"), **given(case))
    assert (imported.family, imported.model.backbone_config.kind) == (case.family, case.kind)
    contract = imported.model.contract
    assert (contract.colour_order, contract.value_range) == (case.contract or published.RGB)
    assert contract.input_size == case.input_size
    images = torch.randn(2, 3, case.input_size, case.input_size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = case.forward(images)
        found = imported.model.backbone(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * max(1.0, expected.abs().max().item()))
    assert (imported.head is not None) == (case.num_classes > 0)


def test_old_containers_are_read_too(tmp_path):
    path = tmp_path / "old.pth"
    torch.save(network_of("mobilefacenet").state_dict(), path, _use_new_zipfile_serialization=False)
    assert import_checkpoint(path).family == "multiface"


def test_the_name_of_the_file_does_not_matter(tmp_path):
    misleading = tmp_path / "magface_iresnet100.ckpt"
    assert import_checkpoint(write(CASES["insightface"], misleading)).family == "insightface"


def test_half_precision_becomes_single(tmp_path):
    state = {k: v.half() if v.is_floating_point() else v for k, v in network_of("mobilefacenet").state_dict().items()}
    torch.save(state, tmp_path / "half.pth")
    model = import_checkpoint(tmp_path / "half.pth").model
    assert {t.dtype for t in model.backbone.parameters()} == {torch.float32}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_int8_linear_layers_become_float(tmp_path):
    state = network_of("edgeface_xxs", 112).state_dict()
    torch.save(published.prefixed("model.", published.quantised(state)), tmp_path / "q.pt")
    imported = import_checkpoint(tmp_path / "q.pt")
    for name, tensor in imported.model.backbone.state_dict().items():
        step = state[name].abs().max() / 127 if state[name].dim() == 2 and name.endswith("weight") else 0.0
        assert (tensor - state[name]).abs().max() <= step * 0.51, name


# -- heads -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, expected, margin",
    [
        ("magface DataParallel", centres().T, "magface"),
        ("magface parallel", centres(NUM_CLASSES, DIM), "magface"),
        ("adaface", centres().T, "adaface"),
        ("insightface resume", centres(NUM_CLASSES, DIM), "arcface"),
        ("mindface", centres(NUM_CLASSES, DIM), "arcface"),
    ],
)
def test_a_head_is_kept_beside_the_model(name, expected, margin, tmp_path):
    imported = import_checkpoint(write(CASES[name], tmp_path / "a.bin"))
    imported.save(tmp_path / "model")
    stored = load_head(tmp_path / "model" / "head")
    assert torch.equal(stored.head.class_centres, expected)
    assert stored.settings.margin.kind == margin
    assert stored.identities == tuple(str(i) for i in range(NUM_CLASSES))
    assert load_model(tmp_path / "model").fingerprint == imported.model.fingerprint


def test_statistics_of_adaface_come_along(tmp_path):
    import_checkpoint(write(CASES["adaface"], tmp_path / "a.ckpt")).save(tmp_path / "model")
    margin = load_head(tmp_path / "model" / "head").head.margin
    assert (margin.batch_mean.item(), margin.batch_std.item()) == (21.5, 4.5)


def shards(folder: Path, sizes: list[int], *, bare: bool = False, other_network: bool = False) -> list[Path]:
    whole, paths = centres(sum(sizes), DIM), []
    for rank, rows in enumerate(whole.split(sizes)):
        kind = "mobilefacenet_045g"
        state = network_of(kind).state_dict()
        if rank and other_network:
            state = {**state, "features.layers.2.weight": state["features.layers.2.weight"] + 1}
        elif rank:  # running statistics are those of a rank
            state = {k: v + 1 if "running_mean" in k else v for k, v in state.items()}
        paths.append(folder / f"checkpoint_gpu_{rank}.pt")
        torch.save(rows.clone() if bare and rank else published.insightface_resume(state, rows.clone()), paths[-1])
    return paths


@pytest.mark.parametrize("bare", [False, True])
def test_shards_of_several_ranks_are_joined_in_order(bare, tmp_path):
    head = import_checkpoint(shards(tmp_path, [4, 3, 3], bare=bare)).head
    assert head is not None
    assert torch.equal(head.centres_CD, centres(10, DIM))


def test_shards_beside_a_network_without_a_head_are_joined(tmp_path):
    """As the older zoo has them: backbone.pth and rank_*_softmax_weight.pt."""
    paths = [write(CASES["insightface mbf"], tmp_path / "backbone.pth")]
    for rank, rows in enumerate(centres(7, DIM).split([4, 3])):
        paths.append(tmp_path / f"rank_{rank}_softmax_weight.pt")
        torch.save(rows.clone(), paths[-1])
    head = import_checkpoint(paths).head
    assert head is not None
    assert torch.equal(head.centres_CD, centres(7, DIM))


def test_one_shard_alone_is_told(tmp_path):
    imported = import_checkpoint(shards(tmp_path, [4, 3])[0])
    assert any("if the run had several ranks" in note for note in imported.notes)


def test_shards_in_another_order_are_refused(tmp_path):
    first, second, third = shards(tmp_path, [4, 3, 3])
    with pytest.raises(InputError, match="not those of all ranks in order"):
        import_checkpoint([second, first, third])


def test_shards_of_two_runs_are_refused(tmp_path):
    with pytest.raises(InputError, match="its network is not that of"):
        import_checkpoint(shards(tmp_path, [4, 3], other_network=True))


def test_centres_of_another_width_are_refused(tmp_path):
    first, _ = shards(tmp_path, [4, 3])
    torch.save(torch.zeros(3, DIM + 1), tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"class centres of shape \(3, 17\) do not fit embeddings of 16"):
        import_checkpoint([first, tmp_path / "other.pt"])


# -- the input contract ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cvlface", "cvlface safetensors", "tface", "plain state dict"])
def test_who_does_not_tell_is_asked_for(name, tmp_path):
    path = write(CASES[name], tmp_path / "a.pt")
    with pytest.raises(ContractUnknownError, match=r"Give --colour-order .* --value-range .* models probe"):
        import_checkpoint(path)
    with pytest.raises(ContractUnknownError):
        import_checkpoint(path, colour_order="bgr")
    model = import_checkpoint(path, colour_order="bgr", value_range="zero_to_one").model
    assert (model.contract.colour_order, model.contract.value_range) == ("bgr", "zero_to_one")


@pytest.mark.parametrize("text", ["color_space: BGR\n", '{"conf": {"color_space": "BGR"}}', "color_space: 'BGR'"])
def test_cvlface_tells_beside_its_weights(text, tmp_path):
    (tmp_path / "model.yaml").write_text(text)
    imported = import_checkpoint(write(CASES["cvlface"], tmp_path / "model.pt"))
    assert (imported.model.contract.colour_order, imported.model.contract.value_range) == published.BGR
    assert imported.notes == ("The colour order is BGR, as model.yaml beside the weights says.",)


def test_a_user_may_overrule_the_family_and_is_told(tmp_path):
    imported = import_checkpoint(write(CASES["insightface"], tmp_path / "a.pt"), colour_order="bgr")
    assert imported.model.contract.colour_order == "bgr"
    assert "has rgb and minus_one_to_one" in imported.notes[0]


# -- the card ----------------------------------------------------------------------------------------------------------


def test_the_card_says_where_the_weights_come_from_and_on_which_terms(tmp_path, caplog):
    path = write(CASES["insightface mbf"], tmp_path / "model.pt")
    imported = import_checkpoint(path, name="mbf", training_data="MS1MV3", command="marginface models import model.pt")
    card = imported.model.card
    assert card.commercial_use == "not allowed"
    assert "non-commercial research only" in card.licence
    assert card.provenance.origin == f"model.pt, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert (card.name, card.training_data) == ("mbf", "MS1MV3")
    imported.save(tmp_path / "model")
    with caplog.at_level(logging.INFO, logger="marginface.models.store"):
        load_model(tmp_path / "model")
    assert "commercial use not allowed; MS1MV3" in caplog.text
    assert "Commercial use: not allowed." in (tmp_path / "model" / "card.md").read_text()


def test_a_licence_of_the_user_s_replaces_what_was_known(tmp_path):
    path = write(CASES["insightface mbf"], tmp_path / "model.pt")
    card = import_checkpoint(path, licence="ours, bought").model.card
    assert (card.licence, card.commercial_use) == ("ours, bought", "not stated")
    assert import_checkpoint(path, licence="bought", commercial_use="allowed").model.card.commercial_use == "allowed"


# -- what Lightning and others leave in their pickles ------------------------------------------------------------------


@pytest.fixture
def lightning(monkeypatch):
    """A module that pickles as Lightning's, gone again when the file is read."""

    def of(name: str, base: type) -> type:
        module_name, _, class_name = name.rpartition(".")
        made = type(class_name, (base,), {"__module__": module_name})
        parts = module_name.split(".")
        for i in range(1, len(parts) + 1):
            at = ".".join(parts[:i])
            if at not in sys.modules:
                monkeypatch.setitem(sys.modules, at, types.ModuleType(at))
        monkeypatch.setattr(sys.modules[module_name], class_name, made, raising=False)
        return made

    return of


def test_settings_and_callbacks_of_lightning_are_left_aside(lightning, tmp_path, monkeypatch):
    settings = lightning("pytorch_lightning.utilities.parsing.AttributeDict", dict)
    callback = lightning("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", object)
    content = {
        **CASES["adaface"].make(),
        "hyper_parameters": settings(arch="ir_18", head="adaface"),
        "callbacks": {callback: {"best_model_score": torch.tensor(0.5)}},
        "args": argparse.Namespace(lr=0.1),
        "best": np.float64(0.99),
        "folder": Path("runs"),
    }
    torch.save(content, tmp_path / "a.ckpt")
    monkeypatch.delitem(sys.modules, "pytorch_lightning.utilities.parsing")
    assert import_checkpoint(tmp_path / "a.ckpt").family == "adaface"


def test_model_json_of_an_older_card_is_still_read(tmp_path):
    import_checkpoint(write(CASES["multiface mobile"], tmp_path / "a.pth")).save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    about = json.loads(path.read_text())
    del about["card"]["commercial_use"]
    path.write_text(json.dumps(about))
    assert load_model(tmp_path / "model").card.commercial_use == "not stated"
