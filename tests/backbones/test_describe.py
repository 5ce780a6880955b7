"""Counts of whole networks and of their stages."""

import pytest

from marginface.backbones import BACKBONES
from marginface.backbones.describe import describe_backbone
from marginface.errors import InputError


def described(kind: str, **settings):
    return describe_backbone(BACKBONES[kind](kind=kind, **settings))


@pytest.mark.parametrize(
    "kind, millions",
    [
        ("iresnet18", 2610),
        ("ir50", 6296),
        ("mobilefacenet", 221),
        ("vit_t", 1377 + 127),  # with the products of attention
        ("vit_b", 10_928 + 510),
        # their authors count 94.72 and 154.00 million operations, two for a multiply-add, and biases as well
        ("edgeface_xxs", 94.72 / 2),
        ("edgeface_xs", 154.00 / 2),
    ],
)
def test_multiply_adds_are_the_published_ones(kind, millions):
    assert described(kind).multiply_adds / 1e6 == pytest.approx(millions, rel=0.003)


@pytest.mark.parametrize("kind", ["iresnet18", "ir_se50", "mobilefacenet_large", "edgeface_xs", "vit_t"])
def test_stages_add_up_to_the_whole(kind):
    summary = described(kind)
    assert sum(stage.multiply_adds for stage in summary.stages) == summary.multiply_adds
    loose = 144 * 256 + 256 if kind == "vit_t" else 0  # position codes and mask token lie in no stage
    assert sum(stage.parameters for stage in summary.stages) == summary.parameters - loose
    assert summary.stages[-1].output_shape == (512,)


def test_stages_of_ir_152_written_out():
    blocks = [s for s in described("ir152").stages if s.layer == "IrBlock"]
    assert [(s.name, s.count, s.output_shape) for s in blocks] == [
        ("body.0-2", 3, (256, 56, 56)),
        ("body.3-10", 8, (512, 28, 28)),
        ("body.11-46", 36, (1024, 14, 14)),
        ("body.47-49", 3, (2048, 7, 7)),
    ]


def test_a_stage_written_out():
    stem = described("edgeface_xxs").stages[0]
    assert (stem.name, stem.count, stem.output_shape) == ("stem", 1, (24, 28, 28))
    assert stem.parameters == 24 * 3 * 4 * 4 + 24 + 2 * 24
    assert stem.multiply_adds == 28 * 28 * 24 * 3 * 4 * 4


def test_size_and_embedding_are_those_asked_for():
    small = describe_backbone(BACKBONES["ir18"](kind="ir18", embedding_dim=64), input_size=64)
    assert (small.kind, small.input_size, small.embedding_dim, small.num_keys) == ("ir18", 64, 64, 179)
    assert small.stages[-1].output_shape == (64,)
    with pytest.raises(InputError, match="multiple of 16"):
        describe_backbone(BACKBONES["ir18"](kind="ir18"), input_size=100)
