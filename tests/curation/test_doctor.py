"""Errors that were planted are found, by name; a set without errors is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.curation.copies import same_bytes
from marginface.curation.doctor import DoctorConfig, examine
from marginface.curation.findings import KINDS, Finding, exclusion_list
from marginface.curation.names import parted
from marginface.curation.people import direction_sums, neighbours, reached_by, unit_rows
from marginface.errors import InputError
from tests.helpers.planted import directions, images_of, people, prints_of, table_of


def _of(diagnosis, kind):
    return [f for f in diagnosis.findings if f.kind == kind]


def test_a_set_without_errors_is_left_alone():
    rows, names = people()
    diagnosis = examine(table_of(rows, names), prints_of(len(rows)))
    assert not exclusion_list(diagnosis.findings)
    assert set(diagnosis.counts) == set(KINDS)
    assert sum(diagnosis.counts.values()) == 0
    assert diagnosis.marks.stranger < diagnosis.marks.typical


def test_an_image_under_a_wrong_name_is_found_with_the_right_one_and_a_stranger_without():
    rows, names = people()
    names[3] = "p17"  # p00's image
    rows[40] = directions(41, seed=5)[40]  # nobody's
    table = table_of(rows, names)
    diagnosis = examine(table, prints_of(len(rows)))
    (wrong,) = _of(diagnosis, "wrong name")
    assert (wrong.key, wrong.person, wrong.other_person) == ("p17/0003", "p17", "p00")
    (nobody,) = _of(diagnosis, "nobody here")
    assert (nobody.key, nobody.other_person) == ("p05/0040", "")
    assert exclusion_list(diagnosis.findings) == ["p05/0040", "p17/0003"]


def test_two_people_under_one_name_and_one_under_two():
    rows, names = people()
    rows[16:23] = images_of(directions(41, seed=5)[40], 7, seed=77)
    names[16:23] = ["p09"] * 7  # seven images of somebody new join p09's eight
    names[28:32] = ["zoe"] * 4  # half of p03's get a name of their own
    diagnosis = examine(table_of(rows, names), prints_of(len(rows)))
    assert [f.key for f in _of(diagnosis, "two people")] == [f"p09/{i:04d}" for i in range(16, 23)]
    (couple,) = [f for f in _of(diagnosis, "one person, two names") if "zoe" in (f.person, f.other_person)]
    assert (couple.person, couple.other_person) == ("p03", "zoe")
    assert not any(f.key.startswith("zoe") for f in diagnosis.findings)


def test_of_equal_bytes_the_first_stays_and_under_two_names_the_one_that_fits():
    rows, names = people()
    table = table_of(np.concatenate([rows, rows[:2]]), [*names, "p00", "p30"])
    prints = prints_of(len(table))
    prints.digest[-2:] = prints.digest[:2]
    prints.tiny[-2:] = prints.tiny[:2]
    diagnosis = examine(table, prints)
    (copy,) = _of(diagnosis, "exact copy")
    assert {copy.key, copy.other_key} == {"p00/0000", "p00/0320"}
    (twice,) = _of(diagnosis, "one picture, two names")
    assert (twice.key, twice.other_key) == ("p30/0321", "p00/0001")
    assert "p30/0321" in exclusion_list(diagnosis.findings)


def test_near_copies_need_both_signs():
    rows, names = people()
    rows[1], rows[9] = rows[0] + 0.01, rows[8] + 0.01
    prints = prints_of(len(rows))
    prints.tiny[1] = prints.tiny[0]  # alike to the eye and to the model
    prints.tiny[17] = prints.tiny[16]  # to the eye alone; rows 8 and 9 to the model alone
    diagnosis = examine(table_of(rows, names), prints)
    (near,) = _of(diagnosis, "near copy")
    assert (near.key, near.other_key) == ("p00/0001", "p00/0000")
    assert near.key not in exclusion_list(diagnosis.findings)
    assert exclusion_list(diagnosis.findings, ["near copy"]) == ["p00/0001"]


def test_people_and_pictures_of_the_other_set_are_found():
    rows, names = people()
    centres = directions(40)
    theirs = np.concatenate([images_of(centres[7], 6, seed=900), images_of(directions(3, seed=8)[2], 6, seed=901)])
    other = table_of(theirs, ["seven"] * 6 + ["else"] * 6)
    prints, their_prints = prints_of(len(rows)), prints_of(len(theirs), seed=4)
    their_prints.digest[:] = [np.void((10_000 + i).to_bytes(16, "big")) for i in range(12)]
    their_prints.digest[11] = prints.digest[0]
    diagnosis = examine(table_of(rows, names), prints, other=(other, their_prints))
    shared = _of(diagnosis, "in both sets")
    assert [f.key for f in shared] == ["p00/0000", *(f"p07/{i:04d}" for i in range(56, 64))]
    assert (shared[0].other_key, shared[0].other_person) == ("else/0011", "else")
    assert {f.other_person for f in shared[1:]} == {"seven"}


def test_what_cannot_be_examined_is_refused():
    rows, names = people(2, 3)
    with pytest.raises(InputError, match="one person or nobody"):
        examine(table_of(rows[:3], names[:3]), prints_of(3))
    with pytest.raises(InputError, match="Nobody has two images"):
        examine(table_of(rows[::3], names[::3]), prints_of(2))
    other = table_of(rows, names)
    object.__setattr__(other, "fingerprint", "another")
    with pytest.raises(InputError, match="two models"):
        examine(table_of(rows, names), prints_of(6), other=(other, prints_of(6)))
    with pytest.raises(InputError, match="stranger_rate is 0.7"):
        DoctorConfig(stranger_rate=0.7)
    with pytest.raises(InputError, match="least_alike is 0.1"):
        DoctorConfig(least_alike=0.1)


def test_own_cosine_leaves_the_image_out():
    rows, names = people(5, 4)
    table = table_of(rows, names)
    near = neighbours(table, direction_sums(table))
    for i in range(len(table)):
        others = [j for j in range(len(table)) if table.labels[j] == table.labels[i] and j != i]
        centre = table.unit[others].astype(np.float64).sum(axis=0)
        assert near.own[i] == pytest.approx(table.unit[i] @ centre / np.linalg.norm(centre), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_groups_of_equal_bytes_are_those_of_a_dictionary(numbers):
    digest = np.array([np.void(n.to_bytes(16, "big")) for n in numbers], dtype="V16")
    groups = {n: [i for i, m in enumerate(numbers) if m == n] for n in set(numbers)}
    expected = sorted(group for group in groups.values() if len(group) > 1)
    assert sorted(group.tolist() for group in same_bytes(digest)) == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_two_clusters_are_parted_as_they_were_made(first, last, seed):
    centres = directions(2, seed=seed)
    rows = unit_rows(
        np.concatenate([images_of(centres[0], first, seed=seed), images_of(centres[1], last, seed=seed + 1)])
    )
    second, cos = parted(rows)
    assert second[0] != second[-1]
    assert len(set(second[:first].tolist())) == len(set(second[first:].tolist())) == 1
    assert cos == pytest.approx(
        float(unit_rows(rows[:first].mean(0)[None])[0] @ unit_rows(rows[first:].mean(0)[None])[0]), abs=1e-5
    )


def test_couples_that_are_one_person_do_not_set_the_mark_of_strangers():
    scores = np.random.default_rng(0).normal(0, 0.1, 10_000).astype(np.float32)
    clean = reached_by(scores, 1e-3)
    assert clean == pytest.approx(0.309, abs=0.02)  # the normal's 99.9 % quantile
    scores[:30] = 0.95
    assert clean < reached_by(scores, 1e-3) < 0.45
    assert reached_by(scores[:0], 1e-3) == 1.0


def test_a_finding_says_what_it_means():
    assert "another image of the same person" in Finding(kind="exact copy", person="a", score=1.0).about
