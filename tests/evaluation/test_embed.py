"""Every image once, in order; broken ones are named; the table says what it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from marginface.backbones import MobileFaceNetConfig
from marginface.errors import InputError
from marginface.evaluation.baselines import RawPixels, raw_pixels, untrained
from marginface.evaluation.embed import Embedder, embed_records
from marginface.images.decode import decode_image
from marginface.images.normalize import InputContract
from marginface.protocols import compare, generated_pairs
from marginface.records.open import open_records
from marginface.records.record import RecordSource
from tests.helpers.synthetic import write_faces

SMALL = RawPixels(input_size=32)


@pytest.fixture
def faces(tmp_path: Path) -> RecordSource:
    return open_records(write_faces(tmp_path / "faces", num_identities=5, images_per_identity=4, size=32))


def images_of(source: RecordSource) -> torch.Tensor:
    return torch.from_numpy(np.stack([decode_image(source[i].image, name="") for i in range(len(source))]))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_rows_are_the_sources_images_in_its_order(faces: RecordSource, num_workers: int) -> None:
    table = embed_records(SMALL, faces, flip="none", batch_size=3, num_workers=num_workers)
    assert table.keys == tuple(faces.keys)
    assert table.identities == tuple(faces.identities)
    assert table.labels.tolist() == faces.labels.tolist()
    np.testing.assert_allclose(table.vectors, raw_pixels(images_of(faces)).numpy(), rtol=1e-6)
    np.testing.assert_allclose(table.norms, np.linalg.norm(table.vectors, axis=1), rtol=1e-6)
    assert table.fingerprint == SMALL.fingerprint
    assert table.meta == {"embedder": "raw pixels", "flip": "none", "source": faces.location, "broken": []}


def test_flip_sum_adds_the_mirrored_images_embedding(faces: RecordSource) -> None:
    model = untrained(MobileFaceNetConfig(embedding_dim=16), contract=InputContract(input_size=32), seed=1)
    images = images_of(faces)
    expected = model.embed(images, flip="none") + model.embed(images.flip(2), flip="none")
    table = embed_records(model, faces, batch_size=7)
    np.testing.assert_allclose(table.vectors, expected.numpy(), rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_a_broken_image_is_an_error_that_names_it_or_is_left_out_and_named(tmp_path: Path) -> None:
    root = write_faces(tmp_path / "faces", num_identities=2, images_per_identity=3, size=32)
    (root / "person_00" / "0001.jpg").write_text("not an image")
    source = open_records(root)
    with pytest.raises(InputError, match=r"person_00/0001\.jpg"):
        embed_records(SMALL, source)
    table = embed_records(SMALL, source, batch_size=2, skip_broken=True)
    assert table.meta["broken"] == ["person_00/0001.jpg"]
    assert table.keys == tuple(k for k in source.keys if k != "person_00/0001.jpg")
    assert table.labels.tolist() == [0, 0, 1, 1, 1]


def test_only_broken_images_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "a.jpg").write_text("not an image")
    with pytest.raises(InputError, match="none of its images can be used"):
        embed_records(SMALL, open_records(tmp_path), skip_broken=True)


def test_progress_rises_to_the_number_of_images(faces: RecordSource) -> None:
    seen: list[tuple[int, int]] = []
    embed_records(SMALL, faces, batch_size=8, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 20), (16, 20), (20, 20)]


def test_raw_pixels_tell_easy_people_apart(faces: RecordSource) -> None:
    table = embed_records(SMALL, faces)
    summary = compare(table, generated_pairs(table.labels)).summarise(num_replicates=0)
    assert summary.equal_error_rate.value < 0.2


def test_raw_pixels_ignore_brightness_and_contrast_and_give_zeros_for_one_colour(faces: RecordSource) -> None:
    images = images_of(faces)[:1]
    darker = (images.float() * 0.5 + 20).round().to(torch.uint8)
    cosine = torch.nn.functional.cosine_similarity(raw_pixels(images), raw_pixels(darker))
    assert cosine.item() > 0.999
    assert raw_pixels(torch.full((1, 32, 32, 3), 77, dtype=torch.uint8)).abs().max() < 0.1


def test_raw_pixels_flip_left_and_right(faces: RecordSource) -> None:
    images = images_of(faces)
    mirrored = torch.from_numpy(np.stack([np.fliplr(image) for image in images.numpy()]))
    expected = raw_pixels(images) + raw_pixels(mirrored)
    torch.testing.assert_close(SMALL.embed(images, flip="sum"), expected)


def test_untrained_is_the_seeds_network() -> None:
    config = MobileFaceNetConfig(embedding_dim=16)
    first, same, other = (untrained(config, contract=InputContract(input_size=32), seed=s) for s in (3, 3, 4))
    assert first.fingerprint == same.fingerprint != other.fingerprint


def test_models_and_baselines_are_embedders() -> None:
    assert isinstance(SMALL, Embedder)
    assert isinstance(untrained(MobileFaceNetConfig(embedding_dim=16), contract=InputContract(input_size=32)), Embedder)
