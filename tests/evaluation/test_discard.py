"""Pairs of templates and searches are left out by the quality that their images, templates or probes have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.discard import discardable
from marginface.evaluation.judging import judge
from marginface.evaluation.report_quality import quality_record
from marginface.evaluation.saved import embedded
from marginface.evaluation.settings import EvaluationConfig
from marginface.metrics.discard import error_versus_discard, errors_versus_discard
from marginface.protocols import PROTOCOLS
from tests.evaluation.made_up import evaluation
from tests.helpers import layouts
from tests.helpers.synthetic import write_faces


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), num_identities=12, images_per_identity=6, size=32)


def judged(kind: str, data: Path, columns=None, *, protocol: dict, noise: float = 0.0, **settings):
    """Return what raw pixels do on a protocol, given further columns of the images: functions of their number."""
    config = EvaluationConfig(
        name=kind, data=str(data), protocol=PROTOCOLS[kind](**protocol), num_replicates=20, **settings
    )
    source = config.protocol.open(config.data)
    plan, embedder = config.protocol.plan(source), RawPixels(input_size=32)
    table = embedded(embedder, config, source, plan.images)
    vectors = table.vectors + noise * np.random.default_rng(1).normal(size=table.vectors.shape).astype(np.float32)
    table = dataclasses.replace(table, vectors=vectors, norms=np.linalg.norm(vectors, axis=1))
    table = table.with_columns({name: of(len(table)) for name, of in (columns or {}).items()})
    return judge(embedder, table, config, source, plan), plan, source


@pytest.mark.parametrize(("how", "pooled"), [("mean", np.mean), ("max", np.max)])
def test_the_quality_of_templates_is_the_mean_or_highest_of_their_images_and_of_a_pair_the_lower(
    faces: Path, tmp_path: Path, how, pooled
) -> None:
    root = layouts.ijbc(faces, tmp_path / "ijbc")
    sharp = np.random.default_rng(0).random
    found, plan, _ = judged(
        "ijbc",
        root / "images",
        {"sharpness": lambda n: sharp(n).astype(np.float32)},
        protocol={"meta": root / "meta", "align": False},
        fmr_targets=(0.05,),
        template_quality=how,
    )
    of_image = np.asarray(found.images.column("sharpness"), np.float64)
    rows = {key: i for i, key in enumerate(found.images.keys)}
    names = [f"loose_crop/{i + 1}.jpg" for i in range(72)]
    listed = [rows[names[i]] for i in range(72)]
    assert sorted(listed) == list(range(72))
    source_keys = sorted(names)  # as a folder lists them
    of_template = np.array(
        [
            pooled([of_image[rows[source_keys[i]]] for i in plan.templates.image[plan.templates.template == t]])
            for t in range(len(plan.templates))
        ]
    )
    pairs = found.comparisons
    by_hand = error_versus_discard(
        pairs.score, pairs.mated, np.minimum(of_template[pairs.left], of_template[pairs.right]), fmr=0.05
    )
    left_out = discardable(found)
    assert list(left_out.names) == ["norm", "sharpness"]
    assert left_out.curve("sharpness", num_replicates=0).fnmr == pytest.approx(by_hand.fnmr)
    assert ("the mean" if how == "mean" else "the highest") in left_out.quality_of
    record = quality_record(found)
    assert record["errors"] == "FNMR at FMR 5\u00a0%"
    assert record["lowest"][0]["key"].startswith("loose_crop/")  # images, which have pictures


def test_searches_without_strangers_count_rank_1_by_the_quality_of_the_probe(faces: Path, tmp_path: Path) -> None:
    layouts.scface(faces, tmp_path / "s")
    found, plan, _ = judged("scface", tmp_path / "s", protocol={}, noise=2.0)
    left_out = discardable(found)
    wrong = np.concatenate([one.rank > 1 for one in found.result.searches])
    probes = np.concatenate([plan.templates.image[search.probe] for search in plan.searches])
    norms = dict(zip(plan.images.tolist(), found.table.norms, strict=True))
    by_hand = errors_versus_discard(wrong, [norms[i] for i in probes.tolist()], num_replicates=0)
    assert 0 < wrong.mean() < 1
    assert (left_out.errors, left_out.size) == ("Share not found at rank 1", 3 * 12 * 2)
    assert left_out.curve("norm", num_replicates=0).fnmr == pytest.approx(by_hand.fnmr)
    with pytest.raises(ValueError, match="stays"):
        left_out.curve("norm", rule="retuned")


def test_searches_with_strangers_count_misses_at_each_gallerys_threshold(faces: Path, tmp_path: Path) -> None:
    root = layouts.ijbc(faces, tmp_path / "ijbc")
    protocol = {"meta": root / "meta", "align": False}
    found, _, _ = judged("ijbc-1n", root / "images", protocol=protocol, fpir_targets=(0.01, 0.25), noise=2.0)
    left_out = discardable(found)
    assert left_out.errors == "FNIR at FPIR 25\u00a0%"  # 0.01 is refused
    average = found.summary.average.points[1].fnir.value
    assert left_out.curve("norm", num_replicates=0).random == pytest.approx(average)
    assert "mean of its images'" in left_out.quality_of


def test_of_growing_distractors_the_most_count(faces: Path, tmp_path: Path) -> None:
    others = write_faces(tmp_path / "others", num_identities=6, images_per_identity=4, size=32, seed=5)
    found, _, source = judged("megaface", faces, protocol={"distractors": str(others), "sizes": (5, 1000)})
    left_out = discardable(found)
    last = found.result.searches[-1]
    assert left_out.curve("norm", num_replicates=0).random == pytest.approx((last.rank > 1).mean())
    first = found.result.probe[-1][0]  # of the couples: position in the probe set
    place = found.table.keys.index(source.keys[int(first)])
    assert left_out.values["norm"][0] == pytest.approx(found.table.norms[place])


def test_images_of_pairs_without_a_value_leave_first_and_are_not_shown() -> None:
    one = evaluation("a", people=80)
    values = np.arange(160.0)
    values[7] = np.nan
    found = dataclasses.replace(one, table=one.table.with_columns({"sharpness": values, "other": values}))
    assert list(discardable(found).names) == ["norm", "sharpness"]
    assert list(discardable(found, ["other"]).names) == ["other"]
    filled = np.where(np.isnan(values), -1, values)
    pairs = found.comparisons
    by_hand = error_versus_discard(
        pairs.score, pairs.mated, np.minimum(filled[pairs.left], filled[pairs.right]), fmr=0.01
    )
    assert discardable(found).curve("sharpness", num_replicates=0).fnmr == pytest.approx(by_hand.fnmr)
    shown = quality_record(found)
    assert found.table.keys[7] not in [image["key"] for image in shown["lowest"]]


def test_nothing_is_drawn_where_no_rate_is_carried_or_nothing_goes_wrong() -> None:
    assert quality_record(evaluation("a", pairs=200, fmr_targets=(1e-3,))) is None
    assert quality_record(evaluation("a", separation=12.0)) is None
