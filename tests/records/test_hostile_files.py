"""Bits flipped and ends cut at random, in every format that is parsed here: a source or a sentence, never anything
else."""

import json
import pickle
import tarfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.records.image_folder import ImageFolder
from marginface.records.open import open_records
from marginface.records.write import WRITERS
from tests.helpers.synthetic import write_faces
from tests.records.test_memfile import write_set
from tests.records.test_tar_images import tar_of


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """Return (spec, file to damage) of a small source of each kind."""
    root = tmp_path_factory.mktemp("healthy")
    faces = ImageFolder(write_faces(root / "faces", num_identities=2, images_per_identity=2, size=8))
    for scheme, name in {"tar": "t.tar", "webdataset": "w", "recordio": "r"}.items():
        WRITERS[scheme](faces, root / name, lambda done, total: None)
    images = [faces[i].image for i in range(4)]
    (root / "a.bin").write_bytes(pickle.dumps((images, [True, False]), 2))
    rows = [f'"faces/{key}",{i % 2}' for i, key in enumerate(faces.keys)]
    (root / "l.csv").write_text("\n".join(["path,label", *rows]))
    (root / "l.txt").write_text("".join(f"faces/{key} 0 {i % 2} 0\n" for i, key in enumerate(faces.keys)))
    tar_of(root / "pax.tar", ["ada/" + "x" * 200 + ".jpg", "zoë/ü.jpg"])
    tar_of(root / "gnu.tar", ["ada/" + "x" * 200 + ".jpg", "zoe/1.jpg"], format=tarfile.GNU_FORMAT)
    reversed_ = type("Reversed", (ImageFolder,), {"identities": property(lambda self: ("z", "a"))})(root / "faces")
    WRITERS["tar"](reversed_, root / "o.tar", lambda done, total: None)
    lfw = write_set(root / "set")
    return {
        "tar": (f"tar:{root}/t.tar", root / "t.tar"),
        "pax": (f"tar:{root}/pax.tar", root / "pax.tar"),
        "gnu": (f"tar:{root}/gnu.tar", root / "gnu.tar"),
        "ordered tar": (f"tar:{root}/o.tar", root / "o.tar"),
        "shard": (f"webdataset:{root}/w", root / "w/shard-000000.tar"),
        "bin": (f"bin:{root}/a.bin", root / "a.bin"),
        "csv": (f"list:{root}/l.csv", root / "l.csv"),
        "list": (f"list:{root}/l.txt", root / "l.txt"),
        "lst": (f"recordio:{root}/r", root / "r/train.lst"),
        "memfile": (f"memfile:{lfw}", lfw / "memfile/mem_file.dat"),
        "conf": (f"memfile:{lfw}", lfw / "memfile/mem_file.dat.conf"),
        "npy": (f"memfile:{lfw}", lfw.parent / "lfw_list.npy"),
    }


KINDS = ("tar", "pax", "gnu", "ordered tar", "shard", "bin", "csv", "list", "lst", "memfile", "conf", "npy")


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 4), cut=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_gives_a_source_or_a_sentence(healthy, kind, seed, flips, cut):
    spec, path = healthy[kind]
    generator = np.random.default_rng(seed)
    whole = path.read_bytes()
    data = bytearray(whole)
    for _ in range(flips):
        data[generator.integers(min(len(data), 3000))] ^= 1 << int(generator.integers(8))
    try:
        path.write_bytes(data[: generator.integers(len(data))] if cut else data)
        _read_all(spec)
    finally:
        path.write_bytes(whole)


def _read_all(spec):
    try:
        source = open_records(spec)
    except InputError:
        return
    for i in range(len(source)):
        try:
            source[i]
        except InputError:
            continue


@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_a_list_of_one_endless_field_is_refused(tmp_path, suffix):
    (tmp_path / f"l.{suffix}").write_text("path,label\n" + "x" * 300_000 + ",1\n")
    with pytest.raises(InputError, match="cannot be read as a table|expected"):
        open_records(tmp_path / f"l.{suffix}")


def test_extended_headers_of_a_tar_are_read_in_one_pass_and_bounded(tmp_path):
    many = "".join(f"13 a{i:06d}=x\n"[:13] for i in range(60_000))
    for text, words in ((many, "wrong length|there is no image"), ("y" * (1 << 21), "bytes of extended header")):
        member = tarfile.TarInfo("a/1.jpg")
        member.type, member.size = tarfile.XHDTYPE, len(text)
        with open(tmp_path / "a.tar", "wb") as file:
            file.write(member.tobuf(tarfile.USTAR_FORMAT) + text.encode() + bytes(-len(text) % 512 + 1024))
        with pytest.raises(InputError, match=words):
            open_records(tmp_path / "a.tar")


def test_nested_json_is_refused(tmp_path):
    folder = write_faces(tmp_path / "f", num_identities=1, images_per_identity=1, size=8)
    for text in ("[" * 100_000, json.dumps({"format": "marginface order 1"}), "null", '{"identities": 1e999}'):
        (folder / ".order.json").write_text(text)
        with pytest.raises(InputError, match=r"\.order\.json is damaged"):
            open_records(folder)
