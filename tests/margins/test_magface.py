"""MagFace and Mag-CosFace: margin and g by norm, both clamps, the bound on the weight, gradients through the head."""

import math

import pytest
import torch

from marginface.config import load, read_recipe, recipe_names
from marginface.heads import HEADS
from marginface.margins import MARGINS, MagCosFaceConfig, MagFaceConfig
from marginface.margins.magnitude import margin_of_norm, norm_penalty
from marginface.training.config import TrainConfig

RANGE = {"low_norm": 10.0, "high_norm": 110.0}
norms = torch.tensor([10.0, 30.0, 60.0, 110.0], dtype=torch.float64)
BOTH = pytest.mark.parametrize("kind", ["magface", "magcosface"])


def test_margin_and_g_have_the_numbers_of_the_reference_code():
    near = {"atol": 1e-6, "rtol": 0}
    m = margin_of_norm(norms, **RANGE, low_margin=0.45, high_margin=0.8)
    torch.testing.assert_close(m, torch.tensor([0.45, 0.52, 0.625, 0.8], dtype=torch.float64), **near)
    m = margin_of_norm(norms, **RANGE, low_margin=0.35, high_margin=0.8)
    torch.testing.assert_close(m, torch.tensor([0.35, 0.44, 0.575, 0.8], dtype=torch.float64), **near)
    g = torch.tensor([0.100826, 0.035813, 0.021625, 0.018182], dtype=torch.float64)
    for clamp in ("reference", "pull_in"):
        torch.testing.assert_close(norm_penalty(norms, **RANGE, clamp=clamp), g, **near)


def test_hard_form_is_cos_of_the_angle_plus_the_margin_of_the_norm():
    angles = torch.linspace(0.02, math.pi - 0.82, 300, dtype=torch.float64)
    lengths = torch.linspace(1, 150, 300, dtype=torch.float64)
    m = [0.45 + 0.0035 * (min(max(a, 10.0), 110.0) - 10.0) for a in lengths.tolist()]
    expected = (angles + torch.tensor(m, dtype=torch.float64)).cos()
    torch.testing.assert_close(MagFaceConfig(easy=False).build()(angles.cos(), lengths), expected)
    easy = MagFaceConfig().build()(angles.cos(), lengths)
    torch.testing.assert_close(easy, torch.where(angles < math.pi / 2, expected, angles.cos()))


def test_cosine_form_subtracts_the_margin_of_the_norm_everywhere():
    cosines = torch.linspace(-1, 1, 4, dtype=torch.float64)
    expected = cosines - torch.tensor([0.35, 0.44, 0.575, 0.8], dtype=torch.float64)
    torch.testing.assert_close(MagCosFaceConfig().build()(cosines, norms), expected)


def _pull(clamp, length):
    lengths = torch.tensor([length], dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(norm_penalty(lengths, **RANGE, clamp=clamp).sum(), lengths)[0].item()


@pytest.mark.parametrize("length", [0.0, 1.0, 9.9, 111.0, 1000.0])
def test_reference_clamp_leaves_norms_outside_alone_and_pull_in_does_not(length):
    assert _pull("reference", length) == 0
    assert _pull("pull_in", length) < 0 if length < 10 else _pull("pull_in", length) > 0


def test_pull_in_is_smooth_and_convex_with_its_minimum_at_the_upper_norm():
    lengths = torch.linspace(0, 400, 40_001, dtype=torch.float64)
    values = norm_penalty(lengths, **RANGE, clamp="pull_in")
    slopes = values.diff() / 0.01
    assert (slopes.diff() >= -1e-10).all()
    assert slopes.diff().abs().max() < 1e-4
    assert lengths[values.argmin()].item() == pytest.approx(110.0)
    assert slopes.abs().max() <= 1 / 10**2 - 1 / 110**2 + 1e-12  # no force is larger than that at the lower norm


def test_the_least_weight_is_that_of_the_paper():
    assert MagFaceConfig().least_penalty_weight(scale=64) == pytest.approx(22.587, abs=1e-3)
    assert MagCosFaceConfig().least_penalty_weight(scale=64) == pytest.approx(29.04, abs=1e-3)
    fine_tuning = MagFaceConfig(low_norm=1, high_norm=51, low_margin=0.45, high_margin=1.0, penalty_weight=5)
    assert fine_tuning.least_penalty_weight(scale=64) == pytest.approx(0.704, abs=1e-3)
    fine_tuning.check(scale=64)


def test_the_weight_of_the_reference_command_line_is_refused_in_words():
    with pytest.raises(ValueError, match=r"penalty_weight 20.0 is below 22\.59, the least for scale 64"):
        MagFaceConfig(penalty_weight=20.0).check(scale=64)
    MagFaceConfig(penalty_weight=20.0).check(scale=30)


def test_above_the_bound_every_sample_at_the_lower_norm_wants_to_be_longer():
    for weight, sign in ((23.0, -1), (22.0, 1)):
        lengths = torch.tensor([10.0], dtype=torch.float64, requires_grad=True)
        # the worst case the bound is made for: theta + m = pi / 2, and a softmax that gives the true class nothing
        cosines = torch.tensor([math.cos(math.pi / 2 - 0.45)], dtype=torch.float64)
        margin = MagFaceConfig(penalty_weight=weight).build()
        loss = -64 * margin(cosines, lengths) + margin.penalty(lengths)
        assert torch.autograd.grad(loss.sum(), lengths)[0].sign().item() == sign


def test_shipped_recipes_keep_the_bound():
    checked = []
    for name in recipe_names():
        head = load(TrainConfig, read_recipe(name)).head
        if hasattr(head.margin, "check"):
            head.margin.check(scale=head.scale_for(85_742))
            checked.append(name)
    assert "ms1mv2_iresnet100_magface" in checked


@BOTH
@pytest.mark.parametrize("clamp", ["reference", "pull_in"])
def test_norms_get_their_gradient_through_the_head(kind, clamp):
    """Against central differences of the loss along each embedding, in float64: softmax alone has none there."""
    margin = {"kind": kind, "clamp": clamp}
    head = load(HEADS["dense"], {"margin": margin}).build(num_classes=20, embedding_dim=12).double()
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(6)
    direction = head.class_centres.detach()[labels] * 100 + 0.3 * torch.randn(6, 12, generator=generator).double()
    direction = torch.nn.functional.normalize(direction)
    lengths = torch.tensor([4.0, 12.0, 30.0, 60.0, 109.0, 150.0], dtype=torch.float64)
    embeddings = (direction * lengths[:, None]).requires_grad_()
    head(embeddings, labels).loss.backward()
    ours = (embeddings.grad * direction).sum(dim=1)
    for row in range(6):
        losses = []
        for step in (1e-4, -1e-4):
            moved = lengths.clone()
            moved[row] += step
            losses.append(head(direction * moved[:, None], labels).loss.item())
        assert ours[row].item() == pytest.approx((losses[0] - losses[1]) / 2e-4, abs=1e-7)
    outside = ours[[0, 5]].abs()
    assert (outside < 1e-12).all() if clamp == "reference" else (outside > 1e-5).all()
    assert (ours[1:5].abs() > 1e-6).all()


@BOTH
def test_margin_and_penalty_pass_gradcheck(kind):
    margin = MARGINS[kind]().build()
    cosines = torch.linspace(0.05, 0.95, 7, dtype=torch.float64, requires_grad=True)
    lengths = torch.linspace(12, 100, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(margin, (cosines, lengths))
    assert torch.autograd.gradcheck(margin.penalty, (lengths,))
