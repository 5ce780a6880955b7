"""Nothing that drifts is written, what was there stays, and the errors before and after are told."""

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

import onnx

from marginface.cli.main import main
from marginface.errors import InputError, WorkError
from marginface.evaluation.parity import export_checked
from marginface.models import load_model, save_model
from marginface.models.exporting import export as exporting
from marginface.models.exporting.export import ExportConfig
from marginface.records.open import open_records
from tests.helpers.synthetic import write_faces
from tests.models.exported import SIDE, graph_once, tiny


@pytest.fixture(autouse=True)
def convert_once(monkeypatch):
    monkeypatch.setattr(exporting, "onnx_graph", graph_once)


@pytest.fixture
def faces(tmp_path):
    return open_records(write_faces(tmp_path / "faces", num_identities=4, images_per_identity=3, size=SIDE))


def test_the_same_embeddings_pass_and_have_the_same_errors(faces, tmp_path):
    parity = export_checked(tiny(), tmp_path / "out" / "tiny.onnx", ExportConfig(), check=faces)
    assert parity.num_images == 12
    assert parity.max_drift < 1e-9
    assert parity.before.result.fields == parity.after.result.fields
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["tiny.onnx"]


def test_a_graph_that_drifts_is_not_written_and_the_old_one_stays(faces, tmp_path, monkeypatch):
    path = tmp_path / "out" / "tiny.onnx"
    export_checked(tiny(), path, ExportConfig(), check=faces)
    before = path.read_bytes()
    monkeypatch.setattr(exporting, "onnx_graph", lambda *network, **how: _shifted(graph_once(*network, **how)))
    with pytest.raises(WorkError, match=r"not written, for on 12 faces of .* from the model's, above 1e-05"):
        export_checked(tiny(), path, ExportConfig(), check=faces)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["tiny.onnx"]


def _shifted(graph):
    """Return the graph with every second weight of its last layer turned round."""
    moved = onnx.ModelProto()
    moved.CopyFrom(graph)
    last = next(node for node in reversed(moved.graph.node) if node.op_type in ("Gemm", "MatMul"))
    for tensor in moved.graph.initializer:
        if tensor.name == last.input[1]:
            values = onnx.numpy_helper.to_array(tensor).copy()
            values.reshape(-1)[::2] *= -1
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return moved


def test_without_faces_people_are_drawn(tmp_path):
    parity = export_checked(tiny(), tmp_path / "tiny.onnx", ExportConfig())
    assert (parity.num_images, parity.faces) == (72, "drawn faces")


def test_other_peoples_folders_and_int8_without_faces_are_refused(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("three years")
    with pytest.raises(InputError, match="holds other things"):
        export_checked(tiny(), tmp_path / "thesis", ExportConfig(to="openvino"))
    with pytest.raises(InputError, match="give --calibrate SOURCE"):
        export_checked(tiny(), tmp_path / "q.onnx", ExportConfig(int8=True))


@pytest.mark.slow
def test_the_verb_writes_what_evaluate_and_embed_take(faces, tmp_path, capsys):
    save_model(tiny_as_loaded(), tmp_path / "model")
    out, source = tmp_path / "q.onnx", f"folder:{tmp_path / 'faces'}"
    words = ["export", str(tmp_path / "model"), "--to", "onnx", "--out", str(out), "--check", source]
    assert main([*words, "--int8", "--calibrate", source]) == 0
    said = capsys.readouterr().out
    assert f"{out}: onnx, int8, takes normalised" in said
    assert "before check: " in said
    assert "after  check: " in said
    assert main([*words, "--int8", "--calibrate", source, "--max-drift", "1e-9"]) == 1
    assert "not written" in capsys.readouterr().err
    assert main(["evaluate", str(out), "--data", source, "--replicates", "0", "--workers", "0"]) == 0
    assert "tiny" in capsys.readouterr().out
    assert load_model(out).graph_config.precision == "int8"


def tiny_as_loaded():
    """A saved model is built by its config, so it has two blocks a stage: the real iResNet-18, at 32 pixels."""
    from marginface.models import FaceModel
    from tests.models.exported import CARD, CONFIG
    from tests.models.published import shaken

    return FaceModel(shaken(CONFIG.build(input_size=SIDE)), CONFIG, tiny().contract, CARD)
