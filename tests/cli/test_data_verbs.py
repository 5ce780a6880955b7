"""The data verbs as a user has them."""

from __future__ import annotations

import pickle
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


def test_rec2jpg_numbers_each_persons_images_and_keeps_their_bytes(faces: Path, tmp_path: Path) -> None:
    assert main(["data", "convert", f"folder:{faces}", f"recordio:{tmp_path}/rec"]) == 0
    assert main(["data", "rec2jpg", f"recordio:{tmp_path}/rec", f"{tmp_path}/jpg"]) == 0
    written = sorted(path.relative_to(tmp_path / "jpg") for path in (tmp_path / "jpg").rglob("*.jpg"))
    assert [path.name for path in written] == [f"{i:03d}.jpg" for i in range(6)] * 4
    originals = [path.read_bytes() for path in sorted(faces.rglob("*.jpg"))]
    assert [(tmp_path / "jpg" / path).read_bytes() for path in written] == originals


def test_subset_and_split_write_lists_that_open(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "some.txt"
    assert main(["data", "subset", f"folder:{faces}", "--out", str(out), "--first", "2"]) == 0
    assert "12 of 24 images, 2 of 4 people" in capsys.readouterr().out
    assert len(open_records(f"folder:{faces}?only={out}")) == 12
    assert main(["data", "subset", f"folder:{faces}", "--out", str(out)]) == 2
    assert "say which images" in capsys.readouterr().err
    words = ["data", "split", f"folder:{faces}", "--out", f"{tmp_path}/lists", "--people", "1"]
    assert main([*words, "--image-share", "0.5"]) == 0
    sizes = {p.name: len(open_records(f"folder:{faces}?only={p}")) for p in (tmp_path / "lists").iterdir()}
    assert sizes == {"train.txt": 9, "test.txt": 9, "strangers.txt": 6}
    assert main(words) == 0
    assert not (tmp_path / "lists/test.txt").exists()


def test_pairs_of_a_pack_stay_beside_the_packed_set(tmp_path: Path) -> None:
    people = write_faces(tmp_path / "two", num_identities=1, images_per_identity=4, size=24)
    images = [path.read_bytes() for path in sorted(people.rglob("*.jpg"))]
    (tmp_path / "pairs.bin").write_bytes(pickle.dumps((images, [True, False])))
    assert main(["data", "convert", f"bin:{tmp_path}/pairs.bin", f"packed:{tmp_path}/packed"]) == 0
    assert [record.image for record in open_records(f"packed:{tmp_path}/packed")] == images
    assert (tmp_path / "packed.pairs.csv").read_text().splitlines()[0].startswith("left,right,mated")


def test_exclude_and_undo(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed, listed = f"packed:{tmp_path}/packed", tmp_path / "some.txt"
    assert main(["data", "convert", f"folder:{faces}", packed]) == 0
    listed.write_text("person_00/0001.jpg\nperson_02/0003.jpg\n")
    assert main(["data", "exclude", packed, str(listed)]) == 0
    assert "leaves 2 images out" in capsys.readouterr().out
    assert len(open_records(packed)) == 22
    assert main(["data", "exclude", packed]) == 2
    assert main(["data", "exclude", packed, "--undo"]) == 0
    assert len(open_records(packed)) == 24
