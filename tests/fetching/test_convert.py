"""Archives -> crops: what comes out, what is refused, what is only counted."""

from __future__ import annotations

import dataclasses
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError, WorkError
from marginface.fetching.convert import Conversion, convert
from marginface.fetching.landmarks import HAND_PLACED_EYES_112, LFW_LANDMARKS
from marginface.fetching.registry import PublicSet, public_set
from marginface.images.decode import decode_image
from tests.fetching.drawings import LFW_EYES, eye_places, face, jpeg, lfw_archive, london_archives, zipped
from tests.helpers.faces import OneFace, one_face


def run(public: PublicSet, folder: Path, *, detector=None, **contents: bytes) -> tuple[Conversion, dict[str, bytes]]:
    files = {}
    for role, content in contents.items():
        files[role] = folder / role
        files[role].write_bytes(content)
    tar = folder / "out.tar"
    conversion = convert(public, files, tar, detector=detector, progress=lambda *_: None)
    with tarfile.open(tar) as archive:
        return conversion, {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


@pytest.fixture
def lfw() -> PublicSet:
    return public_set("lfw")


@pytest.fixture
def london() -> PublicSet:
    return public_set("london")


def test_lfw_photographs_become_aligned_crops_by_identity(lfw, tmp_path):
    conversion, crops = run(lfw, tmp_path, photographs=lfw_archive({"Ada_B": 2, "Carl": 1}))
    assert list(crops) == ["Ada_B/Ada_B_0001.jpg", "Ada_B/Ada_B_0002.jpg", "Carl/Carl_0001.jpg"]
    assert conversion == Conversion(num_images=3, num_identities=2, without_detection=(), failures={})
    image = decode_image(crops["Carl/Carl_0001.jpg"], name="Carl")
    assert image.shape == (112, 112, 3)
    np.testing.assert_allclose(eye_places(image), [[38.3, 51.7], [73.5, 51.5]], atol=2.0)  # where the template has them


def test_london_photographs_are_aligned_by_their_templates_and_smiles_by_their_neutral_face(london, tmp_path):
    neutral, smiling = london_archives(["001", "017"], moved_by=(14.0, -18.0))
    conversion, crops = run(london, tmp_path, neutral=neutral, smiling=smiling)
    assert list(crops) == ["001/neutral.jpg", "001/smiling.jpg", "017/neutral.jpg", "017/smiling.jpg"]
    assert (conversion.num_images, conversion.num_identities, conversion.failures) == (4, 2, {})
    for key, content in crops.items():
        np.testing.assert_allclose(eye_places(decode_image(content, name=key)), HAND_PLACED_EYES_112, atol=1.5)


def test_the_same_archive_makes_the_same_tar_byte_for_byte(lfw, tmp_path):
    archive = lfw_archive({"Ada": 2})
    tars = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        run(lfw, tmp_path / name, photographs=archive)
        tars.append((tmp_path / name / "out.tar").read_bytes())
    assert tars[0] == tars[1]


def test_a_detector_decides_and_where_it_finds_nothing_that_is_named(lfw, tmp_path):
    archive = lfw_archive({"Ada": 1})
    shifted, moved = run(lfw, tmp_path, detector=one_face(LFW_LANDMARKS + np.array([10.0, 0.0])), photographs=archive)
    blind, unmoved = run(lfw, tmp_path, detector=OneFace(), photographs=archive)
    assert (shifted.without_detection, blind.without_detection) == ((), ("Ada/Ada_0001.jpg",))
    left = [eye_places(decode_image(c["Ada/Ada_0001.jpg"], name="Ada"))[0, 0] for c in (moved, unmoved)]
    assert left[1] - left[0] == pytest.approx(8.7, abs=1.0)  # 10 pixels of the photograph at a scale of 0.87


def test_broken_odd_and_repeated_photographs_are_counted_with_their_reason(lfw, tmp_path):
    extra = {
        "lfw_funneled/Bo/Bo_0001.jpg": b"text named jpg",
        "lfw_funneled/Bo/Bo_0002.jpg": jpeg(face(250, LFW_EYES))[:500],
        "lfw_funneled/Bo/Bo_0003.jpg": jpeg(face(260, LFW_EYES)),
        "lfw_funneled/readme.txt": b"not looked at",
    }
    conversion, crops = run(lfw, tmp_path, photographs=lfw_archive({"Ada": 4}, extra=extra))
    assert len(crops) == conversion.num_images == 4
    assert list(conversion.failures) == [f"Bo/Bo_000{i}.jpg" for i in (1, 2, 3)]
    assert conversion.failures["Bo/Bo_0003.jpg"] == "it is 260 x 260, where LFW photographs are 250 x 250"


def test_london_people_with_something_missing_are_counted_with_their_reason(london, tmp_path):
    neutral, smiling = london_archives([f"{i:03d}" for i in range(1, 5)])
    with zipfile.ZipFile(io.BytesIO(neutral)) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if n not in ("neutral_front/001_03.tem",)}
    with zipfile.ZipFile(io.BytesIO(smiling)) as archive:
        smiles = {n: archive.read(n) for n in archive.namelist()}
    smiles["smiling_front/002_08.jpg"] = jpeg(np.random.default_rng(0).integers(0, 256, (420, 420, 3), dtype=np.uint8))
    conversion, crops = run(london, tmp_path, neutral=zipped(kept), smiling=zipped(smiles))
    assert len(crops) == 5
    assert conversion.failures["001/neutral.jpg"] == "there is no landmark template 001_03.tem"
    assert conversion.failures["001/smiling.jpg"] == "there is no landmark template 001_03.tem"
    assert "were not found in it again" in conversion.failures["002/smiling.jpg"]


@pytest.mark.parametrize("name", ["/etc/x.jpg", "../x/y.jpg", "lfw/../../x.jpg", "lfw\\..\\x.jpg", "C:/lfw/x.jpg"])
def test_an_archive_with_a_member_that_leaves_its_folder_is_refused_whole(lfw, london, tmp_path, name):
    with pytest.raises(InputError, match="would leave its folder"):
        run(lfw, tmp_path, photographs=lfw_archive({"Ada": 1}, extra={name: b"x"}))
    with pytest.raises(InputError, match="would leave its folder"):
        run(london, tmp_path, neutral=zipped({name: b"x"}), smiling=zipped({}))
    assert not list(tmp_path.glob("out.tar*"))


def test_links_in_an_archive_are_not_followed(lfw, tmp_path):
    packed = io.BytesIO(lfw_archive({"Ada": 1}))
    with tarfile.open(fileobj=packed) as old, tarfile.open(tmp_path / "linked", "w") as new:
        for member in old:
            new.addfile(member, old.extractfile(member))
        link = tarfile.TarInfo("lfw_funneled/Ada/Ada_0002.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        new.addfile(link)
    _, crops = run(lfw, tmp_path, photographs=(tmp_path / "linked").read_bytes())
    assert list(crops) == ["Ada/Ada_0001.jpg"]


def test_a_cut_archive_is_refused_and_leaves_nothing(lfw, london, tmp_path):
    archive = lfw_archive({"Ada": 3})
    with pytest.raises(InputError, match="this archive is damaged"):
        run(lfw, tmp_path, photographs=archive[: len(archive) // 2])
    neutral, smiling = london_archives(["001"])
    with pytest.raises(InputError, match="this archive is damaged"):
        run(london, tmp_path, neutral=neutral[:-30], smiling=smiling)
    assert not list(tmp_path.glob("out.tar*"))


def test_an_archive_of_something_else_is_refused(lfw, tmp_path):
    with pytest.raises(WorkError, match="0 photographs could be used"):
        run(lfw, tmp_path, photographs=lfw_archive({}, extra={"notes/readme.txt": b"hello"}))


def test_a_layout_that_does_not_exist_is_refused(lfw, tmp_path):
    with pytest.raises(InputError, match="there is no layout 'casia'"):
        run(dataclasses.replace(lfw, layout="casia"), tmp_path, photographs=b"")
