"""Exported graphs give the model's embeddings, carry its contract and card, and are read strictly."""

import copy

import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

import onnx

from marginface.backbones import BACKBONES
from marginface.errors import InputError
from marginface.images.normalize import InputContract, normalize
from marginface.models import FaceModel, load_model, resolve_model_folder, runtimes
from marginface.models.drift import cosine_drift
from marginface.models.exported_model import ExportedModel
from marginface.models.exporting import export as exporting
from marginface.models.exporting.export import ExportConfig, export_model, read_back
from marginface.models.exporting.onnx_graph import OPSET, metadata_of, onnx_graph
from tests.models.exported import SIDE, crops, graph_once, tiny
from tests.models.published import network_of

has_openvino = runtimes.is_installed("openvino")


@pytest.fixture(autouse=True)
def convert_once(monkeypatch):
    monkeypatch.setattr(exporting, "onnx_graph", graph_once)


@pytest.fixture
def file(tmp_path):
    export_model(tiny(), tmp_path / "tiny.onnx", ExportConfig())
    return tmp_path / "tiny.onnx"


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_onnx_file_is_the_model_for_any_number_of_images(file, runtime):
    if runtime == "openvino" and not has_openvino:
        pytest.skip("openvino is not installed")
    loaded = load_model(resolve_model_folder(file), runtime=runtime)
    for count in (1, 3, 8):
        for flip in ("none", "sum"):
            expected = tiny().embed(crops(count), flip=flip)
            assert cosine_drift(expected, loaded.embed(crops(count), flip=flip)).max() < 1e-9


def test_contract_card_and_fingerprint_come_back(file):
    loaded = load_model(file)
    assert isinstance(loaded, ExportedModel)
    assert (loaded.contract, loaded.card, loaded.fingerprint) == (tiny().contract, tiny().card, tiny().fingerprint)
    assert (loaded.name, loaded.embedding_dim, loaded.graph_config.backbone) == ("tiny", 16, "iresnet18")


def test_what_a_viewer_shows(file):
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    shown = metadata_of(model)
    assert (shown["licence"], shown["colour_order"], shown["value_range"]) == (
        "research only",
        "bgr",
        "minus_one_to_one",
    )
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    assert [i.name for i in model.graph.input] == ["images"]
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [
        "batch",
        3,
        SIDE,
        SIDE,
    ]


def test_folded_norms_are_gone_from_the_graph(file):
    operations = [node.op_type for node in onnx.load(file).graph.node]
    assert operations.count("BatchNormalization") == 4  # one before the padded convolution of each block


def test_prelu_is_written_as_each_runtime_is_quick_at(file, tmp_path):
    operations = {node.op_type for node in onnx.load(file).graph.node}
    assert "PRelu" not in operations
    assert "Clip" in operations
    pixels = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    backbone = tiny().backbone.eval()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    graph = onnx_graph(backbone, pixels, for_onnxruntime=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    run = runtimes.ENGINES["onnxruntime"](graph.SerializeToString())
    assert cosine_drift(torch.from_numpy(run(pixels.numpy())), backbone(pixels).detach()).max() < 1e-9


def test_bytes_in_and_the_mirror_image_inside(tmp_path):
    config = ExportConfig(takes="bytes", adds_mirror_image=True)
    export_model(tiny(), tmp_path / "whole.onnx", config)
    loaded = load_model(tmp_path / "whole.onnx")
    assert cosine_drift(tiny().embed(crops()), loaded.embed(crops())).max() < 1e-9
    with pytest.raises(InputError, match="adds the mirror image itself; use flip sum"):
        loaded.embed(crops(), flip="none")
    with pytest.raises(InputError, match="normalises its images itself"):
        loaded.backbone(torch.zeros(1, 3, SIDE, SIDE))


@pytest.mark.skipif(not has_openvino, reason="openvino is not installed")
def test_an_openvino_folder_is_the_model(tmp_path):
    export_model(tiny(), tmp_path / "ov", ExportConfig(to="openvino"))
    loaded = load_model(resolve_model_folder(tmp_path / "ov"))
    assert cosine_drift(tiny().embed(crops()), loaded.embed(crops())).max() < 1e-9
    assert (loaded.card, loaded.fingerprint) == (tiny().card, tiny().fingerprint)
    content = bytearray((tmp_path / "ov" / "model.bin").read_bytes())
    content[100] ^= 1
    (tmp_path / "ov" / "model.bin").write_bytes(content)
    with pytest.raises(InputError, match="edited, damaged or cut off"):
        load_model(tmp_path / "ov")


def test_a_torch_program_is_the_model_and_is_not_read_from_others(tmp_path):
    config = ExportConfig(to="torch")
    export_model(tiny(), tmp_path / "tiny.pt2", config)
    assert cosine_drift(tiny().embed(crops()), read_back(tmp_path / "tiny.pt2", config).embed(crops())).max() < 1e-9
    with pytest.raises(InputError, match="reading one can run code"):
        load_model(tmp_path / "tiny.pt2")


def test_int8_is_another_model_and_near(tmp_path):
    export_model(tiny(), tmp_path / "q.onnx", ExportConfig(int8=True), calibration=[crops(8, seed=1)])
    loaded = load_model(tmp_path / "q.onnx")
    assert 1e-7 < cosine_drift(tiny().embed(crops()), loaded.embed(crops())).max() < 0.2
    assert loaded.fingerprint != tiny().fingerprint
    assert loaded.graph_config.precision == "int8"
    operations = {node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operations


def test_int8_without_images_and_of_torch_is_refused(tmp_path):
    with pytest.raises(InputError, match="give --calibrate SOURCE"):
        export_model(tiny(), tmp_path / "q.onnx", ExportConfig(int8=True))
    with pytest.raises(InputError, match="int8 is for onnx and openvino"):
        ExportConfig(to="torch", int8=True)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_file_is_refused_in_a_sentence(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"tiny\.onnx: .*(damaged|no whole ONNX file)"):
        load_model(file)


def test_one_changed_bit_is_noticed(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_model(file)


def test_another_ones_file_has_to_be_imported_first(file):
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, file)
    with pytest.raises(InputError, match="marginface models import"):
        load_model(file)


def test_an_exported_graph_is_not_trained_or_exported_again(file):
    loaded = load_model(file)
    with pytest.raises(InputError, match="cannot be trained"):
        loaded.backbone_config.build(input_size=SIDE)
    with pytest.raises(InputError, match="exported graph already"):
        export_model(loaded, file, ExportConfig())
    with pytest.raises(InputError, match="run by onnxruntime or openvino, not by torch"):
        load_model(file, runtime="torch")


def test_a_wrong_suffix_and_a_missing_extra_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export_model(tiny(), tmp_path / "tiny", ExportConfig())
    monkeypatch.undo()
    monkeypatch.setattr(runtimes, "is_installed", lambda name: False)
    with pytest.raises(InputError, match=r"pip install 'marginface\[onnx\]'"):
        export_model(tiny(), tmp_path / "tiny.onnx", ExportConfig())


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["ir18", "ir_se50", "multiface_ir50", "mobilefacenet", "mobilefacenet_045g", "edgeface_xxs", "vit_t"]
)
def test_every_family_is_exported_as_it_is(kind, tmp_path, monkeypatch):
    monkeypatch.undo()
    config = BACKBONES[kind](kind=kind, embedding_dim=16)
    model = FaceModel(network_of(kind), config, InputContract(input_size=32), runtime="eager")
    export_model(model, tmp_path / "one.onnx", ExportConfig(takes="pixels"))
    pixels = normalize(crops(), model.contract)
    rounding = cosine_drift(
        model.backbone(pixels).detach(), copy.deepcopy(model.backbone).double()(pixels.double()).detach().float()
    )
    allowed = max(1e-8, 10 * float(rounding.max()))  # gates of random weights make rounding grow: 7e-5 for ir_se50
    for runtime in runtimes.ENGINES:
        loaded = load_model(tmp_path / "one.onnx", runtime=runtime)
        assert cosine_drift(model.embed(crops()), loaded.embed(crops())).max() < allowed
