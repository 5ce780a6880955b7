"""Backward under autocast, as some loops have it, gives the same gradients as without."""

import pytest
import torch

from marginface.config import load
from marginface.heads import HEADS


@pytest.mark.parametrize("margin", ["arcface", "curricularface"])
@pytest.mark.parametrize("given", [{}, {"memory": "recompute", "sub_centres": 2}])
def test_autocast_changes_no_gradient(margin, given):
    gradients = []
    for enabled in (False, True):
        head = load(HEADS["dense"], {"margin": margin, **given}).build(num_classes=50, embedding_dim=16, seed=1)
        embeddings = torch.randn(12, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = head(embeddings, torch.arange(12)).loss
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss.backward()
        gradients.append((embeddings.grad, head.class_centres.grad))
    for plain, under_autocast in zip(*gradients, strict=True):
        assert torch.equal(plain, under_autocast)
