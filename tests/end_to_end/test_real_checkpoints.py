"""On published files, where they are at hand: recognised, strictly loaded, their contract found out by faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marginface.evaluation.contract_probe import probe_contracts
from marginface.models.convert import import_checkpoint
from marginface.protocols import PROTOCOLS
from marginface.records.open import open_records
from marginface.records.select import of_identities

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

FILES = {
    "edgeface-xxs/edgeface_xxs_q.pt": ("edgeface", "edgeface_xxs"),
    "mobilefacenet-bubbliiiing/arcface_mobilefacenet.pth": ("bubbliiiing", "mobilefacenet"),
    "mobilefacenet-xiaoccer/068.ckpt": ("xiaoccer", "mobilefacenet_112x96"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_published_file_is_recognised_and_its_contract_ranks_first(name: str, real_data: Path) -> None:
    imported = import_checkpoint(real_data / "weights" / name)
    assert (imported.family, imported.model.backbone_config.kind) == FILES[name]
    faces = open_records(f"folder:{real_data / 'london' / 'aligned112'}")
    forty = of_identities(faces, np.arange(40))
    best, *others = probe_contracts(
        imported.model, forty, PROTOCOLS["generated"](num_non_mated="all"), flip="none", num_replicates=0
    )
    assert best.is_own
    assert best.separation > max(other.separation for other in others) + 0.2
    assert best.mated_mean > 0.85
    assert abs(best.non_mated_mean) < 0.1


def test_int8_and_float_files_of_one_network_are_one_model(real_data: Path) -> None:
    folder = real_data / "weights" / "edgeface-xxs"
    int8, plain = (
        import_checkpoint(folder / name).model.fingerprint
        for name in ("edgeface_xxs_q.pt", "edgeface_xxs_q_dequantized_fp32.pth")
    )
    assert int8 == plain
