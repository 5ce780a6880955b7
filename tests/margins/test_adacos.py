"""AdaCos: the scale of each batch against the paper's formula, its bounds, and its place in the state."""

import copy
import math

import pytest
import torch

from marginface.margins import AdaCosConfig
from tests.helpers.cosine_softmax import drawn_cosines


def rest_of(cosines, labels):
    """What a head gives: the log-sum-exp over the other classes at a scale, in the head's own float32."""
    others = cosines.detach().float().scatter(1, labels[:, None], -torch.inf)
    return lambda scale: (scale * others).logsumexp(dim=1)


def paper_scale(scale, cosines, labels):
    """One update, row by row and class by class."""
    total, angles = 0.0, []
    for row, label in zip(cosines.tolist(), labels.tolist(), strict=True):
        total += sum(math.exp(scale * c) for j, c in enumerate(row) if j != label)
        angles.append(math.acos(row[label]))
    median = sorted(angles)[(len(angles) - 1) // 2]
    return math.log(total / len(angles)) / math.cos(min(math.pi / 4, median))


def near_ones(num_rows=9, num_classes=40, *, seed=0):
    """Cosines of a training that has come some way: the true class at 0.6 to 0.95, others near 0."""
    cosines, labels = drawn_cosines(num_rows, num_classes, seed=seed)
    cosines = 0.2 * cosines.detach()
    cosines[torch.arange(num_rows), labels] = torch.linspace(0.6, 0.95, num_rows, dtype=torch.float64)
    return cosines, labels


def targets(cosines, labels):
    return cosines.gather(1, labels[:, None])[:, 0]


@pytest.mark.parametrize("num_rows", [9, 8])  # an even number has two in the middle
def test_scales_of_some_batches_are_those_of_the_paper(num_rows):
    margin, expected = AdaCosConfig().build(), math.sqrt(2) * math.log(39)
    ours = expected
    for seed in range(4):
        cosines, labels = near_ones(num_rows, seed=seed)
        ours = margin.adapt_scale(math.sqrt(2) * math.log(39), targets(cosines, labels), rest_of(cosines, labels))
        expected = paper_scale(expected, cosines, labels)
        assert ours == pytest.approx(expected, rel=1e-6)
        assert margin.batch_scale.item() == ours


def test_a_median_angle_below_a_quarter_of_pi_counts_as_it_is_and_above_as_that():
    rest = {"rest_of_scale": lambda scale: torch.full((3,), math.log(100.0))}
    for cosine, divisor in ((0.9, 0.9), (0.1, math.cos(math.pi / 4))):
        margin = AdaCosConfig().build()
        assert margin.adapt_scale(5.0, torch.full((3,), cosine), **rest) == pytest.approx(math.log(100) / divisor)


def test_the_cosine_is_left_as_it_is():
    cosines = torch.linspace(-1, 1, 9)
    assert torch.equal(AdaCosConfig().build()(cosines, cosines), cosines)


def test_large_scales_do_not_overflow():
    margin = AdaCosConfig(largest_scale=1e6).build()
    rest = {"rest_of_scale": lambda scale: torch.full((2,), scale)}  # a negative at cosine 1: exp(500)
    assert margin.adapt_scale(500.0, torch.tensor([1.0, 1.0]), **rest) == pytest.approx(500.0)


def test_a_wrong_label_cannot_drive_the_scale_away_nor_few_classes_below_one():
    cosines, labels = near_ones()
    cosines[0, (labels[0] + 1) % 40] = 0.99
    margin = AdaCosConfig(largest_scale=50.0).build()
    scales = [margin.adapt_scale(40.0, targets(cosines, labels), rest_of(cosines, labels)) for _ in range(100)]
    assert scales[-1] == 50.0
    two = AdaCosConfig().build()
    assert two.adapt_scale(10.0, torch.tensor([0.8]), lambda scale: torch.tensor([-0.8 * scale])) == 1.0
    alone = AdaCosConfig().build()  # no other class among those sampled
    assert alone.adapt_scale(10.0, torch.tensor([0.8]), lambda scale: torch.tensor([-torch.inf])) == 1.0


def test_evaluation_keeps_the_scale_of_the_last_batch_and_asks_for_no_pass():
    def never(scale):
        raise AssertionError("a pass over the classes")

    margin = AdaCosConfig().build().eval()
    assert margin.adapt_scale(17.0, torch.tensor([0.5]), never) == 17.0
    cosines, labels = near_ones()
    last = margin.train().adapt_scale(17.0, targets(cosines, labels), rest_of(cosines, labels))
    assert margin.eval().adapt_scale(17.0, torch.tensor([0.5]), never) == last


def test_a_loaded_margin_goes_on_from_the_saved_bits():
    cosines, labels = near_ones()
    margin = AdaCosConfig().build()
    margin.adapt_scale(12.3456789, targets(cosines, labels), rest_of(cosines, labels))
    resumed = AdaCosConfig().build()
    resumed.load_state_dict(copy.deepcopy(margin.state_dict()))
    again = [m.adapt_scale(12.3456789, targets(cosines, labels), rest_of(cosines, labels)) for m in (margin, resumed)]
    assert again[0] == again[1]


def test_a_start_above_the_largest_scale_is_refused_in_words():
    AdaCosConfig().check(scale=64.0)
    with pytest.raises(ValueError, match=r"scale 64\.0, where AdaCos starts, is above its largest_scale 30\.0"):
        AdaCosConfig(largest_scale=30.0).check(scale=64.0)
