"""Features in MegaFace's form are judged as the embeddings that they were made from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from marginface.cli.main import main
from marginface.errors import InputError
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.embed import embed_records
from marginface.protocols.feature_files import read_feature_file, read_feature_files, write_feature_file
from marginface.records.open import open_records
from tests.helpers.synthetic import write_faces


def test_the_bytes_are_those_of_the_kit(tmp_path: Path) -> None:
    write_feature_file(tmp_path / "a.bin", [1.0, -2.5])
    assert (tmp_path / "a.bin").read_bytes() == bytes.fromhex("02000000 01000000 04000000 05000000 0000803f 000020c0")
    np.testing.assert_array_equal(read_feature_file(tmp_path / "a.bin"), [1, -2.5])


def test_a_noisy_megaface_of_feature_files_is_judged_as_with_noise_lists(tmp_path: Path, capsys) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=6, images_per_identity=3, size=32)
    others = write_faces(tmp_path / "others", num_identities=5, images_per_identity=3, size=32, seed=5)
    noise = {"": "person_02/0001.jpg", "distractors": "person_04/0002.jpg"}
    for prefix, folder in (("", faces), ("distractors", others)):
        table = embed_records(RawPixels(input_size=32), open_records(folder))
        for key, vector in zip(table.keys, table.vectors, strict=True):
            marked = [*vector, 100.0 if key == noise[prefix] else 0.0]
            write_feature_file(tmp_path / "features" / (prefix or "probe") / f"{key}_net.bin", marked)
        (tmp_path / f"{prefix or 'probe'}.txt").write_text(f"{noise[prefix]}\n")
    folders = {"": tmp_path / "features" / "probe", "distractors": tmp_path / "features" / "distractors"}
    table = read_feature_files(folders, marked=True)
    assert (len(table), table.meta["noisy"]) == (18 + 15 - 2, {"": 1, "distractors": 1})
    assert "distractors/person_00/0000.jpg" in table.keys
    table.save(tmp_path / "table")

    words = ["--protocol", "megaface", "--data", str(faces), "--distractors", str(others), "--sizes", "[5, 100]"]
    words += ["--noise", str(tmp_path / "probe.txt"), "--distractor-noise", str(tmp_path / "distractors.txt")]
    words += ["--replicates", "0", "--workers", "0", "--out"]
    for name, model in (("a", str(tmp_path / "table")), ("b", "raw-pixels")):
        assert main(["evaluate", model, *words, str(tmp_path / name)]) == 0
    (found,), (directly,) = (
        json.loads((tmp_path / name / "report.json").read_text())["systems"] for name in ("a", "b")
    )
    assert found["galleries"] == directly["galleries"]
    assert found["galleries"][-1]["distractors"] == 14
    assert found["galleries"][-1]["mated_searches"] == 5 * 6 + 2
    assert (found["counts"]["noisy_probes_left_out"], found["counts"]["noisy_distractors_left_out"]) == (1, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"abc", "begins with D, 1, 4, 5"),
        (np.array([3, 1, 4, 5, 0], "<i4").tobytes(), "holds D float32"),
        (np.array([1, 1, 4, 6, 0], "<i4").tobytes(), "begins with D, 1, 4, 5"),
        (np.array([1, 1, 4, 5, 0], "<i4").tobytes(), "1 values, and those before it have 2"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    write_feature_file(tmp_path / "a" / "1.jpg.bin", [1.0, 2.0])
    (tmp_path / "a" / "2.jpg.bin").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_feature_files({"": tmp_path})
    with pytest.raises(InputError, match="no feature files"):
        read_feature_files({"": tmp_path / "nothing"})
