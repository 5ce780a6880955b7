"""Claims about scoring pairs, and about the registry of protocols."""

from __future__ import annotations

import typing

import numpy as np
import pytest

from marginface.config import dump, load
from marginface.errors import InputError
from marginface.protocols import PROTOCOLS, CsvConfig, GeneratedConfig, LfwConfig, compare, generated_pairs
from marginface.records.embedding_table import EmbeddingTable

LABELS = np.repeat(np.arange(12), 5)


def table(num_dims=32, keep=slice(None), seed=0):
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(12, num_dims))[LABELS] + rng.normal(size=(60, num_dims))).astype(np.float32)[keep]
    return EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1).astype(np.float32),
        keys=tuple(np.array([f"p{label}/{i}.jpg" for i, label in enumerate(LABELS)])[keep].tolist()),
        labels=LABELS[keep],
        identities=tuple(f"p{i}" for i in range(12)),
        fingerprint="test",
        meta={},
    )


def test_scores_are_cosines(monkeypatch):
    monkeypatch.setattr("marginface.protocols.pair_scores.GATHER_BYTES", 32 * 4 * 7)  # chunks of seven pairs
    embeddings, pairs = table(), generated_pairs(LABELS)
    found = compare(embeddings, pairs)
    wide = embeddings.vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    np.testing.assert_allclose(found.score, (wide[pairs.left] * wide[pairs.right]).sum(axis=1), atol=5e-7)
    assert found.score.dtype == np.float32
    np.testing.assert_array_equal(found.mated, found.identity_left == found.identity_right)
    assert (len(found), found.num_left_out) == (len(pairs), 0)


def test_an_image_with_itself_scores_exactly_one_at_most():
    embeddings, pairs = table(num_dims=512), generated_pairs(LABELS)
    itself = type(pairs)("itself", pairs.left, pairs.left, pairs.mated)
    assert compare(embeddings, itself).score.max() <= 1.0


def test_few_pairs_of_a_large_table_score_as_among_all():
    embeddings, pairs = table(), generated_pairs(LABELS)
    few = type(pairs)("few", pairs.left[:9], pairs.right[:9], pairs.mated[:9])
    shuffled = np.random.default_rng(0).permutation(60)
    other_order = table(keep=shuffled)
    np.testing.assert_array_equal(compare(embeddings, few).score, compare(embeddings, pairs).score[:9])
    np.testing.assert_array_equal(
        compare(other_order, few, keys=embeddings.keys).score, compare(embeddings, pairs).score[:9]
    )


def test_a_table_without_some_images_is_matched_by_key():
    whole, keep = table(), np.flatnonzero(np.arange(60) % 7)
    part, pairs = table(keep=keep), generated_pairs(LABELS)
    with pytest.raises(
        InputError, match=r"9 images of its pairs have no embedding \(p0/0.jpg, p1/7.jpg, p2/14.jpg and 6"
    ):
        compare(part, pairs, keys=whole.keys)
    found = compare(part, pairs, keys=whole.keys, allow_missing=True)
    both = np.isin(pairs.left, keep) & np.isin(pairs.right, keep)
    assert found.num_left_out == int((~both).sum()) > 0
    np.testing.assert_array_equal(found.score, compare(whole, pairs).score[both])
    np.testing.assert_array_equal(found.fold, pairs.fold[both])
    np.testing.assert_array_equal(found.identity_left, LABELS[pairs.left[both]])
    with pytest.raises(ValueError, match="points beyond"):
        compare(part, pairs)


def test_no_pair_left_is_refused():
    with pytest.raises(InputError, match="nothing can be compared"):
        compare(table(keep=[0]), generated_pairs(LABELS), keys=table().keys, allow_missing=True)


def test_the_hardest_pairs_come_first():
    found = compare(table(), generated_pairs(LABELS))
    mated, non_mated = found.hardest(3, mated=True), found.hardest(3, mated=False)
    assert found.score[mated].tolist() == sorted(found.score[found.mated].tolist())[:3]
    assert found.score[non_mated].tolist() == sorted(found.score[~found.mated].tolist(), reverse=True)[:3]


def test_the_summary_knows_people_and_folds():
    row = compare(table(), generated_pairs(LABELS)).summarise(num_replicates=20, fmr_targets=(0.1,))
    assert row.num_identities == 12
    assert len(row.accuracy.fold_accuracies) == 10
    assert row.fnmr_at_fmr[0].interval.method == "wider of wilson and identity bootstrap"


# -- the registry --


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_each_key_is_the_configs_kind(kind):
    assert typing.get_args(typing.get_type_hints(PROTOCOLS[kind])["kind"]) == (kind,)


def test_configs_are_read_from_plain_values_and_make_pairs(tmp_path):
    embeddings = table()
    (tmp_path / "mine.csv").write_text("left,right,mated\np0/0.jpg,p0/1.jpg,1\np0/0.jpg,p1/5.jpg,0\n")
    (tmp_path / "pairs.txt").write_text("1\nAda 1 2\nAda 1 Bo 1\n")
    csv = load(CsvConfig, {"kind": "csv", "pairs_file": str(tmp_path / "mine.csv")})
    lfw = load(LfwConfig, {"kind": "lfw", "pairs_file": str(tmp_path / "pairs.txt")})
    generated = load(GeneratedConfig, {"num_non_mated": 100, "seed": 2})
    for config in (csv, lfw, generated, load(GeneratedConfig, {"num_non_mated": "all"})):
        assert load(type(config), dump(config)) == config
    made = csv.pairs(embeddings.keys, embeddings.labels)
    assert (made.name, len(made)) == ("mine", 2)
    assert len(lfw.pairs(["Ada/Ada_0001.jpg", "Ada/Ada_0002.jpg", "Bo/Bo_0001.jpg"], np.array([0, 0, 1]))) == 2
    made = generated.pairs(embeddings.keys, embeddings.labels)
    assert (made.name, made.num_mated, made.num_non_mated) == ("generated", 120, 100)


@pytest.mark.parametrize(
    "settings", [{"num_non_mated": 0}, {"max_mated_per_identity": 0}, {"seed": -1}, {"num_non_mated": "most"}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        load(GeneratedConfig, settings)
