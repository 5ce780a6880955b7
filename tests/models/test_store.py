"""Model folders are written whole or not at all, and read strictly: each fault is one sentence that says what to do."""

import errno
import json
import os

import pytest
import safetensors
import safetensors.torch
import torch

from marginface.backbones import MobileFaceNetConfig
from marginface.errors import InputError, WorkError
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard, load_model, resolve_model_folder, save_card, save_model, store

CONFIG = MobileFaceNetConfig(embedding_dim=8)


def model_of(seed: int = 0) -> FaceModel:
    backbone = CONFIG.build(input_size=32, seed=seed)
    card = ModelCard(name=f"seed {seed}", licence="research only")
    return FaceModel(backbone, CONFIG, InputContract(input_size=32, colour_order="bgr"), card)


def edit_json(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def folder(tmp_path):
    save_model(model_of(), tmp_path / "model")
    return tmp_path / "model"


def test_a_loaded_model_is_the_saved_one(folder):
    saved, loaded = model_of(), load_model(folder)
    crops = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(loaded.embed(crops), saved.embed(crops))
    assert loaded.fingerprint == saved.fingerprint
    assert (loaded.card, loaded.contract, loaded.backbone_config) == (saved.card, saved.contract, saved.backbone_config)
    assert not loaded.training


def test_weights_file_holds_the_published_key_names(folder):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    assert set(tensors) == set(model_of().backbone.state_dict())


def test_only_the_three_files_stay(folder):
    assert sorted(p.name for p in folder.iterdir()) == ["card.md", "model.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_channels_last_weights_are_stored_and_read_back(tmp_path):
    model = model_of()
    model.backbone.to(memory_format=torch.channels_last)
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").fingerprint == model_of().fingerprint


def test_saving_again_replaces_the_model(folder):
    save_model(model_of(seed=1), folder)
    assert load_model(folder).card.name == "seed 1"
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), safetensors.SafetensorError("No space left on device")]
)
def test_a_full_disk_leaves_the_old_model_whole(folder, monkeypatch, error):
    def fail(tensors, path, metadata=None):
        path.write_bytes(b"half a fi")
        raise error

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    with pytest.raises(WorkError, match=r"could not be written \(the disk is full\); an older one there is untouched"):
        save_model(model_of(seed=1), folder)
    assert load_model(folder).fingerprint == model_of().fingerprint
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_failing_last_rename_puts_the_old_model_back(folder, monkeypatch):
    rename = os.rename

    def fail_on_the_new_one(source, target):
        if source.name.endswith(".writing"):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(store.os, "rename", fail_on_the_new_one)
    with pytest.raises(WorkError, match="Input/output error"):
        save_model(model_of(seed=1), folder)
    assert load_model(folder).card.name == "seed 0"
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_save_cut_off_between_its_renames_loses_nothing(folder):
    folder.rename(folder.with_name(".model.previous"))
    (folder.with_name(".model.writing")).mkdir()
    assert load_model(folder).card.name == "seed 0"
    assert resolve_model_folder(folder.parent) == folder
    save_model(model_of(seed=1), folder)
    assert load_model(folder).card.name == "seed 1"


def test_a_folder_of_other_things_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(InputError, match="not a model folder and will not be overwritten"):
        save_model(model_of(), tmp_path)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"there is no {name}"):
        load_model(folder)


def test_a_missing_folder_is_not_a_model(tmp_path):
    with pytest.raises(InputError, match=r"there is no model.json, so this is not a model folder"):
        load_model(tmp_path / "nowhere")


def test_truncated_weights_are_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        InputError, match=r"model\.safetensors: the weights are damaged or cut off .* copy the model again"
    ):
        load_model(folder)


def test_one_changed_bit_in_the_weights_is_noticed(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"fingerprint is .* a file was edited, damaged or belongs to another model"):
        load_model(folder)


def test_an_edited_contract_is_noticed(folder):
    edit_json(folder, contract={"input_size": 32, "colour_order": "rgb"})
    with pytest.raises(InputError, match="fingerprint"):
        load_model(folder)


def test_weights_of_another_architecture_are_refused(folder):
    edit_json(folder, backbone={"kind": "mobilefacenet_045g", "embedding_dim": 8})
    with pytest.raises(InputError, match="these are not the weights of the mobilefacenet_045g"):
        load_model(folder)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"backbone": {"kind": "mobilefacenett"}},
            r"there is no backbone 'mobilefacenett'; did you mean 'mobilefacenet'",
        ),
        ({"contract": {"colour_order": "grb"}}, "colour_order: 'grb' is not a choice"),
        ({"surprise": 1}, "surprise: there is no such setting"),
        ({"format": 2}, "format 2 is unknown to this version; upgrade marginface"),
    ],
)
def test_a_description_that_is_not_understood_is_refused(folder, changes, message):
    edit_json(folder, **changes)
    with pytest.raises(InputError, match=rf"model\.json: .*{message}"):
        load_model(folder)


@pytest.mark.parametrize("text", ["{", "[1, 2]"])
def test_a_description_that_is_not_a_mapping_is_refused(folder, text):
    (folder / "model.json").write_text(text)
    with pytest.raises(InputError, match=r"model\.json: "):
        load_model(folder)


def test_a_run_folder_and_a_model_folder_both_name_a_model(folder):
    assert resolve_model_folder(folder) == folder
    assert resolve_model_folder(folder.parent) == folder


def test_what_is_neither_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither a model folder"):
        resolve_model_folder(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        resolve_model_folder(tmp_path / "nowhere")


def test_another_card_leaves_the_weights_and_all_else_in_the_folder(folder):
    (folder / "notes.txt").write_text("mine")
    weights = (folder / "model.safetensors").stat().st_mtime_ns
    save_card(folder, ModelCard(name="renamed"))
    assert load_model(folder).card == ModelCard(name="renamed")
    assert load_model(folder).fingerprint == model_of().fingerprint
    assert (folder / "card.md").read_text().startswith("# renamed")
    assert (folder / "model.safetensors").stat().st_mtime_ns == weights
    assert sorted(p.name for p in folder.iterdir()) == ["card.md", "model.json", "model.safetensors", "notes.txt"]
    with pytest.raises(InputError, match="not valid JSON"):
        save_card(folder.parent, ModelCard())
