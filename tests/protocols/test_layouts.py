"""Sets in their published layouts become the plans that their papers mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.protocols import PROTOCOLS, GalleryConfig
from marginface.protocols.differential import RfwConfig, read_groups
from marginface.protocols.gallery_probe import NOBODY
from marginface.protocols.ijb import IjbcConfig, IjbcSearchConfig
from marginface.protocols.named_files import MegaFaceConfig, ScfaceConfig, TinyFaceConfig
from marginface.protocols.templates import PoolingConfig
from marginface.records.open import open_records
from tests.helpers import layouts
from tests.helpers.synthetic import face, write_faces


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), num_identities=6, images_per_identity=6, size=112)


@pytest.fixture(scope="module")
def ijbc(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.ijbc(faces, tmp_path_factory.mktemp("ijbc"))


def test_every_config_has_the_kind_that_it_is_registered_under():
    for kind, config in PROTOCOLS.items():
        assert config.__dataclass_fields__["kind"].default == kind


def test_ijbc_verification_lists_templates_pairs_and_people(ijbc):
    config = IjbcConfig(meta=ijbc / "meta", pooling=PoolingConfig(detector_score=True))
    source = config.open(f"folder:{ijbc / 'images'}")
    plan = config.plan(source)
    assert len(plan.templates) == 6 + 12  # a gallery template each, and three images as templates of two and one
    assert (len(plan.left), int(plan.mated.sum())) == (72, 12)
    assert len(np.unique(plan.templates.person)) == 6
    np.testing.assert_array_equal(plan.mated, plan.templates.person[plan.left] == plan.templates.person[plan.right])
    assert plan.templates.detector_score.min() >= 0.8
    assert len(plan.images) == 36


def test_ijbc_images_are_aligned_by_the_landmarks_of_the_set(ijbc):
    aligned = IjbcConfig(meta=ijbc / "meta").open(f"folder:{ijbc / 'images'}")
    loose = IjbcConfig(meta=ijbc / "meta", align=False).open(f"folder:{ijbc / 'images'}")
    assert isinstance(loose[0].image, bytes)
    place = list(aligned.keys).index("loose_crop/1.jpg")
    expected = face(identity=0, image=0)
    assert aligned[place].image.shape == (112, 112, 3)
    assert np.abs(aligned[place].image.astype(int) - expected)[4:-4, 4:-4].mean() < 6  # JPEG twice over


def test_people_are_told_by_mated_pairs_where_the_subject_tables_are_missing(ijbc, tmp_path):
    for name in ("ijbc_face_tid_mid.txt", "ijbc_template_pair_label.txt", "ijbc_name_5pts_score.txt"):
        (tmp_path / name).write_text((ijbc / "meta" / name).read_text())
    source = open_records(f"folder:{ijbc / 'images'}")
    told, known = (IjbcConfig(meta=meta).plan(source) for meta in (tmp_path, ijbc / "meta"))
    same = told.templates.person[:, None] == told.templates.person
    np.testing.assert_array_equal(same, known.templates.person[:, None] == known.templates.person)
    assert "mated pairs" in told.notes[0]


def test_ijbc_searches_every_probe_in_both_galleries(ijbc):
    plan = IjbcSearchConfig(meta=ijbc / "meta").plan(open_records(f"folder:{ijbc / 'images'}"))
    assert [s.name for s in plan.searches] == ["G1", "G2"]
    assert plan.average
    people = [set(plan.templates.person[s.gallery].tolist()) for s in plan.searches]
    assert people == [{1, 3, 5}, {2, 4, 6}]
    for search in plan.searches:
        assert sorted(plan.templates.person[search.probe].tolist()) == sorted([1, 2, 3, 4, 5, 6] * 2)


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("ijbc_face_tid_mid.txt", "1.jpg 1\n", r"line 1: expected `image template media`"),
        ("ijbc_face_tid_mid.txt", "nobody.jpg 1 2\n", r"1 of 1 images, first 'nobody\.jpg', are not found"),
        ("ijbc_template_pair_label.txt", "100 999 1\n", "template 100 is not in face_tid_mid"),
        ("ijbc_template_pair_label.txt", "107 114 2\n", "labels 0 and 1"),
        ("ijbc_template_pair_label.txt", "107 x 1\n", "whole numbers"),
        ("ijbc_name_5pts_score.txt", "1.jpg 1 2 3\n", "ten coordinates and a score"),
    ],
)
def test_damaged_ijb_files_are_named_with_their_line(ijbc, tmp_path, name, text, words):
    for path in (ijbc / "meta").iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / name).write_text(text)
    config = IjbcConfig(meta=tmp_path)
    with pytest.raises(InputError, match=words):
        config.plan(config.open(f"folder:{ijbc / 'images'}"))


def test_tinyface_reads_people_from_names_and_distractors_from_folders(faces, tmp_path):
    plan = TinyFaceConfig().plan(open_records(layouts.tinyface(faces, tmp_path / "t", num_distractor_people=2)))
    (search,) = plan.searches
    person = plan.templates.person
    assert (len(search.probe), len(search.gallery)) == (4 * 3, 4 * 3 + 2 * 6)
    assert (person[search.gallery] == NOBODY).sum() == 12
    assert set(person[search.probe].tolist()) == {1, 2, 3, 4}
    assert plan.ranks == (1, 5, 10, 20)
    with pytest.raises(InputError, match="no folders Probe and Gallery_Match"):
        TinyFaceConfig().plan(open_records(faces))


def test_scface_has_a_search_for_each_distance_and_passes_infrared_over(faces, tmp_path):
    plan = ScfaceConfig().plan(open_records(layouts.scface(faces, tmp_path / "s")))
    assert [s.name for s in plan.searches] == ["4.2 m", "2.6 m", "1.0 m"]
    for search in plan.searches:
        assert len(search.gallery) == 6
        assert len(search.probe) == 12  # two of three cameras
    with pytest.raises(InputError, match="mugshots named 001_frontal"):
        ScfaceConfig().plan(open_records(faces))


def test_megaface_leaves_noise_out_and_grows_its_distractors_in_one_order(faces, tmp_path):
    others = write_faces(tmp_path / "others", num_identities=5, images_per_identity=4, size=32, seed=9)
    noise, noise_of_probes = tmp_path / "m.txt", tmp_path / "f.txt"
    noise.write_text("# a comment\n3\tperson_00/0001.jpg\nperson_01/0002\n")
    noise_of_probes.write_text("person_02/0000.jpg\n")
    config = MegaFaceConfig(
        distractors=str(others), sizes=(4, 10, 100), distractor_noise=noise, noise=noise_of_probes, seed=1
    )
    source = config.open(str(faces))
    plan = config.plan(source)
    assert plan.sizes == (4, 10, 18)
    assert plan.counts == {"noisy_probes_left_out": 1, "noisy_distractors_left_out": 2}
    assert len(plan.probe) == 35
    assert all(source.keys[i].startswith("distractors/") for i in plan.distractor)
    np.testing.assert_array_equal(plan.distractor, config.plan(source).distractor)
    record = source[int(plan.distractor[0])]
    assert record.key == source.keys[int(plan.distractor[0])]
    noise.write_text("somebody/else.jpg\n")
    with pytest.raises(InputError, match="none of the 1 images that it lists"):
        config.plan(source)


def test_rfw_has_groups_and_people_from_its_folders(faces, tmp_path):
    root = layouts.rfw(faces, tmp_path / "rfw")
    source = open_records(root / "data")
    plan = RfwConfig(pairs_folder=root / "txts").plan(source)
    assert plan.groups.names == ("African", "Asian")
    assert len(plan) == 2 * 10 * 6
    np.testing.assert_array_equal(plan.mated, plan.person[plan.left] == plan.person[plan.right])
    assert (plan.groups.of_image[plan.left] == plan.groups.of_image[plan.right]).all()
    assert len(np.unique(plan.person)) == 6


def test_groups_come_from_a_table_of_people_or_of_images(faces, tmp_path):
    source, file = open_records(faces), tmp_path / "groups.csv"
    file.write_text("identity,group\nperson_00,a\nperson_01,b\n")
    groups = read_groups(file, source.keys, source.identities, source.labels)
    assert groups.names == ("a", "b")
    np.testing.assert_array_equal(groups.of_image, np.repeat([0, 1, -1, -1, -1, -1], 6))
    file.write_text("image,group\nperson_00/0001.jpg,x\nperson_03/0002.jpg,y\n")
    groups = read_groups(file, source.keys, source.identities, source.labels)
    assert (groups.of_image >= 0).sum() == 2
    file.write_text("identity,group\nperson_00,a\n")
    with pytest.raises(InputError, match="1 of its groups are found"):
        read_groups(file, source.keys, source.identities, source.labels)


def test_a_table_describes_templates_media_distractors_and_several_galleries(faces, tmp_path):
    file = tmp_path / "g.csv"
    file.write_text(
        "image,role,person,template,media,gallery\n"
        "person_00/0000.jpg,gallery,ada,A,1,one\nperson_00/0001.jpg,gallery,ada,A,1,one\n"
        "person_01/0000.jpg,gallery,bo,B,1,two\nperson_02/0000.jpg,distractor,,d,1,\n"
        "person_00/0003.jpg,probe,ada,A,9,\nperson_01/0002.jpg,probe,bo,q,9,\n"
    )
    plan = GalleryConfig(table=file).plan(open_records(faces))
    one, two = plan.searches
    names = np.array(plan.templates.names)
    assert (one.name, two.name) == ("one", "two")
    assert names[one.gallery].tolist() == ["distractor:d", "gallery:A"]
    assert names[two.gallery].tolist() == ["distractor:d", "gallery:B"]
    assert names[one.probe].tolist() == ["probe:A", "probe:q"]
    assert plan.templates.person[one.gallery].tolist()[0] == NOBODY
    file.write_text("image,role,person\nperson_00/0000.jpg,guest,ada\n")
    with pytest.raises(InputError, match="line 2: there is no role 'guest'"):
        GalleryConfig(table=file).plan(open_records(faces))
