"""Who a drawn person is depends on (seed, person) only, and likeness can be measured."""

import dataclasses

import numpy as np
import pytest

from marginface.drawn import DrawnPeople, draw_identity, draw_sibling
from marginface.drawn.identity import Identity, trait_fields, trait_vector
from marginface.errors import InputError


def test_there_are_some_sixty_traits_and_all_stay_in_range():
    fields = trait_fields()
    assert 40 <= len(fields) <= 70
    for person in range(200):
        who = draw_identity(3, person)
        for field in fields:
            assert field.metadata["low"] <= getattr(who, field.name) <= field.metadata["high"], field.name


def test_shared_factors_leave_room_for_the_own_draw():
    for field in trait_fields():
        assert sum(loading**2 for loading in field.metadata["loadings"].values()) <= 1.0, field.name


def test_the_average_person_has_no_distance_from_itself():
    assert np.all(trait_vector(Identity()) == 0.0)


def test_people_differ_gradually():
    # a trait that took few values would be a label that gives the identity away
    distances = [draw_identity(0, person).eye_distance for person in range(100)]
    assert len({round(value, 6) for value in distances}) > 90
    assert np.std(distances) == pytest.approx(2.1, rel=0.25)


def test_siblings_are_nearer_than_strangers():
    def distance(a: Identity, b: Identity) -> float:
        return float(np.linalg.norm(trait_vector(a) - trait_vector(b)))

    strangers = [distance(draw_identity(1, 2 * k), draw_identity(1, 2 * k + 1)) for k in range(30)]
    siblings = [distance(draw_identity(1, 2 * k), draw_sibling(1, 2 * k + 1, of=2 * k)) for k in range(30)]
    assert np.mean(siblings) < 0.7 * np.mean(strangers)
    assert max(siblings) < np.median(strangers)


def test_similarity_runs_from_stranger_to_twin():
    stranger = draw_sibling(4, 9, of=8, similarity=0.0)
    twin = draw_sibling(4, 9, of=8, similarity=1.0)
    assert stranger == draw_identity(4, 9)
    assert np.allclose(trait_vector(twin), trait_vector(draw_identity(4, 8)))
    assert twin.pattern == draw_identity(4, 9).pattern  # the skin's texture stays one's own


def test_a_set_with_siblings_pairs_neighbours():
    people = DrawnPeople(40, 1, seed=6, siblings=0.5)
    paired = [person for person in range(40) if people.sibling_of(person) is not None]
    assert 8 <= len(paired) <= 32
    for person in paired:
        other = people.sibling_of(person)
        assert {person, other} == {2 * (person // 2), 2 * (person // 2) + 1}
        assert people.sibling_of(other) == person
    elder, younger = min(paired), min(paired) + 1
    assert people.identity(elder) == draw_identity(6, elder)
    assert people.identity(younger) == draw_sibling(6, younger, of=elder, similarity=0.8)
    assert all(DrawnPeople(40, 1, seed=6).sibling_of(person) is None for person in range(40))


def test_impossible_similarity_and_numbers_are_refused():
    with pytest.raises(InputError, match="similarity is 1.2"):
        draw_sibling(0, 1, of=0, similarity=1.2)
    with pytest.raises(InputError, match="must not be negative"):
        draw_identity(0, -1)


def test_identities_are_plain_values():
    assert dataclasses.replace(draw_identity(0, 0), melanin=0.5) != draw_identity(0, 0)
    assert hash(draw_identity(0, 0)) == hash(draw_identity(0, 0))
