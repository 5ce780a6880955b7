"""The description counts everything, looks at a sample, and names what is wrong with it."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from marginface.errors import InputError
from marginface.loading.describe import describe
from marginface.records.image_folder import ImageFolder
from marginface.records.select import subset
from tests.helpers.synthetic import write_faces


@pytest.fixture
def root(tmp_path):
    write_faces(tmp_path, num_identities=3, images_per_identity=12, size=24)
    for i in range(3, 12):
        (tmp_path / f"person_01/{i:04d}.jpg").unlink()
    for i in range(1, 12):
        (tmp_path / f"person_02/{i:04d}.jpg").unlink()
    return tmp_path


def test_counts_are_of_the_whole_and_can_be_written_out(root):
    summary = describe(ImageFolder(root))
    assert (summary.num_images, summary.num_identities, summary.num_sampled) == (16, 3, 16)
    assert summary.images_per_identity == {"min": 1, "median": 3, "mean": 16 / 3, "max": 12}
    assert (summary.num_identities_with_2, summary.num_identities_with_10) == (2, 1)
    assert summary.histogram == {"1": 1, "2-4": 1, "10-19": 1}
    assert summary.num_with_landmarks == 0
    assert summary.formats == {"jpeg": 16}
    assert summary.sizes == {"24 x 24": 16}
    assert summary.estimated_bytes == sum(p.stat().st_size for p in root.rglob("*.jpg"))
    assert json.loads(json.dumps(dataclasses.asdict(summary)))["num_images"] == 16


def test_formats_go_by_content_and_what_cannot_be_used_is_named(root):
    png = cv2.imencode(".png", np.zeros((600, 600, 3), np.uint8))[1].tobytes()
    (root / "person_00/0000.jpg").write_bytes(png)
    (root / "person_00/0001.jpg").write_text("words")
    summary = describe(ImageFolder(root))
    assert summary.formats == {"jpeg": 14, "png": 1, "unknown": 1}
    assert summary.sizes == {"24 x 24": 14, "600 x 600": 1}
    assert "person_00/0000.jpg: 600 x 600 pixels is larger than 512 x 512" in summary.broken[0]
    assert "person_00/0001.jpg: this file is not an image" in summary.broken[1]


def test_a_sample_is_drawn_by_its_seed(root):
    (root / "person_00/0003.jpg").write_text("words")
    source = ImageFolder(root)
    assert describe(source, num_sampled=5, seed=1) == describe(source, num_sampled=5, seed=1)
    assert describe(source, num_sampled=5).num_sampled == 5
    assert {len(describe(source, num_sampled=5, seed=s).broken) for s in range(12)} == {0, 1}


def test_an_empty_source_is_refused(root):
    with pytest.raises(InputError, match="holds no image"):
        describe(subset(ImageFolder(root), []))
