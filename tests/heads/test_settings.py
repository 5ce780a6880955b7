"""Settings of a head that do not fit together are refused in words, when the recipe is read wherever possible."""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

import pytest

from marginface import config
from marginface.errors import InputError
from marginface.heads import HEADS, DenseHeadConfig, Head

every_kind = pytest.mark.parametrize("kind", HEADS)


def load(settings: dict[str, Any]) -> Any:
    return config.load(HEADS[settings.get("kind", "dense")], settings, path="head")


def build(settings: dict[str, Any], *, num_classes: int = 10, embedding_dim: int = 8) -> Head:
    head: Head = load(settings).build(num_classes=num_classes, embedding_dim=embedding_dim)
    return head


@every_kind
@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"scale": -1}, "head: scale -1.0 must be a positive number; 64 is usual"),
        ({"scale": math.nan}, "head: scale nan must be a positive number"),
        ({"scale": "atuo"}, "head.scale: 'atuo' does not fit: input should be a valid number.* or input .* 'auto'"),
        ({"scale": True}, "head.scale: expected a number, got True"),
        ({"memory": "keep"}, "head.memory: 'keep' is not a choice; choose from recompute, store"),
        ({"sub_centres": 0}, "head: sub_centres is 0; give 1 or more"),
        ({"sub_centres": 1.5}, "head.sub_centres: 1.5 does not fit"),
        ({"filter_above": 2}, r"head: filter_above is 2\.0; it is a cosine between -1 and 1"),
        ({"spheres": {"count": 1}}, r"head\.spheres: count is 1; give 2 spheres or more, or leave spheres out"),
        ({"spheres": {"slice_norm": "none"}}, r"head\.spheres\.slice_norm: 'none' is not a choice"),
        ({"rat": 0.5}, r"head\.rat: there is no such setting"),
    ],
)
def test_what_no_head_can_take_is_refused_when_the_recipe_is_read(
    kind: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        load({"kind": kind, **settings})


@pytest.mark.parametrize("rate", [1.5, -0.1, math.nan])
def test_a_rate_is_a_share_of_the_classes(rate: float) -> None:
    with pytest.raises(InputError, match=f"head: rate is {rate}; it is a share of the classes, between 0 and 1"):
        load({"kind": "sampled", "rate": rate})
    assert load({"kind": "sampled", "rate": 0}).rate == 0.0
    assert load({"kind": "sampled", "rate": 1}).rate == 1.0


def test_unsampled_rows_are_frozen_or_decayed() -> None:
    with pytest.raises(InputError, match=r"head\.unsampled: 'moved' is not a choice; choose from decayed, frozen"):
        load({"kind": "sampled", "unsampled": "moved"})


@every_kind
def test_spheres_that_do_not_divide_the_embedding_are_refused(kind: str) -> None:
    settings = {"kind": kind, "spheres": {"count": 3}}
    with pytest.raises(InputError, match=r"spheres\.count: 3 spheres do not divide the embedding's 8 dimensions"):
        build(settings)
    assert build(settings, embedding_dim=9).embedding_dim == 9


def test_copies_of_a_dense_head_on_several_ranks_cannot_move_themselves() -> None:
    settings = DenseHeadConfig(fused_update=True)
    two_ranks, one_rank = mock.Mock(**{"size.return_value": 2}), mock.Mock(**{"size.return_value": 1})
    with pytest.raises(InputError, match=r"head\.fused_update: .* take kind: sharded"):
        settings.build(num_classes=10, embedding_dim=8, mesh=two_ranks)
    assert settings.build(num_classes=10, embedding_dim=8, mesh=one_rank).num_classes == 10


def test_which_heads_are_to_move_themselves() -> None:
    wishes = [
        ({"kind": "dense"}, False),
        ({"kind": "dense", "fused_update": True}, True),
        ({"kind": "sharded"}, False),
        ({"kind": "sharded", "fused_update": True}, True),
        ({"kind": "sampled"}, True),
        ({"kind": "sampled", "unsampled": "decayed"}, False),
    ]
    for settings, wish in wishes:
        assert load(settings).wants_fused_update == wish, settings


# scale: auto


@every_kind
def test_scale_auto_is_root_two_times_the_log_of_the_other_classes(kind: str) -> None:
    settings = {"kind": kind, "scale": "auto"}
    assert build(settings, num_classes=2000).scale == pytest.approx(10.7486, abs=1e-4)
    assert load(settings).scale_for(1_000_000) == pytest.approx(19.5380, abs=1e-4)


def test_scale_auto_of_two_classes_is_zero_and_refused() -> None:
    with pytest.raises(InputError, match="scale auto is 0 for 2 classes; give a number"):
        build({"scale": "auto"}, num_classes=2)


# what margins say of the scale


def test_magface_with_a_penalty_below_its_least_weight_is_refused_with_the_bound() -> None:
    # the bound of its reference code for (10, 110, 0.45, 0.8) at scale 64 is 22.587; its own default of 20 breaks it
    head = {"scale": 64, "margin": {"kind": "magface", "penalty_weight": 20}}
    with pytest.raises(InputError, match=r"penalty_weight 20\.0 is below 22\.59"):
        load(head)
    assert load(head | {"scale": 32}).scale == 32, "at half the scale half the weight is enough"


def test_magface_is_checked_against_the_scale_that_auto_becomes() -> None:
    # 10,000 classes: scale 13.026, bound 22.587 x 13.026 / 64 = 4.597
    head = {"scale": "auto", "margin": {"kind": "magface", "penalty_weight": 4.5}}
    with pytest.raises(InputError, match=r"scale auto for 10000 classes: penalty_weight 4\.5 is below 4\.597"):
        build(head, num_classes=10_000)
    assert build(head, num_classes=1000).scale == pytest.approx(9.768, abs=0.001)


@pytest.mark.parametrize("scale", [64, 30.5])
def test_plain_softmax_has_no_scale(scale: float) -> None:
    with pytest.raises(InputError, match=f"head: scale {float(scale)} does not go with kind: softmax"):
        load({"scale": scale, "margin": "softmax"})


def test_plain_softmax_refuses_scale_auto_too() -> None:
    with pytest.raises(InputError, match="scale auto for 10 classes: .* does not go with kind: softmax"):
        build({"scale": "auto", "margin": "softmax"})
