"""Training logs are read as they are left behind: resumed, cut off, without evaluations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marginface.errors import InputError
from marginface.evaluation.training_curves import read_training_log, training_plot
from tests.evaluation.made_up import write_log


def lines(path: Path, *events: object) -> Path:
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    return path


def test_thinning_averages_neighbours(tmp_path: Path) -> None:
    events = [{"event": "step", "step": s, "loss": float(s)} for s in range(1, 101)]
    curves = read_training_log(lines(tmp_path / "log.jsonl", *events), max_points=10)
    assert curves["steps"]["step"] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert curves["steps"]["loss"] == [5.5, 15.5, 25.5, 35.5, 45.5, 55.5, 65.5, 75.5, 85.5, 95.5]
    assert curves["num_steps"] == 100


def test_after_a_resume_the_later_line_counts(tmp_path: Path) -> None:
    events = [{"event": "step", "step": s, "loss": v} for s, v in ((1, 9.0), (2, 8.0), (3, 7.0), (2, 6.0), (3, 5.0))]
    curves = read_training_log(lines(tmp_path / "log.jsonl", {"event": "start"}, *events))
    assert curves["steps"]["loss"] == [9.0, 6.0, 5.0]


def test_a_last_line_cut_off_is_passed_over_and_an_earlier_one_is_an_error(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.jsonl", steps=5)
    path.write_text(path.read_text() + '{"event": "ste')
    assert read_training_log(path)["num_steps"] == 5
    path.write_text("not json\n" + path.read_text())
    with pytest.raises(InputError, match="line 1 is not JSON"):
        read_training_log(path)


def test_a_loss_that_is_not_a_number_leaves_a_gap(tmp_path: Path) -> None:
    events = [{"event": "step", "step": 1, "loss": 2.0}, {"event": "step", "step": 2, "loss": float("nan")}]
    assert read_training_log(lines(tmp_path / "log.jsonl", *events))["steps"]["loss"] == [2.0, None]


@pytest.mark.parametrize(("steps", "evaluations"), [(1, False), (3, False), (600, True)])
def test_any_log_gives_a_figure(tmp_path: Path, steps: int, evaluations: bool) -> None:
    plot = training_plot(read_training_log(write_log(tmp_path / "log.jsonl", steps=steps, evaluations=evaluations)))
    assert plot is not None
    assert plot.png.startswith(b"\x89PNG")


def test_an_empty_log_gives_none(tmp_path: Path) -> None:
    assert training_plot(read_training_log(lines(tmp_path / "log.jsonl"))) is None


def test_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl"):
        read_training_log(tmp_path / "nowhere.jsonl")
