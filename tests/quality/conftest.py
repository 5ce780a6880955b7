"""A small model and a batch of drawn people, shared by the tests of this room."""

from __future__ import annotations

import pytest

from marginface.backbones import BACKBONES
from marginface.drawn import DrawnPeople
from marginface.images.decode import decode_image
from marginface.images.normalize import InputContract
from marginface.models import FaceModel
from marginface.quality.method import QualityBatch

SIZE = 32


@pytest.fixture(scope="session")
def model() -> FaceModel:
    """An untrained MobileFaceNet."""
    config = BACKBONES["mobilefacenet"](embedding_dim=16)
    return FaceModel(config.build(input_size=SIZE, seed=1), config, InputContract(input_size=SIZE)).eval()


@pytest.fixture(scope="session")
def people() -> DrawnPeople:
    return DrawnPeople(4, 4, seed=3, size=48)


@pytest.fixture(scope="session")
def batch(people, model) -> QualityBatch:
    records = [people[i] for i in range(len(people))]
    return QualityBatch(records, [decode_image(r.image, name=r.key) for r in records], model)
