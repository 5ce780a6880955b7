"""From sets in their published layouts, through the command line, to records with counts and intervals."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from marginface.cli.main import main
from marginface.errors import InputError
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.run import evaluate, evaluate_systems, judge_systems
from marginface.evaluation.settings import EvaluationConfig
from marginface.protocols import PROTOCOLS
from tests.helpers import layouts
from tests.helpers.synthetic import write_faces


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), num_identities=8, images_per_identity=6, size=32)


def judged(kind: str, data: Path, **settings: object):
    config = EvaluationConfig(name=kind, data=str(data), protocol=PROTOCOLS[kind](**settings), num_replicates=20)
    return judge_systems([RawPixels(input_size=32)], config)[0]


def test_searches_have_a_record_with_counts_intervals_and_conventions(faces: Path, tmp_path: Path) -> None:
    root = layouts.ijbc(faces, tmp_path / "ijbc")
    record = judged("ijbc-1n", root / "images", meta=root / "meta").to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert [one["name"] for one in record["galleries"]] == ["G1", "G2"]
    assert record["average"]["mated_searches"] == 16
    assert record["average"]["non_mated_searches"] == 16
    assert record["provenance"]["pooling"] == "N1D0F2"
    assert record["counts"]["people"] == 8
    rank_1 = record["average"]["ranks"][0]
    assert rank_1["low"] < rank_1["value"] <= rank_1["high"]
    assert "ties count against it" in record["convention"]


def test_templates_are_judged_as_pairs_are(faces: Path, tmp_path: Path) -> None:
    root = layouts.ijbc(faces, tmp_path / "ijbc")
    found = judged("ijbc", root / "images", meta=root / "meta", align=False)
    record = found.to_json()
    assert record["counts"]["mated"] == 16
    assert record["counts"]["non_mated"] == 8 * 16 - 16
    assert record["counts"]["images"] == 48
    assert record["counts"]["identities"] == 8
    assert found.table.keys[0] == "107"  # of templates, so that the hardest pairs can be named


def test_a_search_among_comparisons_is_refused_in_words(faces: Path, tmp_path: Path) -> None:
    layouts.scface(faces, tmp_path / "s")
    config = EvaluationConfig(name="s", data=str(tmp_path / "s"), protocol=PROTOCOLS["scface"](), num_replicates=0)
    with pytest.raises(InputError, match="searches galleries"):
        evaluate(RawPixels(input_size=32), config)
    with pytest.raises(InputError, match="scface searches galleries"):
        evaluate_systems([RawPixels(input_size=32)], config)


def test_broken_images_stop_a_search_or_are_counted(faces: Path, tmp_path: Path) -> None:
    root = layouts.tinyface(faces, tmp_path / "t", num_distractor_people=2)
    next((root / "Probe").iterdir()).write_text("no image")
    groups = EvaluationConfig(name="t", data=str(root), protocol=PROTOCOLS["tinyface"](), groups=tmp_path / "g.csv")
    with pytest.raises(InputError, match="groups are of pairs of images; tinyface searches"):
        judge_systems([RawPixels()], groups)
    config = EvaluationConfig(name="t", data=str(root), protocol=PROTOCOLS["tinyface"](), num_replicates=0)
    with pytest.raises(InputError):
        judge_systems([RawPixels(input_size=32)], config)
    skipping = EvaluationConfig(
        name="t", data=str(root), protocol=PROTOCOLS["tinyface"](), num_replicates=0, skip_broken=True
    )
    record = judge_systems([RawPixels(input_size=32)], skipping)[0].to_json()
    assert record["counts"]["missing_images"] == record["counts"]["left_out"] == 1
    assert record["galleries"][0]["mated_searches"] == 17


def test_the_verbs_judge_every_kind_of_set(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["evaluate", "raw-pixels", "--replicates", "10", "--workers", "0"]
    ijbc = layouts.ijbc(faces, tmp_path / "ijbc")
    kept = tmp_path / "embeddings"
    meta = ["--data", str(ijbc / "images"), "--meta", str(ijbc / "meta")]
    scores = tmp_path / "scores.csv"
    assert main([*common, "--protocol", "ijbc", *meta, "--keep-embeddings", str(kept), "--scores", str(scores)]) == 0
    assert "FNMR" in capsys.readouterr().out
    again = [*meta, "--pooling.norm", "drop", "--out", str(tmp_path / "out")]
    assert main(["evaluate", str(kept), "--replicates", "10", "--protocol", "ijbc-1n", *again]) == 0
    out = capsys.readouterr().out
    assert "average" in out
    (record,) = json.loads((tmp_path / "out" / "report.json").read_text())["systems"]
    assert record["provenance"]["pooling"] == "N0D0F2"
    assert record["provenance"]["input"] == f"embeddings of folder:{ijbc / 'images'} (48 of 48 images)"
    assert main(["scores", str(scores), "--replicates", "10"]) == 0
    assert "EER" in capsys.readouterr().out

    rfw = layouts.rfw(faces, tmp_path / "rfw", per_fold=11)
    words = ["--data", str(rfw / "data"), "--pairs-folder", str(rfw / "txts")]
    words += ["--magface-ten-fold", "--group-fmr", "0.1"]
    assert main([*common, "--protocol", "rfw", *words]) == 0
    out = capsys.readouterr().out
    assert "African" in out
    assert "MagFace" in out

    distractors = write_faces(tmp_path / "others", num_identities=6, images_per_identity=4, size=32, seed=5)
    words = ["--data", str(faces), "--distractors", str(distractors), "--sizes", "[5, 1000]"]
    assert main([*common, "--protocol", "megaface", *words, "--out", str(tmp_path / "megaface-out")]) == 0
    out = capsys.readouterr().out
    assert "24 distractors" in out
    (record,) = json.loads((tmp_path / "megaface-out" / "report.json").read_text())["systems"]
    few, many = (one["fnmr_at_fmr"] for one in record["verification"])
    assert [point["non_mated"] for point in (few[0], many[0])] == [5 * 48, 24 * 48]  # every probe with every distractor
    assert [point["support"] for point in many] == ["refused"] * 4  # 1.2 false matches are to be expected at 1e-3
    assert "1,152 non-mated pairs cannot support FMR 1e-06" in " ".join(out.split())
    assert "Verification among the distractors" in (tmp_path / "megaface-out" / "report.html").read_text()

    for kind, found in (
        ("tinyface", "matches and distractors"),
        ("scface", "4.2 m"),
        ("ijbs", "G1 and G2"),
    ):
        root = getattr(layouts, kind)(faces, tmp_path / kind)
        where = [str(root / "images"), "--meta", str(root / "meta")] if kind == "ijbs" else [str(root)]
        assert main([*common, "--protocol", kind, "--data", *where, "--out", str(tmp_path / f"{kind}-out")]) == 0
        (record,) = json.loads((tmp_path / f"{kind}-out" / "report.json").read_text())["systems"]
        names = [one["name"] for one in (*record["galleries"], record["joined"]) if one]
        assert found in names
        html = (tmp_path / f"{kind}-out" / "report.html").read_text()
        assert found in html
        assert ("no strangers" in html) == (kind == "ijbs")  # everybody is in one of its galleries
    assert main(["protocols"]) == 0
    assert "--distractors" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, said",
    [
        (["--protocol", "tinyfase"], "there is no protocol 'tinyfase'; did you mean 'tinyface'?"),
        (["--protocol", "ijbc"], "meta"),
        (["--protocol", "ijbc", "--mata", "x"], "there is no such setting; did you mean 'meta'?"),
        (["--protocol", "generated", "--meta", "x"], "there is no such setting"),
    ],
)
def test_protocols_and_settings_that_do_not_exist_are_named(faces, capsys, words, said) -> None:
    assert main(["evaluate", "raw-pixels", "--data", str(faces), *words]) == 2
    assert said in capsys.readouterr().err


def test_saved_embeddings_of_another_flip_are_refused(faces: Path, tmp_path: Path, capsys) -> None:
    common = ["--data", str(faces), "--replicates", "0", "--workers", "0", "--non-mated", "200"]
    assert main(["evaluate", "raw-pixels", *common, "--flip", "none", "--keep-embeddings", str(tmp_path / "e")]) == 0
    assert main(["evaluate", str(tmp_path / "e"), *common]) == 2
    assert "evaluate with --flip none" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.real_data
def test_real_faces_in_published_layouts(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    with tarfile.open(real_data / "lfw.tar") as tar:
        members: dict[str, list[tarfile.TarInfo]] = {}
        for member in tar.getmembers():
            if member.isfile():
                members.setdefault(member.name.split("/")[-2], []).append(member)
        for name, files in sorted(members.items()):
            if len(files) == 6:
                for member in files:
                    path = folder / name / member.name.split("/")[-1]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(tar.extractfile(member).read())
    ijbc = layouts.ijbc(folder, tmp_path / "ijbc")
    pairs = judged("ijbc", ijbc / "images", meta=ijbc / "meta")
    assert pairs.summary.equal_error_rate.value < 0.45  # raw pixels know little, but not nothing
    found = judged("tinyface", layouts.tinyface(folder, tmp_path / "tiny", num_distractor_people=10))
    one = found.summary.galleries[0]
    assert 1 / one.num_entries < one.ranks[0].rate.value < one.ranks[-1].rate.value
    assert np.isfinite(one.mean_average_precision.value)
