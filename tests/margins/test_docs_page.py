"""The page on adding a margin does what it says."""

import re
import sys
import types
from pathlib import Path

import pytest
import torch
import yaml

from marginface.config import dump, load
from marginface.errors import InputError
from marginface.heads import HEADS
from tests.helpers.reference import margin_softmax_losses

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-margin.md"


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.fixture
def my_lab(monkeypatch):
    """The page's Python as the module it speaks of."""
    package, module = types.ModuleType("my_lab"), types.ModuleType("my_lab.margins")
    monkeypatch.setitem(sys.modules, "my_lab", package)
    monkeypatch.setitem(sys.modules, "my_lab.margins", module)
    exec(
        compile("".join(_blocks("python")).replace("from __future__ import annotations\n", "", 1), PAGE, "exec"),
        module.__dict__,
    )
    return module


def test_every_line_of_python_runs(my_lab):
    assert my_lab.output.loss.isfinite()
    assert my_lab.embeddings.grad.isfinite().all()


def test_the_recipe_finds_the_margin_and_it_survives_dump_and_load(my_lab):
    (recipe,) = (yaml.safe_load(block) for block in _blocks("yaml"))
    config = load(HEADS[recipe["head"]["kind"]], recipe["head"])
    assert config.margin == my_lab.NormCosFaceConfig(margin=0.35)
    assert load(type(config), dump(config)) == config


def test_its_checks_speak_through_the_loader(my_lab):
    with pytest.raises(InputError, match=r"margin: margin 3\.0 is outside"):
        load(HEADS["dense"], {"margin": {"kind": "my_lab.margins:NormCosFaceConfig", "margin": 3.0}})


@pytest.mark.parametrize("name", ["NormCosFace", "HardNormCosFace"])
def test_the_foreign_margins_work_on_the_dense_head_gradients_of_norms_included(my_lab, name):
    config = load(HEADS["dense"], {"margin": {"kind": "my_lab.margins:NormCosFaceConfig"}})
    head = config.build(num_classes=30, embedding_dim=16)
    head.margin = getattr(my_lab, name)(0.4, 20.0)
    embeddings = (3 * torch.randn(8, 16, generator=torch.Generator().manual_seed(0))).requires_grad_()
    labels = torch.arange(8)
    head(embeddings, labels).loss.backward()
    wide = embeddings.detach().double().requires_grad_()
    losses = margin_softmax_losses(wide, head.class_centres.detach().double(), labels, scale=64.0, margin=head.margin)
    losses.mean().backward()
    torch.testing.assert_close(embeddings.grad.double(), wide.grad, rtol=1e-4, atol=1e-6)
