"""The detector comes once, checked, and stays."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from marginface.errors import InputError, WorkError
from marginface.fetching.detector import detector_file, published_detectors
from marginface.fetching.home import home

CONTENT = os.urandom(50_000)


def registry(folder: Path, address: str, *, checksum: str | None = None) -> Path:
    path = folder / "detectors.toml"
    checksum = checksum or f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    path.write_text(
        f"""[tiny]
title = "Tiny"
home = "https://example.org/tiny"
licence = "for the test"
commercial_use = "allowed"
training_data = "nobody"
citation = "none"
[[tiny.files]]
role = "network"
name = "tiny.onnx"
address = "{address}"
checksum = "{checksum}"
""",
        encoding="utf-8",
    )
    return path


def bring(path: Path) -> Path:
    return detector_file("tiny", progress=lambda *_: None, registry=path)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARGINFACE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_it_is_downloaded_into_the_home_once_and_again_when_damaged(server, own_home, tmp_path) -> None:
    path = registry(tmp_path, server.serve("/tiny.onnx", CONTENT))
    assert bring(path) == bring(path) == own_home / "detectors" / "tiny.onnx"
    assert bring(path).read_bytes() == CONTENT
    assert len(server.asked) == 1
    bring(path).write_bytes(b"something else")
    assert bring(path).read_bytes() == CONTENT


def test_without_it_the_way_out_is_named(server, own_home, tmp_path) -> None:
    path = registry(tmp_path, f"{server.address}/nothing")
    with pytest.raises(WorkError, match=r"404.*bring the file from https://example\.org/tiny.*--detector"):
        bring(path)
    (own_home / "detectors").mkdir(parents=True, exist_ok=True)
    (own_home / "detectors" / "tiny.onnx").write_bytes(CONTENT)
    assert bring(path).read_bytes() == CONTENT


def test_other_bytes_than_those_on_record_are_refused(server, tmp_path) -> None:
    path = registry(tmp_path, server.serve("/tiny.onnx", CONTENT), checksum="sha256:" + "0" * 64)
    with pytest.raises(WorkError, match=r"tiny\.onnx"):
        bring(path)


def test_an_unknown_detector_and_a_broken_entry_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no such published detector; did you mean 'yunet'"):
        detector_file("yunett", progress=lambda *_: None)
    path = registry(tmp_path, "ftp://example.org/tiny.onnx")
    with pytest.raises(InputError, match="the entry tiny does not fit"):
        published_detectors(path)


def test_the_shipped_entry_holds_the_checksum_that_the_zoo_records() -> None:
    yunet = published_detectors()["yunet"]
    assert yunet.file.checksum == "sha256:8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
    assert yunet.commercial_use == "allowed"


@pytest.mark.real_data
def test_the_file_at_hand_is_the_one_on_record(real_data: Path) -> None:
    file = published_detectors()["yunet"].file
    content = (real_data / "weights" / "yunet" / file.name).read_bytes()
    assert len(content) == file.num_bytes
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == file.checksum


def test_the_home_is_where_the_variable_says_and_else_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARGINFACE_HOME", "~/faces")
    assert home() == Path.home() / "faces"
    monkeypatch.delenv("MARGINFACE_HOME")
    assert home() == Path.home() / ".cache" / "marginface"
