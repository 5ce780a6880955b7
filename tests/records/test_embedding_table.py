"""Tables come back from disk as they went, and refuse parts that do not belong together."""

import dataclasses
import json

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.records.embedding_table import EmbeddingTable


def table(**changes) -> EmbeddingTable:
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32) * 5
    vectors[2] = 0
    parts = {
        "vectors": vectors,
        "norms": np.linalg.norm(vectors, axis=1).astype(np.float32),
        "keys": ("a/1.jpg", "a/2.jpg", "ü/1.jpg", "ü/2.jpg"),
        "labels": np.array([0, 0, 1, 1]),
        "identities": ("a", "ü"),
        "fingerprint": "abc",
        "meta": {"flip": "sum", "broken": 0},
    }
    return EmbeddingTable(**{**parts, **changes})


def test_a_round_trip_keeps_every_bit_and_maps_the_vectors(tmp_path):
    saved = table()
    saved.save(tmp_path / "t")
    loaded = EmbeddingTable.load(tmp_path / "t")
    for field in dataclasses.fields(EmbeddingTable):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(saved, field.name))
    assert isinstance(loaded.vectors, np.memmap)
    assert (len(loaded), loaded.embedding_dim) == (4, 8)
    np.testing.assert_array_equal(loaded.unit, saved.unit)


def test_columns_come_back_mapped_and_a_missing_one_is_named(tmp_path):
    columns = {"quality": np.array([0.5, 0.25, 1, 0], np.float32), "media": np.array(["v1", "v1", "é", "s"])}
    table(columns=columns).save(tmp_path)
    loaded = EmbeddingTable.load(tmp_path)
    assert set(loaded.columns) == {"quality", "media"}
    for name, column in columns.items():
        np.testing.assert_array_equal(loaded.column(name), column)
        assert isinstance(loaded.column(name), np.memmap)
    with pytest.raises(InputError, match=r"no column 'template' \(it has: media, quality\)"):
        loaded.column("template")


def test_a_loaded_table_may_be_saved_over_itself_with_other_columns(tmp_path):
    first = table(columns={"quality": np.arange(4.0), "old": np.arange(4)})
    first.save(tmp_path)
    loaded = EmbeddingTable.load(tmp_path)
    dataclasses.replace(loaded, columns={}).with_columns({"quality": np.ones(4)}).save(tmp_path)
    again = EmbeddingTable.load(tmp_path)
    np.testing.assert_array_equal(again.vectors, first.vectors)
    assert list(again.columns) == ["quality"]
    assert (again.column("quality") == 1).all()
    assert [path.name for path in tmp_path.glob("column-*")] == ["column-quality.npy"]


def test_a_table_of_before_columns_is_still_read(tmp_path):
    table().save(tmp_path)
    words = json.loads((tmp_path / "table.json").read_text())
    del words["columns"]
    (tmp_path / "table.json").write_text(json.dumps(words))
    assert EmbeddingTable.load(tmp_path).columns == {}


@pytest.mark.parametrize(
    "columns", [{"a": np.ones(3)}, {"a": np.array([object()] * 4)}, {"../a": np.ones(4)}, {"a": np.ones((4, 1))}]
)
def test_columns_that_do_not_fit_are_programming_errors(columns):
    with pytest.raises(ValueError, match="column"):
        table(columns=columns)


def test_unit_vectors_have_length_one_and_a_zero_vector_stays_zero():
    unit = table().unit
    assert unit.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(unit[[0, 1, 3]], axis=1), 1, rtol=1e-6)
    assert (unit[2] == 0).all()
    one = table()
    assert one.unit is one.unit


def test_saving_over_a_table_replaces_it(tmp_path):
    table().save(tmp_path)
    table(fingerprint="new").save(tmp_path)
    assert EmbeddingTable.load(tmp_path).fingerprint == "new"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"labels": np.array([0, 0, 1, 2])}, r"label 2 of ü/2\.jpg is outside 0\.\.1"),
        ({"labels": np.array([-1, 0, 1, 1])}, r"label -1 of a/1\.jpg is outside"),
        ({"keys": ("a", "a", "b", "c")}, "1 of 4 keys occur twice"),
        ({"norms": np.array([1, np.nan, 1, 1], np.float32)}, r"1 of 4 embeddings are not finite, first a/2\.jpg"),
    ],
)
def test_users_mistakes_are_refused_in_words(changes, words):
    with pytest.raises(InputError, match=words):
        table(**changes)


@pytest.mark.parametrize(
    "changes", [{"norms": np.ones(3, np.float32)}, {"vectors": np.ones((4, 8))}, {"labels": np.zeros(4, np.int32)}]
)
def test_wrong_shapes_and_types_are_programming_errors(changes):
    with pytest.raises(ValueError, match=r"shapes|float32") as error:
        table(**changes)
    assert not isinstance(error.value, InputError)


def test_missing_half_written_and_damaged_tables_say_so(tmp_path):
    with pytest.raises(InputError, match="no finished embedding table"):
        EmbeddingTable.load(tmp_path)
    table().save(tmp_path / "half")
    (tmp_path / "half/table.json").unlink()
    with pytest.raises(InputError, match="no finished embedding table"):
        EmbeddingTable.load(tmp_path / "half")
    table().save(tmp_path / "cut")
    whole = (tmp_path / "cut/vectors.npy").read_bytes()
    for kept in (0, 5, 100, len(whole) - 1):
        (tmp_path / "cut/vectors.npy").write_bytes(whole[:kept])
        with pytest.raises(InputError, match=r"damaged .*embed again"):
            EmbeddingTable.load(tmp_path / "cut")
    garbled = whole.replace(b"{'descr'", b"{'''escr", 1)  # a text that never ends: Python's tokenizer gives up
    assert garbled != whole
    (tmp_path / "cut/vectors.npy").write_bytes(garbled)
    with pytest.raises(InputError, match=r"damaged \(vectors.npy: .*embed again"):
        EmbeddingTable.load(tmp_path / "cut")
    table().save(tmp_path / "json")
    (tmp_path / "json/table.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        EmbeddingTable.load(tmp_path / "json")
    (tmp_path / "json/table.json").write_text('{"format": "something else"}')
    with pytest.raises(InputError, match="not a table this version can read"):
        EmbeddingTable.load(tmp_path / "json")
