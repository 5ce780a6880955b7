"""Settings of a head that do not fit together are refused when the recipe is read."""

from __future__ import annotations

import pytest

from marginface import config
from marginface.errors import InputError
from marginface.heads import DenseHeadConfig


def test_magface_with_a_penalty_below_its_least_weight_is_refused_with_the_bound() -> None:
    # the bound of its reference code for (10, 110, 0.45, 0.8) at scale 64 is 22.587; its own default of 20 breaks it
    head = {"scale": 64, "margin": {"kind": "magface", "penalty_weight": 20}}
    with pytest.raises(InputError, match=r"penalty_weight 20\.0 is below 22\.59"):
        config.load(DenseHeadConfig, head)
    assert config.load(DenseHeadConfig, head | {"scale": 32}).scale == 32, "at half the scale half the weight is enough"


def test_a_scale_that_is_no_positive_number_is_refused() -> None:
    with pytest.raises(InputError, match="scale -1.0 must be a positive number"):
        config.load(DenseHeadConfig, {"scale": -1})
