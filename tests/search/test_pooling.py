"""Images become a template."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.search.pooling import pool
from tests.search.made_up import faces_of


def test_weighted_by_norm_it_is_the_sum_of_raw_embeddings() -> None:
    raw = faces_of(1, 5, spread=0.8)
    norms = np.linalg.norm(raw, axis=1)
    total = raw.sum(axis=0)
    assert np.allclose(pool(raw / norms[:, None], norms), total / np.linalg.norm(total), atol=1e-6)


def test_order_and_unit_of_quality_do_not_matter() -> None:
    unit = faces_of(2, 4) / 20
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    assert np.allclose(pool(unit, weights), pool(unit[::-1], 100 * weights[::-1]), atol=1e-6)


def test_a_better_image_counts_for_more() -> None:
    unit = np.eye(2, dtype=np.float32)
    template = pool(unit, [3.0, 1.0])
    assert template[0] == pytest.approx(3 * template[1])


def test_qualities_below_zero_do_not_turn_a_face_around() -> None:
    assert pool(np.eye(2, dtype=np.float32), [1.0, -5.0]) @ np.array([1.0, 0.0]) > 0.999


def test_opposite_images_are_refused() -> None:
    with pytest.raises(InputError, match="opposite"):
        pool(np.array([[1.0, 0.0], [-1.0, 0.0]]), [1.0, 1.0])
