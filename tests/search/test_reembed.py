"""A gallery moves to another model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from marginface.errors import InputError
from marginface.images.normalize import InputContract
from marginface.models.face_model import FaceModel
from marginface.search.gallery import Gallery
from marginface.search.reembed import reembed
from tests.helpers.plain_backbone import PlainBackboneConfig
from tests.search.made_up import keeping_crops


def _model(seed: int) -> FaceModel:
    config = PlainBackboneConfig(embedding_dim=16)
    return FaceModel(config.build(input_size=32, seed=seed), config, InputContract(input_size=32))


def test_kept_crops_are_embedded_by_the_new_model(tmp_path: Path) -> None:
    old, new = _model(0), _model(1)
    images = np.random.default_rng(0).integers(0, 255, (3, 2, 32, 32, 3), dtype=np.uint8)
    with Gallery.create(tmp_path / "old.db", old, policy=keeping_crops()) as gallery:
        for i, pair in enumerate(images):
            crops = [bytes(cv2.imencode(".png", image[..., ::-1])[1]) for image in pair]
            gallery.enrol(f"person {i}", old.embed(torch.from_numpy(pair)), crops=crops, allow_duplicate=True)
        with pytest.raises(InputError, match="gallery reembed"):
            Gallery(tmp_path / "old.db", model=new)
        assert len(reembed(gallery, new, tmp_path / "new.db")) == 3
    with Gallery(tmp_path / "new.db", model=new) as gallery:
        pair = new.embed(torch.from_numpy(images[1]))
        result = gallery.search(pair.sum(dim=0), threshold=0.9)[0]
        assert result.name == "person 1"
        assert result.score == pytest.approx(1.0, abs=1e-5)


def test_without_crops_there_is_nothing_to_embed(tmp_path: Path) -> None:
    with (
        Gallery(tmp_path / "old.db", model=_model(0)) as gallery,
        pytest.raises(InputError, match="kept no crops"),
    ):
        reembed(gallery, _model(1), tmp_path / "new.db")
