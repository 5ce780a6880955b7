"""What a person types leads to the right source, or to a sentence."""

import pickle

import pytest

from marginface.errors import InputError
from marginface.records.image_folder import ImageFolder
from marginface.records.image_list import ImageList
from marginface.records.open import SCHEMES, open_records
from marginface.records.pairs_bin import PairsBin
from marginface.records.record import RecordSource
from marginface.records.tar_images import TarImages
from marginface.records.write import WRITERS
from tests.helpers.synthetic import write_faces, write_list, write_tar


def test_schemes_and_bare_paths_open_the_same_sources(tmp_path):
    folder = write_faces(tmp_path / "faces", num_identities=2, images_per_identity=1, size=16)
    tar = write_tar(tmp_path / "faces.tar", num_identities=2, images_per_identity=1, size=16)
    text = write_list(tmp_path / "faces.txt", num_identities=2, images_per_identity=1, size=16)
    for spec, kind in ((folder, ImageFolder), (tar, TarImages), (text, ImageList)):
        scheme = {ImageFolder: "folder", TarImages: "tar", ImageList: "list"}[kind]
        for typed in (spec, str(spec), f"{scheme}:{spec}"):
            source = open_records(typed)
            assert isinstance(source, kind)
            assert len(source) == 2
            assert open_records(source.location).keys == source.keys


def test_every_format_is_told_by_its_suffix_or_content_and_opens_by_its_location(tmp_path):
    faces = open_records(write_faces(tmp_path / "faces", num_identities=3, images_per_identity=2, size=16))
    paths = {
        "folder": "f",
        "tar": "t.tar",
        "list": "l.txt",
        "recordio": "r",
        "webdataset": "w",
        "parquet": "p.parquet",
    }
    for scheme, name in paths.items():
        path = tmp_path / name
        assert WRITERS[scheme](faces, path, lambda done, total: None) == 6
        bare, named = open_records(path), open_records(f"{scheme}:{path}")
        assert type(bare) is type(named)
        assert scheme == "parquet" or type(bare) is SCHEMES[scheme][0]
        assert isinstance(bare, RecordSource)
        assert open_records(bare.location).keys == bare.keys
        assert [bare[i].image for i in range(6)] == [faces[i].image for i in range(6)]
        assert bare.labels.tolist() == faces.labels.tolist()
        assert (list(bare.identities), bare[5].identity) == (list(faces.identities), "person_02")
    for bare in (tmp_path / "r/train.rec", tmp_path / "w/shard-000000.tar", tmp_path / "w/shard-{000000..000000}.tar"):
        assert len(open_records(bare)) == 6
    assert len(open_records("synthetic:10?people=2&size=16").identities) == 2
    (tmp_path / "a.bin").write_bytes(pickle.dumps(([faces[0].image, faces[1].image], [True])))
    assert isinstance(open_records(tmp_path / "a.bin"), PairsBin)
    with pytest.raises(InputError, match="recordio: has no option 'name'; did you mean 'names'"):
        open_records(f"recordio:{tmp_path}/r?name=x")


def test_options_reach_the_source(tmp_path):
    write_faces(tmp_path / "faces", num_identities=2, images_per_identity=1, size=16)
    (tmp_path / "a.txt").write_text("person_00/0000.jpg 0\n")
    assert len(open_records(f"list:{tmp_path}/a.txt?root={tmp_path}/faces")) == 1
    assert len(open_records(f"{tmp_path}/a.txt?root={tmp_path}/faces")) == 1


def test_a_question_mark_in_a_name_is_no_option(tmp_path):
    folder = write_faces(tmp_path / "who?", num_identities=1, images_per_identity=1, size=16)
    assert len(open_records(f"folder:{folder}")) == 1


@pytest.mark.parametrize(
    "spec, words",
    [
        ("tars:a.tar", "there is no scheme 'tars:'; did you mean 'tar'"),
        ("folder:", "the path is missing"),
        ("tar:a.tar?rot=b", "has no option 'rot'; did you mean 'root'"),
        ("folder:a?root=b", "folder: has no option 'root'; it takes none"),
        ("list:a.txt?root", "after the question mark come options"),
        ("list:a.txt?num_classes=5", "has no option 'num_classes'"),
        ("no/such/thing", "does not exist; give a folder"),
        ("", "is missing|does not exist"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_words(spec, words):
    with pytest.raises(InputError, match=words):
        open_records(spec)


def test_a_bare_file_of_unknown_kind_asks_for_its_scheme(tmp_path):
    (tmp_path / "faces.dat").write_bytes(b"x")
    with pytest.raises(InputError, match="write folder:, list: or tar: before it"):
        open_records(tmp_path / "faces.dat")


def test_only_takes_the_listed_images_of_any_source(tmp_path):
    faces = write_faces(tmp_path / "faces", num_identities=3, images_per_identity=2, size=16)
    tar = write_tar(tmp_path / "faces.tar", num_identities=3, images_per_identity=2, size=16)
    (tmp_path / "some.txt").write_text("person_02/0001.jpg\nperson_00/0000.jpg\n")
    for spec in (f"folder:{faces}", f"tar:{tar}", str(tar)):
        records = open_records(f"{spec}?only={tmp_path / 'some.txt'}")
        assert records.keys == ("person_02/0001.jpg", "person_00/0000.jpg")
        assert records.identities == ("person_00", "person_02")
        assert records[0].label == 1
    (tmp_path / "wrong.txt").write_text("person_02/0001.jpg\nnobody/1.jpg\n")
    with pytest.raises(InputError, match="1 of its images, first 'nobody/1.jpg', are not in"):
        open_records(f"tar:{tar}?only={tmp_path / 'wrong.txt'}")
    with pytest.raises(InputError, match="list of images cannot be read"):
        open_records(f"tar:{tar}?only={tmp_path / 'none.txt'}")


def test_exclude_leaves_the_listed_images_out_also_of_a_part(tmp_path):
    tar = write_tar(tmp_path / "faces.tar", num_identities=3, images_per_identity=2, size=16)
    (tmp_path / "bad.txt").write_text("person_01/0000.jpg\nperson_01/0001.jpg\nperson_00/0001.jpg\n")
    records = open_records(f"tar:{tar}?exclude={tmp_path / 'bad.txt'}")
    assert records.keys == ("person_00/0000.jpg", "person_02/0000.jpg", "person_02/0001.jpg")
    assert records.identities == ("person_00", "person_02")
    (tmp_path / "some.txt").write_text("person_02/0001.jpg\nperson_00/0001.jpg\n")
    both = open_records(f"tar:{tar}?only={tmp_path / 'some.txt'}&exclude={tmp_path / 'bad.txt'}")
    assert both.keys == ("person_02/0001.jpg",)
    (tmp_path / "empty.txt").write_text("")
    assert len(open_records(f"tar:{tar}?exclude={tmp_path / 'empty.txt'}")) == 6
    (tmp_path / "wrong.txt").write_text("nobody/1.jpg\n")
    with pytest.raises(InputError, match="first 'nobody/1.jpg', are not in .* another data set"):
        open_records(f"tar:{tar}?exclude={tmp_path / 'wrong.txt'}")
