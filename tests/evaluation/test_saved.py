"""Embeddings of several models and sets are kept apart by name, and serve again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from marginface.cli.arguments import RuntimeName
from marginface.cli.main import main
from marginface.errors import InputError
from marginface.evaluation.saved import SavedEmbeddings, is_saved, places
from marginface.models.runtimes import RUNTIMES
from marginface.records.embedding_table import EmbeddingTable
from tests.evaluation.made_up import evaluation
from tests.evaluation.test_suite import sets_on
from tests.helpers.synthetic import write_faces


def test_one_of_each_is_the_place_itself_and_several_have_names(tmp_path: Path) -> None:
    assert places(tmp_path / "k", ["A"], ["LFW"]) == {("A", "LFW"): tmp_path / "k"}
    several = places(tmp_path / "k", ["Net A", "b"], ["LFW"], suffix=".csv")
    assert several["Net A", "LFW"] == tmp_path / "k" / "net-a" / "lfw.csv"


@pytest.mark.parametrize(
    ("base", "systems", "said"),
    [
        ("k", ["Net a", "net A"], "'Net a' and 'net A' would both be kept as 'net-a'"),
        ("k.csv", ["a", "b"], "is one file, and 2 are to be written; name a folder"),
    ],
)
def test_clashes_are_refused_in_a_sentence(tmp_path: Path, base: str, systems: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        places(tmp_path / base, systems, ["LFW"], suffix=".csv")


def test_a_table_is_not_made_a_folder_of_tables(tmp_path: Path) -> None:
    evaluation("a", pairs=100, people=20).table.save(tmp_path / "k")
    with pytest.raises(InputError, match="is one embedding table, and 2"):
        places(tmp_path / "k", ["a", "b"], ["LFW"])


def test_embeddings_and_scores_of_two_models_on_two_sets_serve_again(tmp_path: Path, capsys) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=12, images_per_identity=4, size=32)
    file = tmp_path / "sets.yaml"
    file.write_text(json.dumps(sets_on(faces, tmp_path)))
    one = tmp_path / "one"
    words = ["evaluate", "raw-pixels", "--data", str(faces), "--workers", "0", "--replicates", "0"]
    assert main([*words, "--keep-embeddings", str(one)]) == 0
    kept, scores = tmp_path / "kept", tmp_path / "scores"
    both = ["evaluate", "raw-pixels", str(one), "--config", str(file), "--workers", "0"]
    assert main([*both, "--keep-embeddings", str(kept), "--scores", str(scores)]) == 0
    folders = sorted(kept.iterdir())
    assert [sorted(table.name for table in folder.iterdir()) for folder in folders] == [["desk", "pairs"]] * 2
    assert [sorted(file.name for file in folder.iterdir()) for folder in sorted(scores.iterdir())] == [
        ["pairs.csv"]
    ] * 2
    assert all(map(is_saved, folders))
    assert len(EmbeddingTable.load(folders[0] / "desk")) == 33
    capsys.readouterr()

    again = ["evaluate", *map(str, folders), "--config", str(file), "--workers", "0", "--scores", str(tmp_path / "s2")]
    assert main(again) == 0
    first, second = (sorted(folder.rglob("*.csv")) for folder in (scores, tmp_path / "s2"))
    assert {path.read_text() for path in first} == {path.read_text() for path in second}
    assert main([*again[:-1], str(tmp_path / "s3.csv")]) == 2
    assert "s3.csv is one file, and 2 are to be written" in capsys.readouterr().err
    with pytest.raises(InputError, match="no embeddings of lfw in lfw; it has desk, pairs"):
        SavedEmbeddings(folders[0]).of_set("lfw")


def test_the_runtimes_that_verbs_name_are_those_of_models() -> None:
    assert get_args(RuntimeName) == RUNTIMES


def test_what_only_models_or_comparisons_have_is_refused_elsewhere(tmp_path: Path, capsys) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=4, images_per_identity=2, size=32)
    (tmp_path / "desk.csv").write_text("image,role,person\nperson_00/0000.jpg,gallery,a\nperson_00/0001.jpg,probe,a\n")
    words = ["evaluate", "raw-pixels", "--data", str(faces), "--protocol", "gallery"]
    words += ["--table", str(tmp_path / "desk.csv")]
    assert main([*words, "--scores", str(tmp_path / "s.csv")]) == 2
    assert "searches have no list of scores" in capsys.readouterr().err
    assert main([*words, "--runtime", "torch"]) == 2
    assert "--runtime says what runs a model" in capsys.readouterr().err
