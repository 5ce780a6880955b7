"""CurricularFace's mean and AdaCos's scale are those of the global batch, the same on every rank, in any split."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from marginface.margins import AdaCosConfig, CurricularFaceConfig
from tests.helpers.gloo import run_on_ranks

pytestmark = pytest.mark.distributed

COSINES = torch.tensor([0.9, -0.2, 0.35, 0.6, 0.1, 0.75, 0.5], dtype=torch.float64)
OTHERS = torch.linspace(-0.3, 0.4, 7 * 5, dtype=torch.float64).reshape(7, 5)
SPLITS = ([7, 0], [4, 3], [6, 1])  # a rank may have nothing


def after_two_steps(cosines: torch.Tensor, others: torch.Tensor) -> tuple[dict[str, torch.Tensor], list[float]]:
    """State of both margins after two steps, and the scales of AdaCos."""
    curricular, adacos = CurricularFaceConfig(ema_weight=0.3).build(), AdaCosConfig().build()
    scales = []
    for _ in range(2):
        curricular(cosines, torch.ones_like(cosines))
        scales.append(adacos.adapt_scale(20.0, cosines, lambda scale: (scale * others).logsumexp(dim=1)))
    return {**curricular.state_dict(), **adacos.state_dict()}, scales


def on_this_rank() -> list[tuple[dict[str, torch.Tensor], list[float]]]:
    rank = dist.get_rank()
    return [after_two_steps(COSINES.split(sizes)[rank], OTHERS.split(sizes)[rank]) for sizes in SPLITS]


def test_two_ranks_have_the_statistics_of_one_process() -> None:
    state, scales = after_two_steps(COSINES, OTHERS)
    for rank in run_on_ranks(on_this_rank, 2):
        for split_state, split_scales in rank:
            torch.testing.assert_close(split_state, dict(state))
            assert split_scales == pytest.approx(scales, rel=1e-6)
