"""marginface serve, as typed: it starts, stops when told to, and finishes what was begun."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from marginface.cli.main import main
from marginface.models import save_model
from marginface.search.gallery import Gallery
from tests.helpers.photographs import colours, threshold
from tests.serve.made_up import ADA, files

SLOW = """
import sys, time
from marginface.cli.main import main
from tests.helpers.photographs import FramedFaces
import marginface.recognition

class Slow(FramedFaces):
    def detect(self, image):
        print("looking", file=sys.stderr, flush=True)
        time.sleep(1.0)
        return super().detect(image)

marginface.recognition.open_detector = lambda given, progress=None: Slow()
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def team(tmp_path: Path) -> Path:
    save_model(colours(threshold()), tmp_path / "model")
    Gallery.create(
        tmp_path / "team.db", colours(threshold()), flip="none", model_folder=str(tmp_path / "model")
    ).close()
    return tmp_path / "team.db"


@pytest.mark.slow
def test_sigterm_lets_a_running_request_end(team: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "serve", str(team), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr
    try:
        lines = iter(process.stderr.readline, "")
        address = next(found[0] for line in lines if (found := re.search(r"http://[0-9.:]+", line)))
        answers: list[httpx.Response] = []

        def ask() -> None:
            told = httpx.post(f"{address}/v1/enrol", data={"name": "Ada"}, files=files(ADA), timeout=30)
            answers.append(told)

        asking = threading.Thread(target=ask)
        asking.start()
        next(line for line in lines if "looking" in line)
        process.send_signal(signal.SIGTERM)
        asking.join()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert [answer.json()["images_added"] for answer in answers] == [1]
    with Gallery(team) as gallery:
        assert [person.name for person in gallery.people()] == ["Ada"]
        assert gallery.audit().problems == ()


def test_other_machines_are_let_in_with_keys_only(team: Path, capsys) -> None:
    assert main(["serve", str(team), "--host", "0.0.0.0"]) == 2
    assert "without keys the service listens on this machine only" in capsys.readouterr().err


def test_a_missing_file_of_keys_is_told(team: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marginface.recognition.defaults.detector_from", lambda path: None)
    monkeypatch.setenv("MARGINFACE_DETECTOR", "frames")
    assert main(["serve", str(team), "--port", "0", "--keys", str(team.parent / "none.json")]) == 2
    assert "`marginface keys create" in capsys.readouterr().err


def test_without_the_extra_a_sentence_names_it(team: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marginface.recognition.defaults.detector_from", lambda path: None)
    monkeypatch.setenv("MARGINFACE_DETECTOR", "frames")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(team), "--port", "0"]) == 2
    assert "pip install 'marginface[serve]'" in capsys.readouterr().err
