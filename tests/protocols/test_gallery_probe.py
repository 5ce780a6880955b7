"""Blocked searches count what a full sort of all scores counts."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from marginface.errors import InputError
from marginface.protocols import gallery_probe
from marginface.protocols.gallery_probe import NOBODY, Gallery, search_gallery


def drawn(num_people=12, entries=40, probes=30, distractors=25, dims=8, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_people + 4, dims))
    person = rng.integers(num_people, size=entries)
    probe_person = rng.integers(num_people + 4, size=probes)  # some are nobody in the gallery
    vectors = np.concatenate(
        [
            centres[person] + 0.8 * rng.normal(size=(entries, dims)),
            rng.normal(size=(distractors, dims)),
            centres[probe_person] + 0.8 * rng.normal(size=(probes, dims)),
        ]
    ).astype(np.float32)
    gallery_size = entries + distractors
    gallery = Gallery(
        vectors, np.arange(gallery_size), np.concatenate([person, np.full(distractors, NOBODY)]).astype(np.int64)
    )
    return Gallery(vectors, gallery_size + np.arange(probes), probe_person.astype(np.int64)), gallery


@pytest.fixture(params=[(512, 8192), (7, 11)])
def blocks(request, monkeypatch):
    monkeypatch.setattr(gallery_probe, "PROBES", request.param[0])
    monkeypatch.setattr(gallery_probe, "ENTRIES", request.param[1])


def test_ranks_precision_and_highest_scores_are_those_of_all_scores_sorted(blocks):
    probe, gallery = drawn()
    found = search_gallery("g", probe, gallery, all_mates=True)
    scores = probe.unit(slice(None)).astype(np.float64) @ gallery.unit(slice(None)).astype(np.float64).T
    assert found.is_mated.any()
    assert not found.is_mated.all()
    for q, person in enumerate(probe.person):
        is_mate = gallery.person == person
        np.testing.assert_allclose(found.non_mate_score[q], scores[q, ~is_mate].max(), atol=1e-6)
        if not is_mate.any():
            assert found.rank[q] == 0
            continue
        assert found.rank[q] == 1 + (scores[q, ~is_mate] > scores[q, is_mate].max()).sum()
        np.testing.assert_allclose(found.mate_score[q], scores[q, is_mate].max(), atol=1e-6)
        np.testing.assert_allclose(found.average_precision[q], average_precision_score(is_mate, scores[q]), atol=1e-9)
    assert (found.num_entries, found.num_distractors) == (65, 25)


def test_a_model_that_gives_everybody_one_vector_finds_nobody():
    probe, gallery = drawn()
    gallery.vectors[:] = np.linspace(1, 2, 8, dtype=np.float32)
    rank = search_gallery("g", probe, gallery).rank
    others = (gallery.person[:, None] != probe.person).sum(axis=0)
    np.testing.assert_array_equal(rank[rank > 0], 1 + others[rank > 0])


def test_distractors_are_nobodys_mates():
    probe, gallery = drawn(probes=5)
    strangers = Gallery(probe.vectors, probe.rows, np.full(5, NOBODY))
    assert (search_gallery("g", strangers, gallery).rank == 0).all()


def test_empty_sides_and_galleries_of_one_person_are_refused():
    probe, gallery = drawn()
    nothing = Gallery(gallery.vectors, gallery.rows[:0], gallery.person[:0])
    with pytest.raises(InputError, match="30 probes and 0 gallery entries"):
        search_gallery("g", probe, nothing)
    alone = Gallery(gallery.vectors, gallery.rows[:1], probe.person[:1])
    one = Gallery(probe.vectors, probe.rows[:1], probe.person[:1])
    with pytest.raises(InputError, match="nothing to tell apart"):
        search_gallery("g", one, alone)
