"""docs/serving.md: its Python runs, and what it says of addresses and limits is so."""

from __future__ import annotations

import re
from pathlib import Path

from marginface.serve.app import build_app
from marginface.serve.settings import ServeSettings
from tests.helpers.photographs import FramedFaces, colours, threshold
from tests.serve.made_up import ADA, new_service

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(ADA)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    model = colours(*(threshold(fmr=fmr) for fmr in (1e-3, 1e-4)))
    model.card = type(model.card)(
        name="colours", thresholds=tuple(type(t)(**(vars(t) | {"flip": "sum"})) for t in model.card.thresholds)
    )
    exec(compile(block, "docs/serving.md", "exec"), {"model": model, "detector": FramedFaces()})
    assert capsys.readouterr().out.splitlines() == ["1", "['Ada']"]


def test_every_address_is_on_the_page(tmp_path: Path) -> None:
    service = new_service(tmp_path)
    paths = build_app(service)._app.openapi()["paths"]
    service.close()
    told = set(re.findall(r"^\| `(\w+) (\S+)` \|", PAGE, flags=re.M))
    there = {(method.upper(), path.replace("person_id", "id")) for path, methods in paths.items() for method in methods}
    assert told == there


def test_the_limits_are_those_of_the_settings() -> None:
    usual = ServeSettings()
    for words in (
        f"{usual.max_request_bytes >> 20} MB (`--max-megabytes`), {usual.max_photographs} photographs",
        f"{usual.max_bytes_in_flight >> 20} MB, {usual.max_requests} requests",
        f"{usual.max_pixels // 1_000_000} million pixels",
        f"{usual.requests_per_second:g} requests a second, {usual.burst} at once",
        f"{usual.timeout_seconds:g} s (`--timeout`)",
        f"{usual.max_faces_waiting:,}",
        f"have {usual.stop_seconds:g} s to end",
    ):
        assert words in PAGE
