"""Packs as insightface and AdaFace write them are pairs in ten folds."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.run import evaluate
from marginface.evaluation.settings import EvaluationConfig
from marginface.protocols import PackConfig
from marginface.records.open import open_records
from tests.helpers.synthetic import face, face_jpeg, write_faces

PEOPLE = [(i % 5, i % 5 if i % 2 == 0 else (i + 1) % 5) for i in range(40)]


def write_bin(path: Path) -> Path:
    images = [
        face_jpeg(identity=who, image=side + 2 * i, size=32)
        for i, two in enumerate(PEOPLE)
        for side, who in enumerate(two)
    ]
    path.write_bytes(pickle.dumps((images, [a == b for a, b in PEOPLE]), protocol=2))
    return path


def write_memfile(folder: Path) -> Path:
    images = [
        face(identity=who, image=side + 2 * i, size=112) for i, two in enumerate(PEOPLE) for side, who in enumerate(two)
    ]
    planes = np.stack([image[..., ::-1].transpose(2, 0, 1) for image in images]).astype(np.float32) / 127.5 - 1  # BGR
    (folder / "memfile").mkdir(parents=True)
    planes.tofile(folder / "memfile" / "mem_file.dat")
    conf = {"shape": list(planes.shape), "dtype": "float32"}
    (folder / "memfile" / "mem_file.conf").write_text(json.dumps(conf))
    np.save(folder.parent / f"{folder.name}_list.npy", np.array([a == b for a, b in PEOPLE]))
    return folder


@pytest.mark.parametrize("write, name", [(write_bin, "toy.bin"), (write_memfile, "toy")])
def test_pairs_of_a_pack_are_consecutive_images_in_ten_folds(tmp_path, write, name):
    config = PackConfig()
    source = config.open(str(write(tmp_path / name)))
    plan = config.plan(source)
    assert plan.mated.tolist() == [a == b for a, b in PEOPLE]
    np.testing.assert_array_equal(plan.left, np.arange(0, 80, 2))
    np.testing.assert_array_equal(plan.right, plan.left + 1)
    np.testing.assert_array_equal(plan.fold, np.repeat(np.arange(10), 4))
    assert plan.name == "toy"


def test_a_pack_is_judged_in_both_conventions(tmp_path):
    config = EvaluationConfig(
        name="toy",
        data=str(write_bin(tmp_path / "toy.bin")),
        protocol=PackConfig(),
        num_replicates=20,
        magface_ten_fold=True,
        flip="none",
    )
    record = evaluate(RawPixels(input_size=32), config).to_json()
    assert record["counts"]["mated"] == 20
    assert record["accuracy"]["value"] > 0.7
    assert record["accuracy_magface"]["value"] > 0.7
    assert len(record["accuracy_magface"]["fold_accuracies"]) == 10


def test_what_is_no_pack_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        PackConfig().open(str(tmp_path / "no.bin"))
    with pytest.raises(InputError, match="no pack of pairs"):
        PackConfig().plan(open_records(write_faces(tmp_path / "f", size=32)))
