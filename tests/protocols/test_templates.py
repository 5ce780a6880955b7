"""Pooling is the formula written out, whatever the order of the rows; weights are asked for and checked."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.protocols.templates import PoolingConfig, Templates, pool, single_images, template_quality
from marginface.records.embedding_table import EmbeddingTable


def table(num=20, *, seed=0, **changes):
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(num, 6)) * rng.uniform(1, 9, (num, 1))).astype(np.float32)
    parts = {
        "vectors": vectors,
        "norms": np.linalg.norm(vectors, axis=1).astype(np.float32),
        "keys": tuple(f"{i}.jpg" for i in range(num)),
        "labels": np.zeros(num, np.int64),
        "identities": ("a",),
        "fingerprint": "x",
        "columns": {"quality": rng.uniform(0, 1, num)},
    }
    return EmbeddingTable(**{**parts, **changes})


def templates(num_rows=30, num=7, *, images=20, seed=1):
    rng = np.random.default_rng(seed)
    template = np.append(np.arange(num), rng.integers(num, size=num_rows - num))
    media = template * 100 + rng.integers(3, size=num_rows)
    score = rng.uniform(0.5, 1, num_rows).astype(np.float32)
    names = tuple(f"t{i}" for i in range(num))
    return Templates(rng.integers(images, size=num_rows), template, media, names, np.arange(num), score)


def written_out(table, templates, pooling):
    rows = []
    for t in range(len(templates)):
        mine = np.flatnonzero(templates.template == t)
        total = np.zeros(6)
        for media in np.unique(templates.media[mine]) if pooling.media else mine:
            group = mine[templates.media[mine] == media] if pooling.media else [media]
            added = []
            for r in group:
                image = templates.image[r]
                vector = table.vectors[image].astype(np.float64)
                if pooling.norm == "drop":
                    vector /= np.linalg.norm(vector)
                if pooling.detector_score:
                    vector = vector * templates.detector_score[r]
                if pooling.quality:
                    vector = vector * table.columns[pooling.quality][image]
                added.append(vector)
            total += np.mean(added, axis=0)
        rows.append(total / np.linalg.norm(total))
    return np.array(rows)


@pytest.mark.parametrize(
    "pooling, letters",
    [
        (PoolingConfig(), "N1D0"),
        (PoolingConfig(norm="drop"), "N0D0"),
        (PoolingConfig(detector_score=True), "N1D1"),
        (PoolingConfig(norm="drop", quality="quality"), "N0D0Q(quality)"),
        (PoolingConfig(media=False), "N1D0 no media"),
    ],
)
def test_pooling_is_the_formula_written_out(pooling, letters):
    found = pool(table(), templates(), pooling)
    np.testing.assert_allclose(found.unit, written_out(table(), templates(), pooling), atol=1e-6)
    assert found.present.all()
    assert pooling.letters == letters


def test_padding_a_template_with_itself_changes_nothing_but_a_second_media_does():
    one = Templates(np.array([0, 1]), np.array([0, 0]), np.array([5, 5]), ("t",), np.array([0]))
    twice = Templates(np.array([0, 1, 0, 1]), np.zeros(4, int), np.array([5, 5, 5, 5]), ("t",), np.array([0]))
    other = Templates(np.array([0, 1, 1]), np.zeros(3, int), np.array([5, 5, 6]), ("t",), np.array([0]))
    first, again, more = (pool(table(), t, PoolingConfig()).unit for t in (one, twice, other))
    np.testing.assert_allclose(first, again, atol=1e-6)
    assert np.abs(first - more).max() > 1e-3


def test_missing_images_stop_it_or_are_counted():
    keys = [f"{i}.jpg" for i in range(22)]
    made = Templates(np.array([0, 20, 21]), np.array([0, 0, 1]), np.array([1, 2, 3]), ("a", "b"), np.array([0, 1]))
    with pytest.raises(InputError, match=r"2 images of the templates have no embedding \(first 20\.jpg\)"):
        pool(table(), made, PoolingConfig(), keys=keys)
    found = pool(table(), made, PoolingConfig(), keys=keys, allow_missing=True)
    assert found.present.tolist() == [True, False]
    assert found.num_missing_images == 2
    np.testing.assert_allclose(found.unit[0], table().unit[0], atol=1e-6)


def test_weights_that_are_not_there_or_no_weights_are_refused():
    alone = single_images([0, 1], [0, 1], ["a", "b"])
    with pytest.raises(InputError, match="hold no detection scores"):
        pool(table(), alone, PoolingConfig(detector_score=True))
    with pytest.raises(InputError, match="no column 'sharpness'"):
        pool(table(), alone, PoolingConfig(quality="sharpness"))
    negative = table(columns={"quality": np.linspace(-1, 1, 20)})
    with pytest.raises(InputError, match="quality: 2 of 2 images have a weight that is negative"):
        pool(negative, alone, PoolingConfig(quality="quality"))


def test_the_quality_of_a_template_is_that_of_its_images_that_have_one():
    templates = Templates(
        np.arange(6), np.array([0, 0, 1, 1, 2, 3]), np.arange(6), tuple("abcd"), np.arange(4, dtype=np.int64)
    )
    values, row = np.array([1.0, 5.0, np.nan, 2.0, np.nan, 9.0]), np.array([0, 1, 2, 3, 4, -1])
    np.testing.assert_array_equal(template_quality(values, templates, row), [3, 2, np.nan, np.nan])
    np.testing.assert_array_equal(template_quality(values, templates, row, "max"), [5, 2, np.nan, np.nan])
