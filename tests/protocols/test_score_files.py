"""Scores come back from files as they went, and files that do not fit are refused by their line."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.protocols.score_files import ScoreFile, read_ofiq, read_scores, with_ofiq, write_ofiq, write_scores
from marginface.records.embedding_table import EmbeddingTable

SCORES = ScoreFile(
    score=np.array([0.1 + 0.2, 1 / 3, -0.25, 1e-17]),
    mated=np.array([True, False, True, False]),
    left=("a/1.jpg", "a/1.jpg", "b,1.jpg", "c/1.jpg"),
    right=("a/2.jpg", "b/1.jpg", "b/2.jpg", "ü/1.jpg"),
    identity_left=("a", "a", "b", "c"),
    identity_right=("a", "b", "b", "ü"),
    fold=np.array([0, 0, 1, 1]),
)


def test_csv_keeps_every_digit_name_and_fold(tmp_path):
    (path,) = write_scores(tmp_path / "s.csv", SCORES)
    found = read_scores(path)
    for name in ("score", "mated", "left", "right", "identity_left", "identity_right", "fold"):
        np.testing.assert_array_equal(getattr(found, name), getattr(SCORES, name))


def test_four_columns_name_the_claimed_and_the_real_person(tmp_path):
    (path,) = write_scores(tmp_path / "s.txt", SCORES, form="four-column")
    assert path.read_text().splitlines()[1] == f"a b b/1.jpg {1 / 3!r}"
    found = read_scores(path)
    np.testing.assert_array_equal(found.score, SCORES.score)
    np.testing.assert_array_equal(found.mated, SCORES.mated)
    assert found.identity_right == SCORES.identity_right


def test_pyeer_has_a_file_for_each_kind(tmp_path):
    files = write_scores(tmp_path / "s.txt", SCORES, form="pyeer")
    assert [file.name for file in files] == ["s_mated.txt", "s_non_mated.txt"]
    found = read_scores(files[0], non_mated=files[1])
    assert sorted(found.score[found.mated]) == sorted(SCORES.score[SCORES.mated])
    assert found.mated.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "text, words",
    [
        ("left,right,score,mated\na,b,0.5,1\na,c,x,0\n", "line 3: 'x' is no score"),
        ("left,right,score,mated\na,b,nan,1\na,c,0.1,0\n", "NaN or infinite"),
        ("score,mated\n0.5,1\n0.4,1\n", "None of the 2 comparisons is non-mated"),
        ("score,mated\n0.5,maybe\n", "line 2: mated must be 1 or 0"),
        ("score,same\n0.5,1\n", "the column 'mated' is missing"),
        ("score,mated,weight\n0.5,1,2\n", "there is no column 'weight'"),
        ("a a p 0.5\na b p\n", "line 2: expected `claimed real probe score`"),
        ("hello\n", "of no known form"),
        ("", "of no known form"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, text, words):
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_scores(path)


def test_four_columns_need_people(tmp_path):
    with pytest.raises(InputError, match="name the people"):
        write_scores(tmp_path / "x", ScoreFile(SCORES.score, SCORES.mated), form="four-column")


def test_ofiq_measures_become_columns_of_a_table(tmp_path):
    path = tmp_path / "ofiq.csv"
    path.write_text("Filename;UnifiedQualityScore;Sharpness.scalar\n/x/a/1.jpg;0.5;70\n/x/b/1.jpg;;80\n")
    names, measures = read_ofiq(path)
    assert names == ("/x/a/1.jpg", "/x/b/1.jpg")
    assert np.isnan(measures["UnifiedQualityScore"][1])
    vectors = np.ones((2, 3), np.float32)
    table = EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1),
        keys=("b/1.jpg", "a/1.jpg"),
        labels=np.array([0, 1]),
        identities=("b", "a"),
        fingerprint="x",
    )
    assert with_ofiq(table, path).column("Sharpness_scalar").tolist() == [80, 70]
    again = read_ofiq(write_ofiq(tmp_path / "out.csv", names, measures))
    assert again[0] == names
    np.testing.assert_array_equal(again[1]["Sharpness_scalar"], measures["Sharpness_scalar"])
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="Filename"):
        read_ofiq(path)
