"""Which classes a sampled head looks at."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from marginface.heads import SampledHeadConfig
from marginface.heads.sampling import choose_classes

few = settings(max_examples=60, deadline=None)


@few
@given(num_classes=st.integers(0, 60), rate=st.floats(0, 1), seed=st.integers(0, 2**31), data=st.data())
def test_positives_and_as_many_others_as_the_rate_leaves_room_for(num_classes, rate, seed, data):
    classes = st.integers(0, num_classes - 1) if num_classes else st.nothing()
    positives = np.array(sorted(data.draw(st.sets(classes))), dtype=np.int64)
    chosen = choose_classes(positives, num_classes, rate, address=(seed, 0, 0))
    assert (np.diff(chosen) > 0).all(), "ascending, each once"
    assert np.isin(positives, chosen).all()
    assert len(chosen) == max(len(positives), int(rate * num_classes))
    assert chosen.dtype == np.int64
    assert len(chosen) == 0 or (chosen[0] >= 0 and chosen[-1] < num_classes)


def test_the_ends_of_the_rate_are_the_batch_alone_and_everything():
    positives = np.array([0, 7, 9])
    assert choose_classes(positives, 10, 0.0, address=(0,)).tolist() == [0, 7, 9]
    assert choose_classes(positives, 10, 1.0, address=(0,)).tolist() == list(range(10))
    assert choose_classes(np.arange(0), 10, 0.0, address=(0,)).tolist() == []
    assert choose_classes(np.arange(0), 10, 1.0, address=(0,)).tolist() == list(range(10))


def test_other_classes_are_drawn_alike():
    positives, num_classes, draws = np.array([0, 3, 4, 11]), 16, 4000
    counts = np.zeros(num_classes, dtype=int)
    for step in range(draws):
        counts[choose_classes(positives, num_classes, 0.5, address=(1, step, 0))] += 1
    assert (counts[positives] == draws).all()
    others = np.delete(counts, positives)
    assert others.sum() == draws * 4
    # Four of twelve without repetition: counts vary by 2/3 of what chi-square supposes, so it errs to the safe side.
    assert chisquare(others).pvalue > 0.01


def test_pairs_of_other_classes_are_drawn_alike():
    """A stride or a block of classes would pass the test of single classes."""
    counts = np.zeros((6, 6), dtype=int)
    for step in range(3000):
        first, second = choose_classes(np.arange(0), 6, 0.34, address=(2, step, 0))
        counts[first, second] += 1
    assert chisquare(counts[np.triu_indices(6, k=1)]).pvalue > 0.01


def test_a_draw_is_a_function_of_its_address_alone():
    positives = np.array([5])

    def draw(*address):
        return choose_classes(positives, 1000, 0.1, address=address).tolist()

    first = draw(3, 7, 1)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    assert draw(3, 7, 1) == first
    others = [draw(4, 7, 1), draw(3, 8, 1), draw(3, 7, 2), draw(7, 3, 1)]
    assert all(other != first for other in others), "seed, step and shard each matter"


def build(**changes):
    head = SampledHeadConfig(rate=0.3, **changes).build(num_classes=50, embedding_dim=4, seed=9)
    return head, torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6)


def drawn_by(head, embeddings, labels):
    """Return the classes that one step gave a gradient."""
    head.zero_grad()
    head(embeddings, labels).loss.backward()
    return head.class_centres.grad.coalesce().indices()[0].tolist()


def test_each_step_draws_anew_and_a_reloaded_head_goes_on_with_the_same_draws():
    head, embeddings, labels = build()
    draws = [drawn_by(head, embeddings, labels) for _ in range(3)]
    assert len({*map(tuple, draws)}) == 3
    assert all(len(drawn) == 15 and {*range(6)} <= {*drawn} for drawn in draws)
    reloaded = build()[0]
    reloaded.load_state_dict(head.state_dict())
    assert reloaded.num_draws == 3
    assert drawn_by(reloaded, embeddings, labels) == drawn_by(head, embeddings, labels)
    assert drawn_by(build()[0], embeddings, labels) == draws[0]


def test_another_seed_draws_others():
    head, embeddings, labels = build()
    other = SampledHeadConfig(rate=0.3).build(num_classes=50, embedding_dim=4, seed=10)
    assert drawn_by(other, embeddings, labels) != drawn_by(head, embeddings, labels)


def test_in_evaluation_all_classes_are_looked_at_and_nothing_is_drawn():
    head, embeddings, labels = build()
    whole = SampledHeadConfig(rate=1.0).build(num_classes=50, embedding_dim=4, seed=9)
    training = head(embeddings, labels).loss
    head.eval()
    assert torch.equal(head(embeddings, labels).loss, whole(embeddings, labels).loss)
    assert head(embeddings, labels).loss > training, "more classes to be mistaken for"
    assert head.num_draws == 1


@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_a_batch_of_one_person_and_no_others_drawn_has_nothing_to_tell_apart(rate):
    head = SampledHeadConfig(rate=rate).build(num_classes=50, embedding_dim=4)
    output = head(torch.randn(3, 4), torch.tensor([7, 7, 7]))
    output.loss.backward()
    assert output.loss == 0
    assert (head.class_centres.grad.to_dense() == 0).all()
