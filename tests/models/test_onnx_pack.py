"""Somebody else's ONNX file becomes a model folder, runs under the contract it is given, and is read strictly."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from onnx import TensorProto, helper, numpy_helper

from marginface.cli.main import main
from marginface.errors import InputError
from marginface.evaluation.contract_probe import CONTRACTS, probe_contracts
from marginface.models import load_model
from marginface.models.convert import ContractUnknownError, import_checkpoint
from marginface.protocols import GeneratedConfig
from marginface.records.open import open_records
from tests.helpers.synthetic import write_faces

SIDE, DIM = 16, 8
WEIGHT = np.random.default_rng(0).normal(size=(DIM, 3, SIDE, SIDE)).astype(np.float32)


def write_pack(path, *, batch="N", normalises=False, outputs=DIM, inputs=3):
    """Write a recogniser that is one convolution as large as the image."""
    weight = WEIGHT[:outputs, :inputs] if inputs == 3 else np.ones((outputs, inputs, SIDE, SIDE), np.float32)
    nodes, name, constants = [], "data", [numpy_helper.from_array(weight, "w")]
    if normalises:
        constants += [numpy_helper.from_array(np.float32(v), n) for v, n in ((127.5, "mean"), (1 / 127.5, "scale"))]
        nodes += [helper.make_node("Sub", ["data", "mean"], ["a"]), helper.make_node("Mul", ["a", "scale"], ["b"])]
        name = "b"
    nodes += [helper.make_node("Conv", [name, "w"], ["map"]), helper.make_node("Flatten", ["map"], ["fc1"])]
    graph = helper.make_graph(
        nodes,
        "pack",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, inputs, SIDE, SIDE])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [batch, outputs])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def crops(count=3):
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), dtype=torch.uint8)


def by_hand(images, *, bgr=False):
    pixels = (images.flip(3) if bgr else images).permute(0, 3, 1, 2).double().flatten(1)
    return ((pixels - 127.5) / 127.5 @ torch.from_numpy(WEIGHT).double().flatten(1).T).float()


@pytest.mark.parametrize("batch", ["N", 1, 2])
@pytest.mark.parametrize("normalises", [False, True])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_pack_is_run_under_its_contract_whatever_its_batch(batch, normalises, order, tmp_path):
    if normalises and order == "bgr":
        pytest.skip("a graph that normalises itself is given RGB")
    path = write_pack(tmp_path / "w.onnx", batch=batch, normalises=normalises)
    import_checkpoint(path, colour_order=order, value_range="minus_one_to_one", name="pack").save(tmp_path / "m")
    model = load_model(tmp_path / "m")
    images = crops(5)
    torch.testing.assert_close(
        model.embed(images, flip="none"), by_hand(images, bgr=order == "bgr"), rtol=1e-4, atol=1e-3
    )
    expected = by_hand(images, bgr=order == "bgr") + by_hand(images.flip(2), bgr=order == "bgr")
    torch.testing.assert_close(model.embed(images), expected, rtol=1e-4, atol=1e-3)
    assert (model.name, model.embedding_dim, model.contract.colour_order) == ("pack", DIM, order)
    assert (tmp_path / "m" / "model.onnx").read_bytes() == path.read_bytes()


def test_the_contract_is_asked_and_can_be_probed(tmp_path):
    path = write_pack(tmp_path / "w.onnx")
    with pytest.raises(ContractUnknownError, match="does not tell its input contract"):
        import_checkpoint(path)
    model = import_checkpoint(path, colour_order="rgb", value_range="minus_one_to_one").model
    faces = open_records(write_faces(tmp_path / "faces", num_identities=3, images_per_identity=2, size=SIDE))
    results = probe_contracts(model, faces, GeneratedConfig(num_non_mated=5), num_replicates=0)
    assert {(r.colour_order, r.value_range) for r in results} == set(CONTRACTS)


def test_import_and_list_as_typed(tmp_path, capsys):
    path, out = write_pack(tmp_path / "w.onnx"), tmp_path / "models" / "pack"
    words = ["--colour-order", "rgb", "--value-range", "minus_one_to_one", "--licence", "non-commercial research"]
    assert main(["models", "import", str(path), "--out", str(out), *words]) == 0
    assert "onnx_graph, 8 values, recognised as onnx" in capsys.readouterr().out
    assert main(["models", "list", str(tmp_path / "models")]) == 0
    assert "onnx_graph, rgb minus_one_to_one, 16 pixels" in capsys.readouterr().out


def test_a_changed_pack_is_noticed(tmp_path):
    given = {"colour_order": "rgb", "value_range": "minus_one_to_one"}
    import_checkpoint(write_pack(tmp_path / "w.onnx"), **given).save(tmp_path / "m")
    write_pack(tmp_path / "m" / "model.onnx", normalises=True)
    with pytest.raises(InputError, match="the fingerprint is"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    "write, told",
    [
        (lambda p: p.write_bytes(write_pack(p).read_bytes()[:200]), "damaged|no whole ONNX file"),
        (lambda p: write_pack(p, inputs=1), r"it takes \(\?, 1, 16, 16\)"),
    ],
)
def test_what_is_no_recogniser_is_refused(write, told, tmp_path):
    write(tmp_path / "w.onnx")
    with pytest.raises(InputError, match=told):
        import_checkpoint(tmp_path / "w.onnx", colour_order="rgb", value_range="minus_one_to_one")
