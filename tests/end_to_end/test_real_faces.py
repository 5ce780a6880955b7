"""On photographs, where they are at hand: pairs are found, and numbers known from outside come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.run import evaluate
from marginface.evaluation.settings import EvaluationConfig
from marginface.protocols import LfwConfig

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


def test_lfw_has_its_6000_pairs_and_raw_pixels_their_low_accuracy(real_data: Path) -> None:
    config = EvaluationConfig(
        name="lfw", data=f"tar:{real_data / 'lfw.tar'}", protocol=LfwConfig(pairs_file=real_data / "lfw_pairs.txt")
    )
    summary = evaluate(RawPixels(), config).summary
    assert (summary.num_mated, summary.num_non_mated) == (3000, 3000)
    assert summary.accuracy is not None
    assert len(summary.accuracy.fold_accuracies) == 10
    assert 0.58 < summary.accuracy.mean < 0.68  # LFW's results page has 60.0 % for Eigenfaces
