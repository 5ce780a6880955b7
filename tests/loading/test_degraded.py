"""A spoilt copy of a data set keeps its names, and is the same bytes every time."""

from pathlib import Path

import numpy as np
import pytest

from marginface.cli.main import main
from marginface.errors import InputError, WorkError
from marginface.images.decode import decode_image
from marginface.images.degrade import degrade
from marginface.loading.degraded import Degraded, write_degraded
from marginface.records.open import open_records
from marginface.records.select import subset
from tests.helpers.synthetic import write_faces


@pytest.fixture
def faces(tmp_path):
    return open_records(f"folder:{write_faces(tmp_path / 'faces', num_identities=3, images_per_identity=4, size=48)}")


def test_keys_and_people_stay_and_images_are_the_spoilt_ones(faces, tmp_path):
    assert write_degraded(faces, tmp_path / "blurred.tar", kind="gaussian", strength=2.0) == 12
    blurred = open_records(tmp_path / "blurred.tar")
    assert sorted(blurred.keys) == sorted(faces.keys)
    assert blurred.identities == faces.identities
    for index in range(12):
        record = blurred[index]
        original = faces[list(faces.keys).index(record.key)]
        expected = degrade(decode_image(original.image, name="a"), "gaussian", 2.0)
        assert np.abs(decode_image(record.image, name="b").astype(float) - expected).mean() < 3


def test_the_same_seed_makes_the_same_bytes_and_an_image_keeps_its_direction(faces, tmp_path):
    paths = [tmp_path / name for name in ("a.tar", "b.tar", "c.tar", "part.tar")]
    for path, seed in zip(paths[:3], (1, 1, 2), strict=True):
        write_degraded(faces, path, kind="motion", strength=9.0, seed=seed)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    write_degraded(subset(faces, np.array([5])), paths[3], kind="motion", strength=9.0, seed=1)
    (alone,) = open_records(paths[3])
    whole = open_records(paths[0])
    assert alone.image == whole[list(whole.keys).index(alone.key)].image


def test_the_verb_says_what_it_wrote(faces, tmp_path, capsys):
    out = tmp_path / "small.tar"
    words = ["degrade", faces.location, "--out", str(out), "--kind", "low_resolution", "--strength", "16"]
    assert main(words) == 0
    assert "12 images, low_resolution 16 (side that the face is shrunk to" in capsys.readouterr().out
    assert main([*words[:-1], "1000"]) == 2
    assert "strength 1000 of low_resolution is outside 2 to 512" in capsys.readouterr().err


def test_a_failure_leaves_no_half_tar(faces, tmp_path):
    class Broken:
        location, identities, labels, keys = faces.location, faces.identities, faces.labels, faces.keys

        def __len__(self):
            return len(faces)

        def __getitem__(self, index):
            if index == 5:
                raise InputError("broken")
            return faces[index]

    with pytest.raises(InputError, match="broken"):
        write_degraded(Broken(), tmp_path / "out.tar", kind="jpeg", strength=50)
    with pytest.raises(WorkError, match="could not be written"):
        write_degraded(faces, Path("/proc/nowhere/out.tar"), kind="jpeg", strength=50)
    assert not [p for p in tmp_path.iterdir() if "out.tar" in p.name]


def test_spoilt_as_they_are_read_they_are_the_bytes_that_would_be_written(tmp_path):
    source = open_records(f"folder:{write_faces(tmp_path / 'f', num_identities=2, images_per_identity=2, size=32)}")
    write_degraded(source, tmp_path / "d.tar", kind="motion", strength=5, seed=3)
    written, read = open_records(f"tar:{tmp_path / 'd.tar'}"), Degraded(source, kind="motion", strength=5, seed=3)
    assert (tuple(read.keys), tuple(read.identities), len(read)) == (written.keys, written.identities, 4)
    assert [read[i].image for i in range(4)] == [written[i].image for i in range(4)]
