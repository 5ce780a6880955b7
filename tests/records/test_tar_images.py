"""A tar is read in place, exactly as tarfile would, and its faults are found when it is opened."""

import io
import os
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from marginface.errors import InputError
from marginface.records.tar_images import TarImages
from marginface.records.tar_index import tar_members
from tests.helpers.synthetic import face_jpeg, write_tar

LONG = "person_" + "x" * 120 + "/" + "y" * 130 + ".jpg"


def tar_of(path, names, *, format=tarfile.PAX_FORMAT, mode="w"):
    with tarfile.open(path, mode, format=format) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                data = f"bytes of {name}".encode() * (len(name) % 7 + 1)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_equal_those_of_tarfile(tmp_path, format):
    names = ["./ada/", "./ada/1.jpg", "ada/a b.jpg", "d" * 90 + "/" + "e" * 80 + "/f.jpg", "zoë/ü.jpg"]
    names += [] if format == tarfile.USTAR_FORMAT else [LONG]
    path = tar_of(tmp_path / "a.tar", names, format=format)
    with tarfile.open(path) as tar:
        oracle = [(m.name, m.offset_data, m.size) for m in tar if m.isreg()]
    assert [tuple(m) for m in tar_members(path)] == oracle


def test_pax_headers_with_many_records_and_links_do_not_confuse_the_walk(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        link = tarfile.TarInfo("ada/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "1.jpg"
        tar.addfile(link)
        member = tarfile.TarInfo("ada/1.jpg")
        member.size, member.pax_headers = 3, {"comment": "ü" * 600, "mtime": "1.5"}
        tar.addfile(member, io.BytesIO(b"abc"))
    assert [m.name for m in tar_members(tmp_path / "a.tar")] == ["ada/1.jpg"]
    assert TarImages(tmp_path / "a.tar")[0].image == b"abc"


def test_images_come_out_sorted_with_their_bytes(tmp_path):
    source = TarImages(write_tar(tmp_path / "a.tar", num_identities=3, images_per_identity=2))
    assert source.identities == ("person_00", "person_01", "person_02")
    assert source.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert source[3].image == face_jpeg(identity=1, image=1)
    assert source.location == f"tar:{tmp_path}/a.tar"


def test_other_and_hidden_members_are_passed_over_and_the_last_of_a_name_counts(tmp_path):
    path = tar_of(tmp_path / "a.tar", ["./b/2.jpg", "a/1.jpg", "a/notes.txt", "a/._1.jpg", ".x/1.jpg", "top.jpg"])
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo("a/1.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"new"))
    source = TarImages(path)
    assert source.keys == ("a/1.jpg", "b/2.jpg")
    assert source[0].image == b"new"


def test_root_names_the_folder_whose_folders_are_people(tmp_path):
    path = tar_of(tmp_path / "a.tar", ["lfw/ada/1.jpg", "lfw/zoe/1.jpg", "readme/x/y.jpg"])
    assert TarImages(path).identities == ("lfw", "readme")
    assert TarImages(path, root="lfw").keys == ("ada/1.jpg", "zoe/1.jpg")
    with pytest.raises(InputError, match="there is no image in it below nobody"):
        TarImages(path, root="nobody")


def test_pickles_threads_and_forks_read_the_same(tmp_path):
    source = TarImages(write_tar(tmp_path / "a.tar", num_identities=4, images_per_identity=4, size=32))
    expected = [source[i].image for i in range(len(source))]
    assert [pickle.loads(pickle.dumps(source))[i].image for i in range(len(source))] == expected
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda i: source[i % 16].image, range(400))) == expected * 25


def test_unusable_files_are_refused_in_words(tmp_path):
    whole = write_tar(tmp_path / "a.tar", num_identities=2, images_per_identity=2).read_bytes()
    cases = {
        "too_short": (b"abc", "not a tar archive"),
        "text": (b"just some text, long enough to be a header\n" * 40, "not a tar archive"),
        "cut": (whole[: len(whole) // 2 - len(whole) // 2 % 512 - 100], "cut short"),
        "damaged": (whole[:5120] + b"\x55" * 5_120 + whole[10_240:], "is damaged"),
    }
    for name, (data, words) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=words):
            TarImages(tmp_path / name)
    with pytest.raises(InputError, match="compressed with gzip"):
        TarImages(tar_of(tmp_path / "z.tar", ["a/1.jpg"], mode="w:gz"))
    with pytest.raises(InputError, match="there is no image in it"):
        TarImages(tar_of(tmp_path / "n.tar", ["a/notes.txt"]))
    with pytest.raises(InputError, match="1 images belong to no folder"):
        TarImages(tar_of(tmp_path / "l.tar", ["1.jpg"]))
    with pytest.raises(InputError, match="does not exist"):
        TarImages(tmp_path / "no.tar")


def test_a_cut_anywhere_is_found_at_opening_even_between_two_members(tmp_path):
    path = write_tar(tmp_path / "a.tar", num_identities=1, images_per_identity=2, size=32)
    whole, last = path.read_bytes(), tar_members(path)[-1]
    end = -(-(last.offset + last.size) // 512) * 512
    for length in [*range(1, end, 97), *range(512, end + 1, 512)]:
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut short|only \d+ bytes"):
            TarImages(tmp_path / "cut.tar")
    (tmp_path / "cut.tar").write_bytes(whole[: end + 512])
    assert len(TarImages(tmp_path / "cut.tar")) == 2


def test_a_tar_that_changed_between_opening_and_reading_is_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar", num_identities=1, images_per_identity=2, size=32)
    source = TarImages(path)
    os.truncate(path, 1024)
    with pytest.raises(InputError, match="changed after it was opened"):
        source[0]
