"""IJB-S's tables become the searches that PFE's evaluation makes of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.run import judge_systems
from marginface.evaluation.settings import EvaluationConfig
from marginface.protocols.ijbs import IjbsConfig
from marginface.records.open import open_records
from tests.helpers import layouts
from tests.helpers.synthetic import write_faces


@pytest.fixture(scope="module")
def ijbs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    faces = write_faces(tmp_path_factory.mktemp("faces"), num_identities=8, images_per_identity=6, size=32)
    return layouts.ijbs(faces, tmp_path_factory.mktemp("ijbs"))


@pytest.mark.parametrize(
    ("test", "num_probes", "per_gallery", "images_of_first"),
    [
        ("surveillance-to-single", 16, 4, 1),
        ("surveillance-to-booking", 16, 4, 2),
        ("surveillance-to-surveillance", 16, 4, 1),
        ("multi-view-to-booking", 8, 4, 2),
        ("uav-to-booking", 3, 4, 2),
    ],
)
def test_each_test_has_its_probes_and_galleries(ijbs, test, num_probes, per_gallery, images_of_first) -> None:
    source = open_records(ijbs / "images")
    plan = IjbsConfig(meta=ijbs / "meta", test=test).plan(source)
    g1, g2 = plan.searches
    assert (len(g1.probe), len(g1.gallery), len(g2.gallery)) == (num_probes, per_gallery, per_gallery)
    assert not set(plan.templates.person[g1.gallery]) & set(plan.templates.person[g2.gallery])
    assert plan.joined.gallery.tolist() == [*g1.gallery, *g2.gallery]
    rows = plan.templates.template == g1.gallery[0]
    assert rows.sum() == images_of_first
    assert {source.keys[i].split("/")[0] for i in plan.templates.image[rows]} == {"1"}
    assert plan.notes == ()


def test_a_video_of_two_people_is_two_templates_of_their_own_crops(ijbs) -> None:
    source = open_records(ijbs / "images")
    plan = IjbsConfig(meta=ijbs / "meta").plan(source)
    both = [i for i, name in enumerate(plan.templates.names[:16]) if name.endswith("videos/200.mp4")]
    assert plan.templates.person[both].tolist() == [1, 2]
    crops = [source.keys[i] for i in plan.templates.image[plan.templates.template == both[1]]]
    assert crops == ["2/videos_200_0.jpg", "2/videos_200_1.jpg"]


def test_ranks_are_of_both_galleries_and_misses_of_each(ijbs) -> None:
    config = EvaluationConfig(
        name="s", data=str(ijbs / "images"), protocol=IjbsConfig(meta=ijbs / "meta"), num_replicates=20
    )
    record = judge_systems([RawPixels(input_size=32)], config)[0].to_json()
    assert [one["name"] for one in record["galleries"]] == ["G1", "G2"]
    assert [(one["mated_searches"], one["non_mated_searches"]) for one in record["galleries"]] == [(8, 8), (8, 8)]
    assert record["joined"]["mated_searches"] == 16
    assert record["joined"]["non_mated_searches"] == 0
    assert record["joined"]["ranks"][0]["value"] <= record["average"]["ranks"][0]["value"]
    assert [one["rank"] for one in record["joined"]["ranks"]] == [1, 5, 10]
    assert record["joined"]["ranks"][2]["value"] == 1


def test_what_was_not_detected_counts_as_a_miss_and_is_counted(ijbs, tmp_path: Path) -> None:
    copy = shutil.copytree(ijbs, tmp_path / "ijbs")
    for crop in (copy / "images" / "1").glob("videos_200_*"):
        crop.unlink()
    (copy / "images" / "3" / "img_30.jpg").unlink()
    config = EvaluationConfig(
        name="s", data=str(copy / "images"), protocol=IjbsConfig(meta=copy / "meta"), num_replicates=0
    )
    (found,) = judge_systems([RawPixels(input_size=32)], config)
    joined = found.result.searches[-1]
    assert (len(joined.rank), int((joined.rank == 8).sum())) == (16, 3)  # a probe, and the two searches for subject 3
    assert found.result.num_left_out == 0
    assert "1 of 16 probe templates and 1 of 8 gallery templates have no crop" in found.to_json()["caveats"][-1]
    assert np.isfinite(joined.mate_score).all()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("cs6_metadata.csv", "SUBJECT_ID,FILENAME\nada,videos/1.mp4\n", "column 1 must be a subject's number"),
        ("cs6_metadata.csv", "SUBJECT_ID,FILENAME\n1\n", "line 2: expected 2 columns"),
        ("cs6_metadata.csv", "SUBJECT_ID,FILENAME\n1,videos/1.mp4\n", "are not in cs6_metadata.csv"),
        ("cs6_surveillance_to_single-booking_probe.csv", None, "cannot be read"),
    ],
)
def test_damaged_tables_are_named(ijbs, tmp_path: Path, file: str, text: str | None, said: str) -> None:
    meta = shutil.copytree(ijbs / "meta", tmp_path / "meta")
    if text is None:
        (meta / file).unlink()
    else:
        (meta / file).write_text(text)
    with pytest.raises(InputError, match=said):
        IjbsConfig(meta=meta).plan(open_records(ijbs / "images"))


def test_crops_of_another_set_are_refused(ijbs, tmp_path: Path) -> None:
    other = write_faces(tmp_path / "faces", num_identities=2, images_per_identity=1, size=32)
    with pytest.raises(InputError, match=r"1/videos_200_0\.jpg"):
        IjbsConfig(meta=ijbs / "meta").plan(open_records(other))
