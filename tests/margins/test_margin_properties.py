"""What margins promise for any cosine, norm and setting; each exception is named with its reason."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.margins import (
    AdaCosConfig,
    AdaFaceConfig,
    ArcFaceConfig,
    CircleConfig,
    CombinedConfig,
    CosFaceConfig,
    CurricularFaceConfig,
    ElasticArcFaceConfig,
    ElasticCosFaceConfig,
    MagCosFaceConfig,
    MagFaceConfig,
    MVSoftmaxConfig,
    NormFaceConfig,
    SphereFaceConfig,
    adacos,
    mv_softmax,
)

some = settings(max_examples=60, deadline=None)
radians, cosine_margins = st.floats(0.01, math.pi / 2), st.floats(0.01, 1.5)
cosines = st.floats(-1.0, 1.0)
rows = st.lists(st.tuples(cosines, st.floats(0.0, 200.0)), min_size=1, max_size=20)


def configs(kind, **choices):
    return st.builds(kind, **choices)


angular = [
    configs(ArcFaceConfig, margin=radians, past_pi=st.sampled_from(["line", "flat"])),
    configs(CurricularFaceConfig, margin=radians),
    configs(MVSoftmaxConfig, target=st.just("arc"), margin=radians),
    configs(MagFaceConfig, low_margin=st.floats(0.01, 0.7), high_margin=st.floats(0.7, 1.5), easy=st.booleans()),
    configs(ElasticArcFaceConfig, margin=st.floats(0.05, 1.5)),
]
never_falling = [
    configs(CosFaceConfig, margin=cosine_margins),
    configs(MVSoftmaxConfig, margin=cosine_margins),
    configs(MagCosFaceConfig, low_margin=st.floats(0.01, 0.7), high_margin=st.floats(0.7, 1.5)),
    configs(ElasticCosFaceConfig, margin=st.floats(0.05, 1.5)),
    configs(ArcFaceConfig, margin=radians, past_pi=st.just("flat")),
    configs(SphereFaceConfig, angle_factor=st.floats(1.0, 5.0)),
    configs(CombinedConfig, angle_factor=st.floats(1.0, 3.0), angle_margin=radians, cosine_margin=cosine_margins),
    st.just(NormFaceConfig()),
    st.just(AdaCosConfig()),
]
# AdaFace holds cosines 1e-3 from the ends and angles likewise, so at c = -1 its value is above c, by less than 1e-3.
with_adaface = configs(AdaFaceConfig, margin=radians, concentration=st.floats(-2.0, 2.0).filter(bool))
# With a radius m above sqrt(3) / 2 the value of Circle exceeds c. It is no margin on c: other classes are lowered too.
with_circle = configs(CircleConfig, margin=st.floats(0.01, math.sqrt(3) / 2))


def run(config, batch):
    """Penalised cosines and their slopes, in float64 and eval mode (ElasticFace's draws are tested on their own)."""
    values, norms = (torch.tensor(column, dtype=torch.float64) for column in zip(*batch, strict=True))
    values.requires_grad_()
    margin = config.build().eval()
    for name in ("batch_mean", "batch_std"):
        if hasattr(margin, name):  # AdaFace in the middle of a training: z of any size
            margin.get_buffer(name).fill_({"batch_mean": 60.0, "batch_std": 30.0}[name])
    penalised = margin(values, norms)
    (slopes,) = torch.autograd.grad(penalised.sum(), values)
    return values.detach(), penalised.detach(), slopes


@some
@given(st.one_of(*angular, *never_falling, with_circle), rows)
def test_the_true_class_never_looks_better_than_it_is(config, batch):
    # Not promised: ArcFace "rising" past pi - m / 2, and Combined with an angle factor below 1, which gives some away.
    values, penalised, _ = run(config, batch)
    held_from_one = 1e-7 if isinstance(config, SphereFaceConfig | CombinedConfig) else 1e-12  # where arccos is steep
    assert (penalised <= values + held_from_one).all()


@some
@given(with_adaface, rows)
def test_adaface_never_makes_the_true_class_look_better_but_for_its_clip(config, batch):
    values, penalised, _ = run(config, batch)
    assert (penalised <= values + 1e-3).all()
    inside = values.abs() < 0.99
    assert (penalised[inside] <= values[inside] + 1e-12).all()


@some
@given(
    st.one_of(*never_falling, with_adaface, with_circle), st.lists(cosines, min_size=2, max_size=20), st.floats(0, 200)
)
def test_a_better_embedding_never_gets_a_worse_value(config, values, norm):
    # Not promised: the line past pi (a jump at theta = pi - m) and MagFace's easy form (a jump at 90 degrees).
    _, penalised, _ = run(config, [(value, norm) for value in sorted(values)])
    assert (penalised.diff() >= -1e-12).all()


@some
@given(st.one_of(*angular, *never_falling, with_adaface, with_circle), rows)
def test_the_gradient_never_pushes_an_embedding_from_its_own_centre(config, batch):
    # Jumps included, since they are no part of a gradient. Not promised: ArcFace "rising" past pi with exact gradient.
    assert (run(config, batch)[2] >= 0).all()


def slopes_of(margin, values, penalised):
    column = torch.tensor(values, dtype=torch.float64)[:, None].requires_grad_()
    rewritten = margin.reweigh(column, torch.tensor([penalised], dtype=torch.float64))
    return column.detach()[:, 0], rewritten.detach()[:, 0], torch.autograd.grad(rewritten.sum(), column)[0][:, 0]


others = st.lists(cosines, min_size=1, max_size=20)


@some
@given(configs(CircleConfig, margin=st.floats(0.01, 0.99)), others, cosines)
def test_circle_never_pulls_an_embedding_to_another_class(config, values, penalised):
    # Its value may rise as c falls from 0 to -m; the weights, not the value, make the gradient.
    assert (slopes_of(config.build(), values, penalised)[2] >= 0).all()


@some
@given(others, cosines, cosines)
def test_curricularface_pulls_to_another_class_only_below_minus_half_of_t(values, penalised, t):
    margin = CurricularFaceConfig().build().double()
    margin.t.fill_(t)
    values, _, slopes = slopes_of(margin, values, penalised)
    pulled = slopes < 0
    assert torch.equal(pulled, (values > penalised) & (values < -t / 2))


@some
@given(others, cosines, st.floats(1.01, 3.0), st.sampled_from(["adaptive", "fixed"]))
def test_mv_softmax_only_ever_raises_other_classes_and_keeps_their_order(values, penalised, weight, emphasis):
    column = torch.tensor(sorted(values), dtype=torch.float64)[:, None]
    rewritten = mv_softmax(column, torch.tensor([penalised], dtype=torch.float64), weight=weight, emphasis=emphasis)
    assert (rewritten >= column - 1e-12).all()
    assert (rewritten.diff(dim=0) >= 0).all()


@some
@given(st.lists(st.tuples(st.floats(-50, 300), cosines), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_adacos_does_not_depend_on_the_order_of_rows_and_rises_with_the_rest(batch, random):
    rest, values = (torch.tensor(column, dtype=torch.float64) for column in zip(*batch, strict=True))
    scale = adacos(rest, values)
    order = torch.tensor(random.sample(range(len(batch)), len(batch)))
    torch.testing.assert_close(adacos(rest[order], values[order]), scale)
    assert adacos(rest + 1.0, values) > scale
