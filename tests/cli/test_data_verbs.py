"""The data verbs as a user has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from marginface.cli.main import main
from marginface.records.open import open_records
from tests.helpers.synthetic import write_faces
from tests.records.made_up import assert_same_records


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", num_identities=4, images_per_identity=6, size=24)


def test_convert_there_and_back(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "convert", f"folder:{faces}", f"packed:{tmp_path}/packed", "--shard-mb", "1"]) == 0
    assert f"packed:{tmp_path}/packed: 24 images" in capsys.readouterr().out
    assert main(["data", "convert", f"{tmp_path}/packed", f"tar:{tmp_path}/back.tar"]) == 0
    assert_same_records(open_records(f"folder:{faces}"), open_records(f"tar:{tmp_path}/back.tar"))


@pytest.mark.parametrize(
    "target, words",
    [
        ("packt:x", "did you mean 'packed'"),
        ("packed:", "write for example packed:faces"),
        ("x", "write for example packed:faces"),
    ],
)
def test_convert_refuses_what_it_cannot_write(
    faces: Path, target: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "convert", f"folder:{faces}", target]) == 2
    assert words in capsys.readouterr().err
    assert main(["data", "convert", f"folder:{faces}", "tar:no.tar", "--append"]) == 2
    assert "only packed: sets can be appended to" in capsys.readouterr().err
    assert main(["data", "convert", f"folder:{faces}", "packed:no", "--shard-mb", "0"]) == 2


def test_check_tells_by_its_exit_code(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "check", f"folder:{faces}", "--out", f"{tmp_path}/check", "--workers", "0"]
    assert main(words) == 0
    assert "0 of 24 images cannot be used" in capsys.readouterr().out
    (faces / "person_01/0002.jpg").write_bytes(b"words")
    assert main(words) == 1
    assert "person_01/0002.jpg: this file is not an image" in capsys.readouterr().out
