"""A network that sees one colour order and one range rightly is found out by the pairs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from marginface.backbones import MobileFaceNetConfig
from marginface.evaluation.contract_probe import CONTRACTS, probe_contracts
from marginface.images.normalize import InputContract
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import sequential_batches
from marginface.models import FaceModel
from marginface.protocols import PROTOCOLS
from marginface.records.open import open_records
from tests.helpers.synthetic import write_faces


class OneContractOnly(nn.Module):
    """An honest embedding where the input is as it should be, and ever more noise the further it is from that."""

    def __init__(self, colour_order: str, value_range: str, average: Tensor) -> None:
        super().__init__()
        rgb = average if colour_order == "rgb" else average.flip(0)
        scale = {"minus_one_to_one": lambda x: (x - 127.5) / 127.5, "zero_to_one": lambda x: x / 255}[value_range]
        self.expected = nn.Parameter(scale(rgb))

    def forward(self, images: Tensor) -> Tensor:
        small = nn.functional.avg_pool2d(images, images.shape[-1] // 4).flatten(1)
        wrong = (images.mean(dim=(0, 2, 3)) - self.expected).abs().max()
        centred = small - small.mean(dim=0)
        return centred + 20 * wrong * torch.randn(centred.shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Drawn noise people with red skies: the channels have means of their own."""
    root = write_faces(tmp_path_factory.mktemp("faces"), num_identities=6, images_per_identity=4, size=32)
    for path in root.glob("*/*.jpg"):
        image = cv2.imread(str(path)).astype(np.float32) * [0.5, 0.8, 1.0]  # BGR
        cv2.imwrite(str(path), image.astype(np.uint8))
    return open_records(f"folder:{root}")


def average_of(source) -> Tensor:
    (batch,) = sequential_batches(FaceDataset(source, size=32, augment=None), batch_size=len(source), num_workers=0)
    return batch.images.float().mean(dim=(0, 1, 2))


@pytest.mark.parametrize("right", CONTRACTS)
def test_the_right_contract_comes_first(right, faces):
    network = OneContractOnly(*right, average_of(faces))
    own = InputContract(input_size=32)
    model = FaceModel(network, MobileFaceNetConfig(embedding_dim=48), own)
    results = probe_contracts(model, faces, PROTOCOLS["generated"](num_non_mated="all"), flip="none", num_replicates=0)
    assert (results[0].colour_order, results[0].value_range) == right
    assert {(r.colour_order, r.value_range) for r in results} == set(CONTRACTS)
    assert [-r.separation for r in results] == sorted(-r.separation for r in results)
    best, worst = results[0], results[-1]
    assert best.eer < 0.2 < worst.eer
    assert best.mated_mean - best.non_mated_mean > worst.mated_mean - worst.non_mated_mean
    assert [r.is_own for r in results].count(True) == 1
    assert next(r for r in results if r.is_own).colour_order == "rgb"
    assert model.contract == own
    assert results[0].num_pairs == 6 * 6 + 15 * 16
