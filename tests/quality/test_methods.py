"""Claims about the registry and about each measure, mostly against the known truth of drawn people."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from marginface.drawn import DrawnPeople
from marginface.errors import InputError
from marginface.images.align import ARCFACE_TEMPLATE_112
from marginface.images.degrade import degrade
from marginface.quality import QUALITY
from marginface.quality.embedding import _versions
from marginface.quality.geometry import pose
from marginface.quality.method import QualityBatch
from marginface.records.record import Record


def of(images, **more):
    records = [Record(key=str(i), image=image, label=0, **more) for i, image in enumerate(images)]
    return QualityBatch(records, list(images))


def strength(batch, name):
    return np.array([abs(record.meta["nuisance"][name]) for record in batch.records])


@pytest.mark.parametrize("name", sorted(set(QUALITY) - {"detector_confidence"}))
def test_every_method_gives_one_finite_number_an_image_and_does_not_mind_the_batch(name, batch):
    scores = QUALITY[name].compute(batch)
    assert scores.shape == (len(batch),)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert np.ptp(scores) > 0
    alone = QualityBatch(batch.records[5:6], batch.images[5:6], batch.model)
    assert QUALITY[name].compute(alone)[0] == pytest.approx(scores[5], rel=1e-4)


@pytest.mark.parametrize(
    "name, kind, strength",
    [("sharpness", "gaussian", 1.0), ("sharpness", "low_resolution", 20), ("sharpness", "motion", 5)],
)
def test_what_spoils_an_image_lowers_its_sharpness(name, kind, strength, batch):
    spoilt = of([degrade(image, kind, strength) for image in batch.images])
    assert (QUALITY[name].compute(spoilt) < QUALITY[name].compute(batch)).all()


def test_exposure_counts_lost_pixels():
    grey = np.full((64, 64, 3), 128, np.uint8)
    half_white = grey.copy()
    half_white[:, 32:] = 255
    black = np.zeros_like(grey)
    assert QUALITY["exposure"].compute(of([grey, half_white, black])) == pytest.approx([1.0, 0.5, 0.0], abs=0.02)
    assert QUALITY["uniformity"].compute(of([grey, half_white])) == pytest.approx([1.0, 0.0], abs=0.06)


def test_contrast_is_the_entropy_of_grey_levels():
    levels = np.repeat(np.tile(np.arange(4, dtype=np.uint8) * 60, 28)[:, None], 112, 1)
    image = np.repeat(levels[..., None], 3, axis=2)
    assert QUALITY["contrast"].compute(of([image, image * 0 + 9])) == pytest.approx([2.0, 0.0], abs=1e-3)


def test_pose_falls_with_the_yaw_and_pitch_of_drawn_heads():
    drawn = DrawnPeople(12, 5, seed=8, size=32)
    records = [drawn[i] for i in range(len(drawn))]
    clean = [dataclasses.asdict(drawn.nuisance(i // 5, i % 5)) for i in range(len(drawn))]
    scores = pose(QualityBatch(records, []))
    assert spearmanr(scores, [abs(n["yaw"]) for n in clean]).statistic < -0.6
    assert scores.max() <= 0


def test_pose_does_not_mind_scale_place_and_roll():
    turned = cv2.transform(ARCFACE_TEMPLATE_112[None], np.float64([[1.2, -1.6, 40], [1.6, 1.2, 7]]))[0]
    shifted = turned.copy()
    shifted[2] += (8, 6)  # the nose along the turned eyes' line, inter-eye distance is 70
    frames = [Record(key=str(i), image=b"", label=0, landmarks=p) for i, p in enumerate([turned, shifted])]
    frontal, profile = pose(QualityBatch(frames, []))
    assert frontal == pytest.approx(0, abs=1e-6)
    assert profile < -0.05


def test_inter_eye_distance_is_that_of_the_photograph(people):
    record = people[0]
    eyes = np.array(record.meta["photograph_landmarks"])[:2]
    score = QUALITY["inter_eye_distance"].compute(QualityBatch([record], []))
    assert score[0] == pytest.approx(np.hypot(*(eyes[1] - eyes[0])))


def test_detector_confidence_is_the_records_own_or_missing():
    records = [Record(key="a", image=b"", label=0, meta={"detector_score": 0.75}), Record(key="b", image=b"", label=0)]
    assert QUALITY["detector_confidence"].compute(QualityBatch(records, [None, None])) == pytest.approx(
        [0.75, np.nan], nan_ok=True
    )


def test_norm_is_the_length_of_the_embedding_without_a_mirror_image(batch):
    direct = batch.model.embed(batch.crops, flip="none").norm(dim=1)
    assert QUALITY["norm"].compute(batch) == pytest.approx(direct.double().numpy(), rel=1e-6)


def test_stability_is_ser_fiqs_formula_over_six_versions(batch):
    crops = batch.crops[:3]
    units = [torch.nn.functional.normalize(batch.model.embed(v, flip="none")) for v in _versions(crops)]
    distances = [(units[i] - units[j]).norm(dim=1) for i in range(6) for j in range(i)]
    by_hand = 2 / (1 + torch.exp(torch.stack(distances).mean(0)))
    assert QUALITY["stability"].compute(batch)[:3] == pytest.approx(by_hand.numpy(), rel=1e-4)


def test_dropout_stability_leaves_the_model_as_it_was(batch):
    before = batch.model.embed(batch.crops[:2], flip="none")
    QUALITY["dropout_stability"].compute(batch)
    assert torch.equal(batch.model.embed(batch.crops[:2], flip="none"), before)


def test_dropout_stability_is_what_masks_before_the_last_layer_do(batch):
    network = batch.model.backbone
    from marginface.quality.embedding import DROPOUT, NUM_MASKS, _with_masks

    embeddings = _with_masks(batch.model, batch.crops[:2])
    mask = torch.rand((NUM_MASKS, 1, 512), generator=torch.Generator().manual_seed(0))[7, 0] >= DROPOUT
    linear, kept = network.linear, network.linear.weight.detach().clone()
    with torch.no_grad():
        linear.weight.mul_(2 * mask)
        by_hand = batch.model.embed(batch.crops[:2], flip="none")
        linear.weight.copy_(kept)
    assert torch.allclose(embeddings[7], by_hand, atol=1e-4)


def test_a_network_without_a_linear_layer_has_no_dropout_stability(batch):
    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 32)

        def forward(self, x):
            return self.conv(x).flatten(1)

    model = type(batch.model)(Flat(), batch.model.backbone_config, batch.model.contract)
    with pytest.raises(InputError, match="no linear layer"):
        QUALITY["dropout_stability"].compute(QualityBatch(batch.records[:1], batch.images[:1], model))
