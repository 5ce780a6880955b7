"""Every pair, counted block by block: what a list of all scores would say, to one bin."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.metrics import BinCounter, fnmr_at_fmr, support_sentence, verify_among_strangers, wilson
from marginface.metrics import all_pairs as module
from marginface.metrics.all_pairs import BinnedScores, binned_fnmr_at_fmr, score_all_pairs
from marginface.protocols.plans import DistractorPlan
from marginface.protocols.run_plans import run_distractors
from marginface.records.embedding_table import EmbeddingTable


def drawn(num=150, people=20, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(people, size=num)
    vectors = (rng.normal(size=(people, 16))[labels] + rng.normal(size=(num, 16))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


@pytest.mark.parametrize("block", [2048, 37])
def test_counts_are_those_of_all_scores_in_bins(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    unit, labels = drawn()
    seen = []
    found = score_all_pairs(unit, labels, num_bins=64, progress=lambda done, total: seen.append((done, total)))
    left, right = np.triu_indices(len(unit), 1)
    scores, mated = (unit @ unit.T)[left, right], labels[left] == labels[right]
    assert (found.num_mated, found.num_non_mated) == (mated.sum(), (~mated).sum())
    assert seen[-1] == (len(left), len(left))
    for kind, wanted in ((found.mated, True), (found.non_mated, False)):
        expected = np.histogram(scores[mated == wanted], bins=64, range=(-1, 1))[0]
        assert np.abs(np.cumsum(kind) - np.cumsum(expected)).max() <= 1  # rounding may move a score over an edge


def test_the_operating_point_is_the_exact_one_to_one_bin():
    unit, labels = drawn(400)
    left, right = np.triu_indices(len(unit), 1)
    exact = fnmr_at_fmr((unit @ unit.T)[left, right], labels[left] == labels[right], fmr=0.01)
    found = binned_fnmr_at_fmr(score_all_pairs(unit, labels), fmr=0.01)
    assert found.achieved_fmr <= 0.01
    assert abs(found.threshold - exact.threshold) <= 2 * 2 / module.NUM_BINS
    assert found.value_one_bin_lower <= exact.value <= found.value
    assert exact.false_matches - found.false_matches <= 1


def test_what_cannot_be_said_is_refused():
    unit, labels = drawn()
    with pytest.raises(InputError, match="None of the comparisons is mated"):
        binned_fnmr_at_fmr(score_all_pairs(unit, np.arange(len(unit))), fmr=0.01)
    broken = unit.copy()
    broken[7, 3] = np.nan
    with pytest.raises(InputError, match="1 embeddings are not finite, the first at position 7"):
        score_all_pairs(broken, labels)
    few = BinnedScores(np.array([0, 10]), np.array([10, 0]))
    assert binned_fnmr_at_fmr(few, fmr=0.01).support == "refused"


def test_the_counter_finds_the_bins_that_numpy_finds_whatever_the_shape():
    scores = np.random.default_rng(0).uniform(-1, 1, (70, 5000)).astype(np.float32)
    scores[0, :3] = (-1, 1, 1.0000001)  # a product of unit vectors may exceed 1 by rounding
    found, flat = BinCounter(256), BinCounter(256)
    found.add(scores[:, :2500])
    found.add(scores[:, 2500:])
    flat.add(scores.reshape(-1))
    expected = np.histogram(np.clip(scores, -1, 1), bins=256, range=(-1, 1))[0]
    assert np.abs(np.cumsum(found.counts) - np.cumsum(expected)).max() <= 30  # within 1/128 of a bin of its edge
    np.testing.assert_array_equal(found.counts, flat.counts)
    assert found.counts.sum() == scores.size
    with pytest.raises(ValueError, match="a power of two"):
        BinCounter(1000)


def test_mates_among_strangers_are_judged_as_a_list_of_all_scores_would_be():
    rng = np.random.default_rng(0)
    strangers, mates = rng.normal(0, 0.1, (40, 5000)).astype(np.float32), rng.normal(0.35, 0.1, 300).astype(np.float32)
    counter = BinCounter()
    counter.add(strangers)
    person = np.arange(300) // 10
    found, thin, refused = verify_among_strangers(counter, mates, person, fmr_targets=(1e-3, 1e-4, 1e-5))
    exact = fnmr_at_fmr(np.append(mates, strangers), np.arange(300 + strangers.size) < 300, fmr=1e-3)
    assert found.value_one_bin_lower <= exact.value <= found.value
    assert exact.false_matches - found.false_matches <= 1
    assert [one.support for one in (found, thin, refused)] == ["supported", "thin", "refused"]
    assert (refused.value, refused.interval, refused.expected_false_matches) == (None, None, 2.0)
    assert "200,000 non-mated pairs cannot support FMR 1e-05: 2 expected errors" in support_sentence(refused)
    assert found.fmr_interval == wilson(found.false_matches, strangers.size)


def test_the_interval_among_strangers_knows_whose_couples_fail():
    counter = BinCounter()
    counter.add(np.random.default_rng(0).normal(0, 0.1, 100_000).astype(np.float32))
    person = np.repeat(np.arange(20), 30)
    shared = np.where(person < 4, 0.0, 0.9).astype(np.float32)  # four people of twenty are never found
    mixed = np.where(np.arange(600) % 30 < 6, 0.0, 0.9).astype(np.float32)  # as many couples, six of everybody's
    (people,), (couples,) = (
        verify_among_strangers(counter, one, person, fmr_targets=(1e-2,)) for one in (shared, mixed)
    )
    assert people.value == couples.value == 0.2
    assert people.interval.high - people.interval.low > 3 * (couples.interval.high - couples.interval.low)
    assert people.interval.low < 0.08 < 0.4 < people.interval.high  # four of twenty: as Wilson's of 4 / 20 has it


def test_a_search_among_distractors_verifies_its_couples_too():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(10), 4)
    vectors = rng.normal(size=(10, 16))[person] + 0.6 * rng.normal(size=(40, 16))
    vectors = np.concatenate([vectors, rng.normal(size=(500, 16))]).astype(np.float32)
    table = EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1),
        keys=tuple(map(str, range(540))),
        labels=np.append(person, np.full(500, 10)),
        identities=tuple(map(str, range(11))),
        fingerprint="random",
    )
    plan = DistractorPlan(name="m", probe=np.arange(40), person=person, distractor=np.arange(40, 540), sizes=(100, 500))
    few, many = run_distractors(table, plan).verification
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    left, right = np.triu_indices(40, 1)
    mates = np.einsum("pd,pd->p", unit[left], unit[right])[person[left] == person[right]]
    strangers = (unit[:40] @ unit[40:].T).reshape(-1)
    exact = fnmr_at_fmr(np.append(mates, strangers), np.arange(60 + 20_000) < 60, fmr=1e-3)
    assert [(one.num_mated, one.num_non_mated) for one in (few[0], many[0])] == [(60, 4000), (60, 20_000)]
    assert many[0].value_one_bin_lower <= exact.value <= many[0].value
    assert [one.support for one in many] == ["thin", "refused", "refused", "refused"]
