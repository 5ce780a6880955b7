"""Files that are damaged, dangerous or not what they seem end in one sentence, and nothing of them is run."""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.models.convert import foreign_file, import_checkpoint, read_foreign_file
from tests.models.published import CASES, centres, mindspore_bytes, network_of, prefixed

SMALL = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.ones(3)}


def saved(content: Any, *, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


CONTAINERS = {
    "torch": lambda content: saved(content),
    "old torch": lambda content: saved(content, old=True),
    "safetensors": safetensors.torch.save,
    "mindspore": mindspore_bytes,
}


def refusal(path: Path, **how: Any) -> str:
    with pytest.raises(InputError) as caught:
        import_checkpoint(path, **how)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


# -- damaged -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", CONTAINERS)
def test_each_container_is_told_by_its_bytes_and_read(container, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(CONTAINERS[container](SMALL))
    read = read_foreign_file(path)
    assert read.container == container.removeprefix("old ")
    assert set(read.content) == set(SMALL)
    assert all(torch.equal(read.content[name], tensor) for name, tensor in SMALL.items())


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_file_that_was_cut_off(container, share, tmp_path):
    whole = CONTAINERS[container]({**SMALL, "large.weight": torch.ones(64, 64)})
    path = tmp_path / "cut.pth"
    path.write_bytes(whole[: max(int(len(whole) * share), 40)])
    assert "damaged or cut off" in refusal(path)


@pytest.mark.parametrize("container", CONTAINERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_bytes_are_read_or_refused_never_a_traceback(container, tmp_path, data):
    content = bytearray(CONTAINERS[container](SMALL))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        read_foreign_file(path)


@pytest.mark.parametrize(
    "content, told",
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page, not weights; the download went wrong"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a Git LFS pointer"),
        (b"\x08\x07\x12\x07pytorch\x1a\x052.0.0", "this is no whole ONNX file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"some notes on faces", "no file of weights that we know"),
    ],
)
def test_other_files(content, told, tmp_path):
    path = tmp_path / "backbone.pth"
    path.write_bytes(content)
    assert told in refusal(path)


def test_a_missing_file_and_a_folder(tmp_path):
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "not_here.pth")
    assert "this is a folder" in refusal(tmp_path)


def test_a_zip_of_something_else(tmp_path):
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w600k_r50.onnx", b"\x08\x07")
    assert "holds no torch weights" in refusal(path)


def test_a_torchscript_program(tmp_path):
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("script/data.pkl", "script/constants.pkl", "script/code/__torch__.py"):
            archive.writestr(name, b"")
    assert "TorchScript program, which is code" in refusal(path)


# -- dangerous ---------------------------------------------------------------------------------------------------------


class Payload:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "function, arguments, wanted",
    [
        (os.system, ("touch {}",), "posix.system"),
        (builtins.open, ("{}", "w"), "io.open"),
        (exec, ("open({!r}, 'w')",), "exec"),
        (Path.touch, (Path("{}"),), "getattr"),
    ],
)
def test_a_pickle_that_would_write_a_file_is_refused_and_does_not(function, arguments, wanted, old, tmp_path):
    victim, path = tmp_path / "written", tmp_path / "backbone.pth"
    filled = [type(a)(str(a).format(str(victim))) for a in arguments]
    state = dict(network_of("mobilefacenet").state_dict())
    path.write_bytes(saved({**state, "extra": Payload(function, *filled)}, old=old))
    sentence = refusal(path)
    assert wanted in sentence
    assert "was not loaded" in sentence
    assert not victim.exists()
    torch.load(path, weights_only=False)  # the bomb is a real one
    assert victim.exists()


def test_a_harmless_name_runs_nothing_either(tmp_path):
    """What `HARMLESS` names is replaced by an empty shell: nothing that it is called with has an effect."""
    path, victim = tmp_path / "a.pth", tmp_path / "written"

    class Namespace:
        def __reduce__(self) -> Any:
            import argparse

            return argparse.Namespace, (), {"x": str(victim)}

    path.write_bytes(saved({**network_of("mobilefacenet").state_dict(), "args": Namespace()}))
    assert import_checkpoint(path).family == "multiface"
    assert not victim.exists()


def test_the_shells_are_those_of_nobody(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    path = tmp_path / "a.pth"
    path.write_bytes(saved(SMALL))
    read_foreign_file(path)
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_zip_bomb_is_refused_by_its_table_of_contents(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/data/0", b"\0" * (1 << 24))
    sentence = refusal(path)
    assert f"would unpack to {(1 << 24) + len(pickle.dumps({}, protocol=2)):,}" in sentence
    assert "4 times the file's size" in sentence


def test_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign_file, "MAX_BYTES", 40)
    path = tmp_path / "large.pth"
    path.write_bytes(saved(SMALL))
    assert "would unpack to" in refusal(path)
    path.write_bytes(saved(SMALL, old=True))
    assert "its tensors claim" in refusal(path)


def test_a_terabyte_out_of_four_bytes_is_refused(tmp_path):
    path = tmp_path / "strides.pth"
    path.write_bytes(saved({"conv1.weight": torch.zeros(1).expand(1 << 38)}))
    assert "its tensors claim 1,099,511,627,776 bytes or more" in refusal(path)


def test_nested_shared_lists_do_not_explode(tmp_path):
    nest: list = []
    for _ in range(60):
        nest = [nest, nest]
    path = tmp_path / "laughs.pth"
    path.write_bytes(saved({"nest": nest}))
    assert "holds no tensors" in refusal(path)


def test_a_sparse_tensor_is_refused(tmp_path):
    path = tmp_path / "sparse.pth"
    path.write_bytes(saved({"fc.weight": torch.eye(3).to_sparse()}))
    assert "weights are dense" in refusal(path)


# -- the wrong ones ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [{"fc.weight": torch.ones(2, 2)}, {}, [torch.ones(2)], {"state_dict": {"head.kernel": centres()}}, torch.ones(3)],
)
def test_no_family(content, tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(saved(content))
    assert "fits none of the known families (magface, adaface, " in refusal(path)


def changed(case: str, change: Any) -> bytes:
    content = CASES[case].make()
    inner = content.get("state_dict", content)
    change(inner)
    return saved(content)


def test_every_missing_and_every_unexpected_tensor_is_listed(tmp_path):
    def change(state: dict) -> None:
        del state["features.module.layer2.1.conv2.weight"], state["features.module.features.running_mean"]
        state["features.module.layer9.0.weight"] = torch.ones(1)
        state["stray"] = torch.ones(1)

    path = tmp_path / "a.pth"
    path.write_bytes(changed("magface parallel", change))
    sentence = refusal(path)
    assert "recognised as MagFace (IrvingMeng/MagFace), iResNet" in sentence
    assert "2 missing: features.running_mean, layer2.1.conv2.weight" in sentence
    assert "2 unexpected: layer9.0.weight, stray" in sentence


def test_another_shape_is_listed(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(changed("multiface mobile", lambda state: state.update({"bn.weight": torch.ones(3)})))
    assert "1 of another shape: bn.weight is (3,) and not (16,)" in refusal(path)


def test_some_counters_without_the_others_are_missing(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(changed("multiface mobile", lambda state: state.pop("bn.num_batches_tracked")))
    assert "1 missing: bn.num_batches_tracked" in refusal(path)


def test_a_depth_that_nobody_published(tmp_path):
    def change(state: dict) -> None:
        for name in [n for n in state if n.startswith("layer3.1.")]:
            del state[name]

    path = tmp_path / "a.pth"
    path.write_bytes(changed("insightface", change))
    assert "but an iResNet with (2, 2, 1, 2) blocks a stage is not one of iresnet18" in refusal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(value, tmp_path):
    def change(state: dict) -> None:
        weight = state["conv_3.model.0.conv.conv.weight"].clone()
        weight[:2, 0] = value
        state["conv_3.model.0.conv.conv.weight"] = weight

    path = tmp_path / "a.pth"
    path.write_bytes(changed("multiface mobile", change))
    assert "2 of the 8,192 values of conv_3.model.0.conv.conv.weight are NaN or infinite" in refusal(path)


def test_class_centres_that_are_not_finite(tmp_path):
    path = tmp_path / "a.ckpt"
    broken = {"head.kernel": centres().index_fill(1, torch.tensor(2), float("nan"))}
    path.write_bytes(changed("adaface", lambda state: state.update(broken)))
    assert "its class centres are not all finite" in refusal(path)


def test_a_second_file_without_class_centres(tmp_path):
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(saved(CASES["insightface mbf"].make()))
    with pytest.raises(InputError, match="b.pt: it holds no class centres; further files can only be shards"):
        import_checkpoint([tmp_path / "a.pt", tmp_path / "b.pt"])


def test_ir_and_iresnet_are_not_mistaken_for_each_other(tmp_path):
    """They share shapes everywhere but in the first shortcut."""
    path = tmp_path / "a.ckpt"
    path.write_bytes(saved({"state_dict": prefixed("model.", network_of("iresnet18").state_dict())}))
    assert "fits none of the known families" in refusal(path)


# -- MindSpore ---------------------------------------------------------------------------------------------------------


def test_a_mindspore_tensor_that_does_not_fill_its_shape(tmp_path):
    whole = mindspore_bytes({"conv1.weight": torch.ones(2, 3)})
    path = tmp_path / "a.ckpt"
    path.write_bytes(whole.replace(b"\x08\x02\x08\x03", b"\x08\x02\x08\x04"))
    assert "conv1.weight has 24 bytes, which do not fill (2, 4) of Float32" in refusal(path)


def test_a_mindspore_type_that_torch_lacks(tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_bytes(mindspore_bytes({"conv1.weight": torch.ones(2, 3)}).replace(b"Float32", b"Complex"))
    assert "conv1.weight is of type 'Complex'" in refusal(path)


@pytest.mark.parametrize("option, value", [("colour_order", "grb"), ("value_range", "0..1")])
def test_an_unknown_contract(option, value, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(saved(CASES["tface"].make()))
    with pytest.raises(InputError, match=f"--{option.replace('_', '-')} '{value}' is unknown; choose from"):
        import_checkpoint(path, **{option: value})
