"""Several sets: each image embedded once, every number as if its set were alone, and mistakes told first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from marginface.cli.main import main
from marginface.config import load
from marginface.errors import InputError
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.run import judge_systems
from marginface.evaluation.suite import SuiteConfig, judge_suite, open_sets
from tests.helpers.synthetic import write_faces


class Counting(RawPixels):
    """Raw pixels that count what they are shown."""

    seen = 0

    def embed(self, images: torch.Tensor, *, flip="sum") -> torch.Tensor:
        self.seen += len(images)
        return super().embed(images, flip=flip)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", num_identities=12, images_per_identity=4, size=32)


def sets_on(faces: Path, tmp_path: Path) -> dict:
    table = tmp_path / "desk.csv"
    rows = [f"person_{p:02d}/{i:04d}.jpg,{'probe' if i else 'gallery'},p{p}" for p in range(8) for i in range(4)]
    table.write_text("\n".join(["image,role,person", *rows, "person_11/0000.jpg,probe,p11"]) + "\n")
    common = {"data": str(faces), "num_replicates": 20}
    return {
        "evaluations": [
            {"name": "pairs", "protocol": {"kind": "generated", "num_non_mated": 300}, **common},
            {"name": "desk", "protocol": {"kind": "gallery", "table": str(table)}, **common},
        ]
    }


def test_shared_images_are_embedded_once_and_the_numbers_are_those_of_each_set_alone(faces, tmp_path: Path) -> None:
    suite = load(SuiteConfig, sets_on(faces, tmp_path))
    embedder = Counting(input_size=32)
    together = [one.to_json() for one in judge_suite([embedder], suite, open_sets(suite))]
    assert embedder.seen == 48
    for record, config in zip(together, suite.evaluations, strict=True):
        (alone,) = [one.to_json() for one in judge_systems([RawPixels(input_size=32)], config)]
        for one in (record, alone):
            one["provenance"].pop("date")
        assert record == alone


def test_mistakes_are_told_before_anything_is_embedded_with_the_sets_name(faces, tmp_path: Path) -> None:
    sets = sets_on(faces, tmp_path)
    sets["evaluations"][1]["data"] = str(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"^desk: .*nowhere"):
        open_sets(load(SuiteConfig, sets))
    only_mated = tmp_path / "mated.csv"
    only_mated.write_text("left,right,mated\nperson_00/0000.jpg,person_00/0001.jpg,1\n")
    sets["evaluations"][1] |= {"data": str(faces), "protocol": {"kind": "csv", "pairs_file": str(only_mated)}}
    with pytest.raises(InputError, match="desk: mated has mated pairs only"):
        open_sets(load(SuiteConfig, sets))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"evaluations": []}, "evaluations is empty"),
        ({"quality": ["sharpnes"]}, "there is no method 'sharpnes'"),
        ({"titel": "x"}, "there is no such setting; did you mean 'title'"),
    ],
)
def test_files_that_say_nothing_of_use(faces, tmp_path: Path, change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(SuiteConfig, {**sets_on(faces, tmp_path), **change})


def test_the_verb_takes_a_file_and_several_models(faces, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sets.yaml"
    file.write_text(json.dumps({**sets_on(faces, tmp_path), "quality": ["sharpness"], "notes": ["Drawn faces."]}))
    kept = tmp_path / "kept"
    words = ["evaluate", "raw-pixels", "--data", str(faces), "--workers", "0", "--replicates", "0"]
    assert main([*words, "--keep-embeddings", str(kept)]) == 0
    models = ["evaluate", str(kept), "raw-pixels", "--config", str(file), "--workers", "0"]
    assert main([*models, "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["name"] for one in report["sets"]] == ["pairs", "desk"]
    names = [one["system"]["name"] for one in report["systems"]]
    assert names == [f"raw pixels ({kept})", "raw pixels (raw-pixels)"] * 2
    assert "assessing quality" in capsys.readouterr().err
    assert "Drawn faces." in (tmp_path / "out" / "report.html").read_text()
    capsys.readouterr()
    for extra, said in (
        (["--flip", "none"], "--flip is of one set, and --config names several"),
        (["--pooling.norm", "drop"], "--pooling.norm is of one set"),
    ):
        assert main([*models, *extra]) == 2
        assert said in capsys.readouterr().err
    assert main(["evaluate", "raw-pixels"]) == 2
    assert "--data SOURCE or --config FILE" in capsys.readouterr().err
