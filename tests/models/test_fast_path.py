"""embed runs a folded copy: the same embeddings, never of weights that have moved on, and never a changed backbone."""

import copy
import logging
import pickle

import pytest
import torch

from marginface.backbones import MobileFaceNetConfig
from marginface.errors import InputError
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, fast_path, runtimes
from marginface.models.drift import cosine_drift
from marginface.models.fast_path import MANY_IMAGES, chosen_runtime
from tests.models.exported import CONFIG as TINY
from tests.models.exported import SIDE, tiny
from tests.models.published import shaken

CONFIG = MobileFaceNetConfig(embedding_dim=8)


def model_of(runtime="torch", seed: int = 0) -> FaceModel:
    return FaceModel(
        shaken(CONFIG.build(input_size=32, seed=seed)), CONFIG, InputContract(input_size=32), runtime=runtime
    )


def crops(count: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def eager(model: FaceModel) -> torch.Tensor:
    return FaceModel(model.backbone, CONFIG, model.contract, runtime="eager").embed(crops())


@pytest.fixture
def folds(monkeypatch):
    """How often a backbone was folded."""
    made = []
    fold = fast_path.fold_batch_norm
    monkeypatch.setattr(fast_path, "fold_batch_norm", lambda *a: made.append(1) or fold(*a))
    return made


def test_the_folded_path_gives_the_eager_embeddings_and_is_made_once(folds):
    model = model_of()
    assert cosine_drift(eager(model), model.embed(crops())).max() < 1e-9
    model.embed(crops(), flip="none")
    assert len(folds) == 1


def test_state_dict_parameters_and_modes_are_those_of_the_backbone():
    model = model_of().train()
    names = list(model.state_dict())
    model.embed(crops())
    assert list(model.state_dict()) == names
    assert len(list(model.parameters())) == len(list(model.backbone.parameters()))
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.backbone.parameters())


def moved_in_place(model):
    model.backbone.linear.weight.add_(0.1 * torch.randn(8, 512, generator=torch.Generator().manual_seed(1)))


def moved_through_data(model):
    model.backbone.conv1.conv.weight.data.mul_(torch.linspace(0.5, 2, 64).view(-1, 1, 1, 1))


def moved_statistics(model):
    model.backbone.train()(torch.randn(4, 3, 32, 32))


def loaded(model):
    model.backbone.load_state_dict(model_of(seed=5).backbone.state_dict())


def stepped(model):
    with torch.enable_grad():
        model.backbone.train()(torch.randn(4, 3, 32, 32)).square().mean().backward()
    torch.optim.SGD(model.backbone.parameters(), lr=0.5).step()


def replaced(model):
    model.backbone.conv1.bn = torch.nn.BatchNorm2d(64, eps=0.5).eval()


def another_eps(model):
    for module in model.backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.3


@pytest.mark.parametrize(
    "change", [moved_in_place, moved_through_data, moved_statistics, loaded, stepped, replaced, another_eps]
)
def test_whatever_changes_the_weights_the_embeddings_follow(change, folds):
    model = model_of()
    before = model.embed(crops())
    with torch.no_grad():
        change(model)
    after = model.embed(crops())
    assert (after - before).abs().max() > 10 * (after - eager(model)).abs().max()
    assert len(folds) == 2


def test_copies_and_pickles_have_a_path_of_their_own():
    model = model_of()
    expected = model.embed(crops())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with torch.no_grad():
            other.backbone.linear.weight.zero_()
        assert not other.embed(crops()).equal(expected)
    assert model.embed(crops()).equal(expected)


def test_a_fold_that_drifts_is_not_used(monkeypatch, caplog):
    def wrong(backbone, pixels):
        folded = copy.deepcopy(backbone)
        with torch.no_grad():
            folded.linear.weight[0] += 1.0
        return folded

    monkeypatch.setattr(fast_path, "fold_batch_norm", wrong)
    model = model_of()
    with caplog.at_level(logging.INFO):
        assert torch.equal(model.embed(crops()), eager(model))
    assert "runs as it is, for folding its batch norms failed: 1 - cosine is" in caplog.text


def test_hooks_still_run():
    model, seen = model_of(), []
    model.backbone.conv_3.register_forward_hook(lambda *_: seen.append(1))
    model.embed(crops(), flip="none")
    assert seen


def test_no_images_give_no_embeddings():
    assert model_of().embed(crops(0)).shape == (0, 8)


def test_auto_converts_for_announced_jobs_of_thousands_only(monkeypatch):
    monkeypatch.setattr(fast_path, "is_installed", lambda name: name in ("openvino", "onnxscript"))
    assert chosen_runtime("auto", num_images=0) == "torch"
    assert chosen_runtime("auto", num_images=MANY_IMAGES) == "openvino"
    assert chosen_runtime("eager", num_images=MANY_IMAGES) == "eager"
    monkeypatch.setattr(fast_path, "is_installed", lambda name: False)
    assert chosen_runtime("auto", num_images=MANY_IMAGES) == "torch"


def test_a_named_runtime_gives_the_eager_embeddings_of_any_number_of_images():
    model = FaceModel(tiny().backbone, TINY, InputContract(input_size=SIDE), runtime="onnxruntime")
    eagerly = FaceModel(model.backbone, TINY, model.contract, runtime="eager")
    for count in (3, 1):
        images = torch.randint(0, 256, (count, SIDE, SIDE, 3), dtype=torch.uint8)
        assert cosine_drift(eagerly.embed(images), model.embed(images)).max() < 1e-6


def test_auto_falls_back_with_a_warning_and_a_named_runtime_does_not(monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(fast_path, "_converted", fail)
    monkeypatch.setattr(fast_path, "is_installed", lambda name: True)
    model = model_of("auto")
    model.expect(MANY_IMAGES)
    with caplog.at_level(logging.WARNING):
        assert cosine_drift(eager(model), model.embed(crops())).max() < 1e-9
    assert "openvino is not used, for converting failed; torch runs the backbone: no such operation" in caplog.text
    with pytest.raises(RuntimeError, match="no such operation"):
        model_of("openvino").embed(crops())


def test_the_environment_says_what_auto_is(monkeypatch):
    monkeypatch.setenv("MARGINFACE_RUNTIME", "eager")
    assert model_of("auto").runtime == "eager"
    assert model_of("torch").runtime == "torch"
    monkeypatch.setenv("MARGINFACE_RUNTIME", "opnvino")
    with pytest.raises(InputError, match="MARGINFACE_RUNTIME: there is no runtime 'opnvino'; did you mean 'openvino'"):
        model_of("auto")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(runtimes, "is_installed", lambda name: False)
    for engine, extra in ((runtimes.onnxruntime_engine, "onnx"), (runtimes.openvino_engine, "openvino")):
        with pytest.raises(InputError, match=rf"pip install 'marginface\[{extra}\]'"):
            engine(b"")
