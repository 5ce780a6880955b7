"""Curves of searches: exact points, and nothing where there is nothing to draw."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.evaluation.identify import open_set_curve
from marginface.evaluation.plots_searches import cmc_plot, open_set_plot
from marginface.metrics import SearchScores
from tests.evaluation.made_up import identification


def searches(rank: list[int], mate: list[float], other: list[float]) -> SearchScores:
    return SearchScores(
        name="desk",
        person=np.arange(len(rank)),
        rank=np.array(rank),
        mate_score=np.array(mate, np.float32),
        non_mate_score=np.array(other, np.float32),
        average_precision=None,
        num_entries=10,
    )


@pytest.mark.parametrize(
    ("max_rank", "fpir", "fnir"),
    [
        (None, [1, 0.5, 0.5, 0, 0, 0], [0, 0, 1 / 3, 1 / 3, 2 / 3, 1]),  # at 0.3, 0.4, 0.45, 0.5, 0.9 and above
        (1, [1, 0.5, 0, 0, 0], [1 / 3, 1 / 3, 1 / 3, 2 / 3, 1]),  # the mate at rank 2 is missed throughout
    ],
)
def test_the_open_set_curve_counted_by_hand(max_rank: int | None, fpir: list[float], fnir: list[float]) -> None:
    found = searches([1, 1, 2, 0, 0], [0.9, 0.5, 0.4, 0, 0], [0.1, 0.2, 0.6, 0.45, 0.3])
    curve = open_set_curve(found, max_rank)
    assert curve is not None
    assert curve["fpir"] == pytest.approx(fpir)
    assert curve["fnir"] == pytest.approx(fnir)
    assert curve["threshold"][0] == pytest.approx(0.3)


def test_without_strangers_there_is_no_open_set_curve() -> None:
    assert open_set_curve(searches([1, 2], [0.9, 0.5], [0.1, 0.6]), 1) is None
    assert open_set_plot([identification("a", strangers=0).to_json()]) is None


def test_drawing_twice_gives_the_same_bytes() -> None:
    records = [identification(name, galleries=2).to_json() for name in ("a", "b")]
    for draw in (cmc_plot, open_set_plot):
        one, two = draw(records, prefix="desk-"), draw(records, prefix="desk-")
        assert one.svg == two.svg
        assert one.png == two.png
        assert one.name.startswith("desk-")
        assert "a, b" in one.alt
