"""Plain softmax: dot products as they are, and no scale beside them."""

import pytest
import torch

from marginface.margins import MARGINS, SoftmaxConfig


def test_dot_products_pass_through_and_may_exceed_one():
    margin = SoftmaxConfig().build()
    dots = torch.tensor([-12.5, 0.0, 3.0, 250.0])
    assert torch.equal(margin(dots, torch.ones(4)), dots)


def test_it_alone_asks_heads_not_to_normalise():
    assert [kind for kind in MARGINS if not MARGINS[kind]().build().normalised] == ["softmax"]


def test_any_scale_but_one_is_refused_in_words():
    SoftmaxConfig().check(scale=1)
    with pytest.raises(ValueError, match=r"scale 64\.0 does not go with kind: softmax.* set scale: 1"):
        SoftmaxConfig().check(scale=64.0)
