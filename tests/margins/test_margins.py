"""What every margin in the registry promises."""

import json
import math
import typing
from pathlib import Path

import pytest
import torch

from marginface.config import dump, load
from marginface.errors import InputError
from marginface.margins import MARGINS, Margin

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "margins.json").read_text())
REWRITTEN = json.loads((Path(__file__).parent.parent / "golden" / "rewritten_cosines.json").read_text())
every_margin = pytest.mark.parametrize("kind", list(MARGINS))
norms = torch.tensor([0.0, 1e-3, 1.0, 20.0, 1e3], dtype=torch.float64)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_margin_gives_the_numbers_of_the_code_it_is_named_after(case):
    margin = load(MARGINS[case["margin"]["kind"]], case["margin"]).build().eval()
    for name, value in case.get("buffers", {}).items():
        margin.get_buffer(name).fill_(value)
    cosines = torch.tensor(case.get("target_cos", GOLDEN["target_cos"]))
    penalised = margin(cosines, torch.full_like(cosines, case.get("norm", 1.0)))
    torch.testing.assert_close(penalised, torch.tensor(case["penalised"]), atol=2e-6, rtol=0)


@pytest.mark.parametrize("case", REWRITTEN["cases"], ids=lambda case: case["name"])
def test_all_classes_get_the_numbers_of_the_code_the_margin_is_named_after(case):
    margin = load(MARGINS[case["margin"]["kind"]], case["margin"]).build()
    cosines, labels = torch.tensor(REWRITTEN["cosines"]), torch.tensor(REWRITTEN["labels"])[:, None]
    for _ in range(case["calls"]):
        penalised = margin(cosines.gather(1, labels)[:, 0], torch.ones(len(cosines)))
    rewritten = margin.reweigh(cosines.T, penalised).T.scatter(1, labels, penalised[:, None])
    expected = torch.tensor(case["rewritten"])
    torch.testing.assert_close(rewritten[case.get("rows", slice(None))], expected, atol=3e-6, rtol=0)
    for name, value in case.get("buffers_after", {}).items():
        assert margin.get_buffer(name).item() == pytest.approx(value, abs=2e-6)


def test_adacos_has_the_scales_of_the_public_code():
    margin = MARGINS["adacos"]().build()
    cosines, labels = torch.tensor(REWRITTEN["cosines"]), torch.tensor(REWRITTEN["labels"])[:, None]
    others = cosines.scatter(1, labels, -torch.inf)
    for expected in REWRITTEN["adacos_scales"]["scales"]:
        start = math.sqrt(2) * math.log(cosines.shape[1] - 1)
        scale = margin.adapt_scale(start, cosines.gather(1, labels)[:, 0], lambda s: (s * others).logsumexp(dim=1))
        assert scale == pytest.approx(expected, abs=1e-5)


@every_margin
def test_registry_key_is_the_kind_of_its_config(kind):
    allowed = typing.get_args(typing.get_type_hints(MARGINS[kind])["kind"])
    assert kind in allowed
    assert MARGINS[kind]().kind == kind


@every_margin
def test_config_survives_dump_and_load(kind):
    config = MARGINS[kind]()
    assert load(MARGINS[kind], dump(config)) == config
    assert isinstance(config.build(), Margin)


@every_margin
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_from_minus_one_to_one_at_any_norm(kind, dtype):
    margin = MARGINS[kind]().build()
    cosines = torch.cat([torch.linspace(-1, 1, 201), torch.tensor([-1 + 1e-7, 1 - 1e-7, -1.0, 1.0])]).to(dtype)
    cosines, lengths = (x.flatten() for x in torch.meshgrid(cosines, norms.to(dtype), indexing="ij"))
    cosines, lengths = cosines.clone().requires_grad_(), lengths.clone().requires_grad_()
    penalised = margin(cosines, lengths)
    assert penalised.dtype == dtype
    assert penalised.shape == cosines.shape
    penalty = margin.penalty(lengths)
    (penalised.sum() + (0 if penalty is None else penalty.sum())).backward()
    assert penalised.isfinite().all()
    assert cosines.grad.isfinite().all()
    assert lengths.grad is None or lengths.grad.isfinite().all()


REWEIGHING = [kind for kind in MARGINS if type(MARGINS[kind]().build()).reweigh is not Margin.reweigh]


def test_these_margins_rewrite_other_classes_too():
    assert REWEIGHING == ["curricularface", "mv_softmax", "circle"]


@pytest.mark.parametrize("kind", REWEIGHING)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_rewritten_cosines_and_their_gradients_are_finite_and_of_the_same_dtype(kind, dtype):
    margin = MARGINS[kind]().build()
    targets = torch.tensor([-1.0, -0.7, 0.0, 0.5, 1.0], dtype=torch.float64)  # heads call forward in float64
    penalised = margin(targets, torch.ones_like(targets))
    cosines = torch.linspace(-1, 1, 401).to(dtype)[:, None].repeat(1, 5).requires_grad_()
    before = cosines.detach().clone()
    rewritten = margin.reweigh(cosines, penalised)
    assert rewritten.dtype == dtype
    assert rewritten.shape == cosines.shape
    (slopes,) = torch.autograd.grad(rewritten.sum(), cosines)
    assert rewritten.isfinite().all()
    assert slopes.isfinite().all()
    assert torch.equal(cosines, before)


@pytest.mark.parametrize("kind", REWEIGHING)
def test_other_classes_are_rewritten_entry_by_entry(kind):
    margin = MARGINS[kind]().build().eval()
    generator = torch.Generator().manual_seed(0)
    cosines = 2 * torch.rand(40, 6, generator=generator) - 1
    penalised = margin(cosines[0], torch.ones(6))
    whole = margin.reweigh(cosines, penalised)
    parts = [margin.reweigh(part, penalised) for part in cosines.split(7)]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(margin.reweigh(cosines[:, 2:4], penalised[2:4]), whole[:, 2:4])


@every_margin
def test_margin_never_makes_the_true_class_look_better(kind):
    cosines = torch.linspace(-1, 1, 401, dtype=torch.float64)
    margin = load(MARGINS[kind], {"kind": kind}).build()
    lowered = margin(cosines, torch.full_like(cosines, 20.0))
    assert (lowered <= cosines + 1e-12).all()


@every_margin
def test_inputs_are_left_as_they_were(kind):
    cosines, lengths = torch.linspace(-1, 1, 11), torch.linspace(0, 30, 11)
    before = cosines.clone(), lengths.clone()
    MARGINS[kind]().build()(cosines, lengths)
    assert torch.equal(cosines, before[0])
    assert torch.equal(lengths, before[1])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "arcface", "margin": 28.6}, "margin 28.6 is outside"),
        ({"kind": "arcface", "margin": float("nan")}, "margin nan is outside"),
        ({"kind": "arcface", "gradient": "straight"}, "did you mean 'straight_through'"),
        ({"kind": "arcface", "past_pi": "bend"}, "choose from flat, line, rising"),
        ({"kind": "cosface", "margin": -0.1}, "margin -0.1 is outside"),
        ({"kind": "normface", "margin": 0.5}, "margin: there is no such setting"),
        ({"kind": "sphereface", "angle_factor": 0.9}, "angle_factor 0.9 is below 1"),
        ({"kind": "combined", "angle_factor": 0.0}, "angle_factor 0.0 must be a positive number"),
        ({"kind": "combined", "angle_margin": 30.0}, "angle_margin 30.0 is outside"),
        ({"kind": "combined", "cosine_margin": 2.0}, "cosine_margin 2.0 is outside"),
        (
            {"kind": "magface", "low_norm": 110.0, "high_norm": 10.0},
            "low_norm 110.0 and high_norm 10.0 must be positive",
        ),
        ({"kind": "magface", "low_norm": 0.0}, "low_norm 0.0 and high_norm 110.0 must be positive"),
        ({"kind": "magcosface", "low_margin": 0.9}, "low_margin 0.9 and high_margin 0.8 must be in this order"),
        ({"kind": "magface", "penalty_weight": -1.0}, "penalty_weight -1.0 must be a number that is not negative"),
        ({"kind": "magface", "clamp": "pull"}, "did you mean 'pull_in'"),
        ({"kind": "adaface", "margin": 0.0}, "margin 0.0 is outside"),
        ({"kind": "adaface", "concentration": 0.0}, "which is CosFace; take kind: cosface"),
        ({"kind": "adaface", "ema_weight": 0.0}, "ema_weight 0.0 is outside"),
        ({"kind": "elasticface_arc", "sigma": 0.0}, "for a fixed margin take kind: arcface"),
        ({"kind": "elasticface_cos", "sigma": 0.1}, r"sigma 0.1 is outside \(0, 0.0875\]"),
        ({"kind": "elasticface_arc", "margin": 2.0}, "margin 2.0 is outside"),
        ({"kind": "elasticface_cos", "margin": 2.0}, "margin 2.0 is outside"),
        ({"kind": "softmax", "scale": 1}, "scale: there is no such setting"),
        ({"kind": "curricularface", "margin": -0.5}, "margin -0.5 is outside"),
        ({"kind": "curricularface", "ema_weight": 1.5}, "ema_weight 1.5 is outside"),
        ({"kind": "mv_softmax", "margin": 2.0}, r"margin 2.0 is outside \[0, 2\); for target am it is a cosine"),
        ({"kind": "mv_softmax", "target": "arc", "margin": 1.8}, "for target arc it is an angle in radians"),
        ({"kind": "mv_softmax", "weight": 1.0}, "for no weight at all take kind: cosface"),
        ({"kind": "mv_softmax", "target": "arc", "weight": 0.12}, "for no weight at all take kind: arcface"),
        ({"kind": "mv_softmax", "emphasis": "adaptiv"}, "did you mean 'adaptive'"),
        ({"kind": "circle", "margin": 1.0}, "margin 1.0 is outside"),
        ({"kind": "circle", "margin": float("nan")}, "margin nan is outside"),
        ({"kind": "adacos", "largest_scale": 0.5}, "largest_scale 0.5 must be a number of at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_words(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        load(MARGINS[settings["kind"]], settings)
