"""ElasticFace: margins drawn from the right distribution, at an address, and handed out by rank under `plus`."""

import math

import pytest
import torch

from marginface.margins import MARGINS, ElasticArcFaceConfig, ElasticCosFaceConfig, arcface
from marginface.margins.elasticface import by_difficulty

BOTH = pytest.mark.parametrize("kind", ["elasticface_arc", "elasticface_cos"])
ones = torch.ones(4000, dtype=torch.float64)


def _drawn(kind, cosines, **settings):
    """The margin of each row, read back from what the module returns."""
    torch.manual_seed(3)
    penalised = MARGINS[kind](**settings).build()(cosines, torch.ones_like(cosines))
    return penalised.arccos() - cosines.arccos() if kind == "elasticface_arc" else cosines - penalised


@BOTH
def test_margins_have_the_mean_and_deviation_of_the_settings(kind):
    drawn = _drawn(kind, torch.full_like(ones, 0.4), margin=0.4, sigma=0.05)
    assert drawn.mean().item() == pytest.approx(0.4, abs=4 * 0.05 / math.sqrt(4000))
    assert drawn.std().item() == pytest.approx(0.05, rel=0.05)


@BOTH
def test_the_same_seed_draws_the_same_whatever_the_dtype(kind):
    cosines = torch.linspace(-0.3, 0.9, 20)
    narrow, wide = _drawn(kind, cosines), _drawn(kind, cosines.double())
    torch.testing.assert_close(narrow.double(), wide, atol=1e-5, rtol=0)
    margin = MARGINS[kind]().build()
    assert not torch.equal(margin(cosines, cosines), margin(cosines, cosines))


@BOTH
def test_plus_gives_larger_margins_to_harder_samples_and_the_same_draws(kind):
    cosines = torch.linspace(-0.3, 0.9, 50, dtype=torch.float64)[torch.randperm(50)]
    plain, plus = _drawn(kind, cosines), _drawn(kind, cosines, plus=True)
    torch.testing.assert_close(plain.sort().values, plus.sort().values)
    assert (plus[cosines.argsort()].diff() <= 1e-12).all()


def test_ranks_are_handed_out_and_not_the_sorting_permutation():
    cosines = torch.tensor([0.9, 0.1, 0.5, 0.3])
    margins = torch.tensor([0.4, 0.7, 0.5, 0.6])
    assert by_difficulty(margins, cosines).tolist() == pytest.approx([0.4, 0.7, 0.5, 0.6])
    assert by_difficulty(margins.flip(0), cosines).tolist() == pytest.approx([0.4, 0.7, 0.5, 0.6])
    # the authors' code: sorted margins indexed by the descending argsort (0, 2, 3, 1) -> the hardest gets 0.6, not 0.7
    theirs = margins.sort().values[cosines.argsort(descending=True)]
    assert theirs.tolist() == pytest.approx([0.4, 0.6, 0.7, 0.5])


def test_evaluation_uses_the_mean_margin():
    cosines = torch.linspace(-1, 1, 21)
    arc = ElasticArcFaceConfig(plus=True).build().eval()
    torch.testing.assert_close(arc(cosines, cosines), arcface(cosines, 0.5))
    cos = ElasticCosFaceConfig().build().eval()
    torch.testing.assert_close(cos(cosines, cosines), cosines - 0.35)
