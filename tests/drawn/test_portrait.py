"""The picture shows what its truth says: landmarks, signs of the pose, strength of the nuisance."""

import dataclasses

import numpy as np
import pytest

from marginface.drawn import DrawnPeople, Identity, Nuisance, draw_identity, draw_nuisance
from marginface.drawn.nuisance import GLASSES, OCCLUDERS
from marginface.drawn.portrait import PHOTOGRAPH_SIZE, draw_crop, draw_photograph
from marginface.errors import InputError
from marginface.images.align import ARCFACE_TEMPLATE_112, align

PALE_WITH_DARK_EYES = Identity(eye_lightness=0.0, melanin=0.1, brow_height=26.0, lid_fold=0.0)


@pytest.mark.parametrize("yaw", [-0.4, 0.0, 0.4])
def test_dark_pupils_lie_on_the_eye_landmarks(yaw):
    picture = draw_crop(PALE_WITH_DARK_EYES, Nuisance(yaw=yaw), size=224)
    grey = picture.image.astype(float).mean(axis=2)
    for x, y in picture.landmarks[:2]:
        left, top = round(x) - 9, round(y) - 9
        patch = grey[top : top + 19, left : left + 19]
        rows, columns = np.nonzero(patch < np.quantile(patch, 0.12))
        assert abs(columns.mean() + left - x) < 3.0  # pixels of 224: 1.5 of 112
        assert abs(rows.mean() + top - y) < 3.0


def test_clean_frontal_crops_lie_on_the_template():
    landmarks = np.stack([draw_crop(draw_identity(2, k), Nuisance(), size=112).landmarks for k in range(16)])
    off = landmarks - ARCFACE_TEMPLATE_112
    assert np.abs(off.mean(axis=0)).max() < 2.5  # the average person has the template's proportions
    assert np.linalg.norm(off, axis=2).mean() < 3.0
    assert landmarks.std(axis=0).max() > 0.5  # but people differ


def test_crop_equals_the_photograph_aligned_by_its_landmarks():
    nuisance = Nuisance(yaw=0.2, roll=0.3)
    photograph = draw_photograph(PALE_WITH_DARK_EYES, nuisance)
    crop = draw_crop(PALE_WITH_DARK_EYES, nuisance)
    assert photograph.image.shape == (PHOTOGRAPH_SIZE, PHOTOGRAPH_SIZE, 3)
    assert np.allclose(photograph.landmarks, crop.photograph_landmarks)
    aligned = align(photograph.image, photograph.landmarks, size=112)
    middle = slice(25, 100), slice(25, 88)  # the face: the background belongs to the frame it is drawn in
    difference = aligned[middle].astype(float) - crop.image[middle]
    assert np.abs(difference).mean() < 6.0


def test_positive_angles_turn_right_lift_and_go_clockwise():
    def landmarks(**pose: float) -> np.ndarray:
        return draw_photograph(Identity(), Nuisance(**pose)).landmarks

    straight = landmarks()
    eyes = straight[:2].mean(axis=0)
    assert np.allclose(straight[0, 1], straight[1, 1])
    assert straight[1, 0] > straight[0, 0]
    right, up, clockwise = landmarks(yaw=0.4), landmarks(pitch=0.3), landmarks(roll=0.3)
    assert right[2, 0] - right[:2, 0].mean() > straight[2, 0] - eyes[0] + 5
    assert up[2, 1] - up[:2, 1].mean() < straight[2, 1] - eyes[1] - 1
    assert clockwise[1, 1] > clockwise[0, 1] + 5


def test_the_opposite_yaw_mirrors_the_landmarks():
    right = draw_photograph(Identity(), Nuisance(yaw=0.4)).landmarks
    left = draw_photograph(Identity(), Nuisance(yaw=-0.4)).landmarks
    mirrored = left[[1, 0, 2, 4, 3]]
    mirrored[:, 0] = PHOTOGRAPH_SIZE - mirrored[:, 0]
    assert np.allclose(mirrored, right, atol=1e-3)


def test_light_from_the_right_brightens_the_right_of_the_image():
    lit = draw_crop(PALE_WITH_DARK_EYES, Nuisance(light_azimuth=1.2, light_strength=0.9)).image.astype(float)
    assert lit[50:85, 70:85].mean() > 1.3 * lit[50:85, 27:42].mean()


@pytest.mark.parametrize(
    "settings",
    [{"glasses": kind} for kind in GLASSES[1:]]
    + [{"occluder": kind, "occluder_size": 0.7} for kind in OCCLUDERS[1:]]
    + [{"hat": 0.8}, {"smile": 0.9}, {"mouth_open": 0.8}, {"eyes_closed": 1.0}, {"brow_raise": 1.0}, {"gaze_x": 1.0},
       {"light_warmth": 0.8}, {"exposure": 0.6}, {"saturation": 0.0}, {"hair_jitter": 1.0}, {"blur_sigma": 1.5},
       {"low_resolution": 3.0}, {"noise_sigma": 10.0}, {"landmark_jitter": 1.5}, {"gaze_y": 1.0}],
    ids=str,
)  # fmt: skip
def test_each_nuisance_changes_the_picture_and_its_absence_does_not(settings):
    clean = draw_crop(PALE_WITH_DARK_EYES, Nuisance(detail=3)).image
    again = draw_crop(PALE_WITH_DARK_EYES, Nuisance(detail=3)).image
    changed = draw_crop(PALE_WITH_DARK_EYES, Nuisance(detail=3, **settings)).image
    assert np.array_equal(clean, again)
    assert np.any(np.abs(changed.astype(int) - clean) > 10)


def test_difficulty_widens_the_pictures_of_a_person():
    def spread(difficulty: float) -> float:
        people = DrawnPeople(4, 4, seed=1, difficulty=difficulty)
        values = []
        for person in range(4):
            images = [draw_crop(people.identity(person), people.nuisance(person, k)).image for k in range(4)]
            values.append(np.stack(images).astype(float)[:, 25:100, 28:84].std(axis=0).mean())
        return float(np.mean(values))

    assert spread(0.0) < 0.5 * spread(0.5) < 0.5 * spread(1.0)


def test_difficulty_zero_is_a_clean_picture():
    nuisance = draw_nuisance(0, 1, 2, difficulty=0.0)
    assert dataclasses.replace(nuisance, detail=0, light_strength=0.55) == Nuisance()


def test_impossible_circumstances_are_refused():
    with pytest.raises(InputError, match="difficulty is inf"):
        draw_nuisance(0, 0, 0, difficulty=float("inf"))
    with pytest.raises(InputError, match="must not be negative"):
        draw_nuisance(0, 0, -1, difficulty=1.0)
