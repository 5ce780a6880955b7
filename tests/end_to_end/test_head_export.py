"""`marginface head export`: what a run learned about its people comes out whole, from any number of ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from marginface.cli.main import main
from marginface.heads.store import load_head
from marginface.models import load_model
from marginface.records.embedding_table import EmbeddingTable
from tests.helpers.runs import marginface, tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    return write_faces(folder / "faces", num_identities=5, images_per_identity=6, size=32)


def test_the_head_of_a_run_on_two_ranks_is_exported_whole(faces: Path) -> None:
    head = {"kind": "sharded", "scale": 16, "margin": {"kind": "arcface", "margin": 0.2}}
    recipe = write_recipe(faces.parent / "recipe.yaml", tiny_recipe(f"folder:{faces}", epochs=1, head=head))
    run, out = faces.parent / "run", faces.parent / "head"
    trained = marginface("train", recipe, "--out", run, torchrun=2)
    assert trained.returncode == 0, trained.stderr
    exported = marginface("head", "export", run, "--out", out)
    assert exported.returncode == 0, exported.stderr
    assert "the sharded head of 5 people" in exported.stdout

    stored = load_head(out)
    assert stored.identities == tuple(sorted(p.name for p in faces.iterdir()))
    table = EmbeddingTable.load(out / "templates")
    assert table.keys == stored.identities
    assert table.fingerprint == load_model(run / "model").fingerprint
    centres = torch.nn.functional.normalize(load_file(out / "head.safetensors")["class_centres"])
    np.testing.assert_allclose(table.vectors, centres.numpy(), atol=1e-6)


def test_what_cannot_be_exported_is_a_sentence(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*words: str | Path) -> str:
        capsys.readouterr()
        assert main(["head", "export", *map(str, words), "--out", str(tmp_path / "head")]) == 2
        return capsys.readouterr().err

    assert "there is no run here" in refused(tmp_path)
    run = faces.parent / "run"
    assert "there is no checkpoint of step 99; there are those of steps" in refused(run, "--step", "99")
    (faces / "a_new_person").mkdir()
    image = next(next(faces.iterdir()).glob("*"))
    (faces / "a_new_person" / image.name).write_bytes(image.read_bytes())
    assert refused(run).count("\n") == 1
