"""A visit leaves a page, a table and a list that training can be given."""

from __future__ import annotations

import csv
import json

import pytest

from marginface.errors import InputError
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.doctor import visit
from marginface.records.open import open_records
from tests.helpers.synthetic import face_jpeg, write_faces


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("doctor")
    write_faces(place / "faces", num_identities=40, images_per_identity=6, size=32)
    (place / "faces/person_03/odd & <b>.jpg").write_bytes(face_jpeg(identity=7, image=50, size=32))
    (place / "faces/person_05/twin.jpg").write_bytes((place / "faces/person_05/0002.jpg").read_bytes())
    (place / "faces/person_06/broken.jpg").write_bytes(b"\xff\xd8\xff no")
    return place


def test_a_visit_finds_what_is_wrong_and_its_list_cures_it(place):
    source = open_records(f"folder:{place / 'faces'}")
    shown = []
    found = visit(source, RawPixels(input_size=32), place / "visit", show=lambda *words: shown.append(words))
    assert {"embedding", "looking for copies", "comparing"} <= {what for what, _, _ in shown}
    rows = list(csv.DictReader((place / "visit/findings.csv").open(encoding="utf-8")))
    wrong = [row for row in rows if row["kind"] == "wrong name"]
    assert [(r["key"], r["other_person"], r["excluded"]) for r in wrong] == [
        ("person_03/odd & <b>.jpg", "person_07", "yes")
    ]
    listed = (place / "visit/exclude.txt").read_text(encoding="utf-8").splitlines()
    assert listed == list(found.excluded)
    assert {"person_03/odd & <b>.jpg", "person_06/broken.jpg"} < set(listed)
    assert {"person_05/twin.jpg", "person_05/0002.jpg"} & set(listed)
    record = json.loads((place / "visit/doctor.json").read_text(encoding="utf-8"))
    assert (record["images"], record["people"], record["broken"]) == (242, 40, ["person_06/broken.jpg"])
    page = found.page.read_text(encoding="utf-8")
    assert "odd &amp; &lt;b&gt;.jpg" in page
    assert "<b>.jpg" not in page
    assert "data:image/jpeg;base64," in page
    cured = open_records(f"folder:{place / 'faces'}?exclude={place / 'visit/exclude.txt'}")
    again = visit(cured, RawPixels(input_size=32), place / "again", pictures=False)
    assert not again.excluded
    assert "data:image/jpeg" not in again.page.read_text(encoding="utf-8")


def test_an_unknown_kind_is_refused_before_any_work(place):
    source = open_records(f"folder:{place / 'faces'}")
    with pytest.raises(InputError, match="no finding of the kind 'near copies'; did you mean 'near copy'"):
        visit(source, RawPixels(input_size=32), place / "none", exclude=["near copies"])
    assert not (place / "none").exists()
