"""One's own people in parts: nobody and nothing on two sides, drawn by the seed, stored as lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.finetuning.split import PARTS, split_staff, store_split
from marginface.records.open import open_records
from tests.helpers.synthetic import face_jpeg


def _faces(folder: Path, counts: list[int]) -> Path:
    for identity, count in enumerate(counts):
        (folder / f"p{identity:02d}").mkdir(parents=True)
        for image in range(count):
            path = folder / f"p{identity:02d}" / f"{image}.jpg"
            path.write_bytes(face_jpeg(identity=identity, image=image, size=16))
    return folder


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_disjoint_and_strangers_share_nobody(seed: int, tmp_path: Path) -> None:
    source = open_records(_faces(tmp_path / "f", [2, 3, 10, 7, 2, 5, 9, 4, 2, 6]))
    split = split_staff(source, test_share=0.3, unknown_share=0.3, seed=seed)
    images = np.concatenate([getattr(split, name) for name in PARTS])
    np.testing.assert_array_equal(np.sort(images), np.arange(len(source)))
    people = {name: set(source.labels[getattr(split, name)]) for name in PARTS}
    assert people["train"] == people["test"]
    assert len(people["calibration"]) == 1
    assert len(people["unknown"]) == 2
    assert not people["calibration"] & people["unknown"]
    assert not people["train"] & (people["calibration"] | people["unknown"])
    for label in people["train"]:
        count, tested = (source.labels == label).sum(), (source.labels[split.test] == label).sum()
        assert tested == min(max(1, round(0.3 * count)), count - 1)


def test_the_seed_draws_and_another_person_changes_nobody_elses_images(tmp_path: Path) -> None:
    few, more = (open_records(_faces(tmp_path / str(n), [6] * n)) for n in (5, 6))
    of_few, of_more, other = (
        split_staff(source, test_share=0.5, unknown_share=0, seed=seed)
        for source, seed in [(few, 1), (more, 1), (few, 2)]
    )
    tests = [{source.keys[i] for i in s.test} for source, s in [(few, of_few), (more, of_more), (few, other)]]
    assert tests[0] < tests[1]
    assert tests[0] != tests[2]
    assert len(of_few.unknown) == len(of_few.calibration) == 0


def test_lists_open_as_sources_and_are_not_overwritten_by_another_split(tmp_path: Path) -> None:
    faces = _faces(tmp_path / "f", [4] * 6)
    source = open_records(faces)
    split = split_staff(source, test_share=0.25, unknown_share=0.4, seed=0)
    store_split(split, source, tmp_path / "split")
    store_split(split, source, tmp_path / "split")
    for name in PARTS:
        records = open_records(f"folder:{faces}?only={tmp_path / 'split' / f'{name}.txt'}")
        assert list(records.keys) == [source.keys[i] for i in getattr(split, name)]
    with pytest.raises(InputError, match="drawn from other data, shares or seed"):
        store_split(split_staff(source, test_share=0.25, unknown_share=0.4, seed=1), source, tmp_path / "split")


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        ([4, 1, 4, 4, 4], {}, "p01 has one image; everybody needs two"),
        ([1, 1, 4, 1, 1, 1], {}, "p00, p01, p03 and 2 more have one image"),
        ([4], {}, "at least two people"),
        ([4, 4, 4], {}, "of 3 people 2 would be strangers"),
        ([4] * 5, {"unknown_share": 0.9}, "of 5 people 4 would be strangers"),
        ([4] * 5, {"unknown_share": 1.0}, "--unknown-share 1 is no share"),
        ([4] * 5, {"test_share": 0.0}, "--test-share 0 is no share"),
    ],
)
def test_what_cannot_be_split_is_refused(counts: list[int], settings: dict, message: str, tmp_path: Path) -> None:
    source = open_records(_faces(tmp_path / "f", counts))
    with pytest.raises(InputError, match=message):
        split_staff(source, **{"test_share": 0.3, "unknown_share": 0.2, "seed": 0} | settings)
