"""What the head keeps between steps, and what it must never keep."""

import copy
import pickle
import typing

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from marginface.config import load
from marginface.heads import HEADS, DenseHeadConfig
from marginface.heads import chunked_softmax as chunked
from marginface.heads.workspace import Workspace
from marginface.optim import SgdConfig


def _head_and_batch(memory="store"):
    head = DenseHeadConfig(memory=memory).build(num_classes=50, embedding_dim=8)
    return head, torch.randn(6, 8, requires_grad=True), torch.arange(6)


@pytest.mark.parametrize("kind", list(HEADS))
def test_registry_key_is_the_kind_of_its_config(kind):
    assert kind in typing.get_args(typing.get_type_hints(HEADS[kind])["kind"])
    assert HEADS[kind]().kind == kind


def test_gradient_memory_is_used_again_after_zero_grad():
    head, embeddings, labels = _head_and_batch()
    places = set()
    for _ in range(3):
        head.zero_grad()
        head(embeddings, labels).loss.backward()
        places.add(head.class_centres.grad.data_ptr())
    assert len(places) == 1


def test_gradient_memory_is_used_again_after_accumulation():
    head, embeddings, labels = _head_and_batch()
    places = set()
    for _ in range(3):
        head.zero_grad()
        for _ in range(2):
            head(embeddings, labels).loss.backward()
        places.add(head.class_centres.grad.data_ptr())
    assert len(places) == 1


def test_gradient_memory_is_never_shared_where_torch_does_not_count_its_users(monkeypatch):
    monkeypatch.delattr(torch._C, "_storage_Use_Count")
    head, embeddings, labels = _head_and_batch()
    head(embeddings, labels).loss.backward()
    held = head.class_centres.grad
    before = held.clone()
    head.zero_grad()
    head(2 * embeddings[:3], labels[:3]).loss.backward()
    assert torch.equal(held, before)


def test_recompute_stores_nothing_as_large_as_the_logits():
    for memory, stored in (("store", True), ("recompute", False)):
        head, embeddings, labels = _head_and_batch(memory)
        head(embeddings, labels).loss.backward()
        assert ("logits" in head._workspace._scratch) == stored


class _LargestNew(TorchDispatchMode):
    """Watches for memory that operations take anew; their `num_bytes` is that of the largest."""

    num_bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given, made = ([t for t in tree_leaves(x) if _is_dense(t)] for x in ((args, kwargs), result))
        places = {t.untyped_storage()._cdata for t in given}
        sizes = [t.untyped_storage().nbytes() for t in made if t.untyped_storage()._cdata not in places]
        self.num_bytes = max([self.num_bytes, *sizes])
        return result


def _is_dense(thing):
    return isinstance(thing, torch.Tensor) and not thing.is_sparse


@pytest.mark.parametrize(
    "case, fused, least, most",
    [
        ({"kind": "dense"}, False, 1.0, 1.0),  # the gradient
        ({"kind": "dense"}, True, 0.5, 0.5),  # the logits, 8 rows beside 16 dimensions
        ({"kind": "dense", "memory": "recompute"}, True, 0.0, 0.1),
        ({"kind": "sharded", "memory": "recompute", "sub_centres": 2, "spheres": {"count": 2}}, True, 0.0, 0.15),
        ({"kind": "sampled"}, False, 0.1, 0.1),  # the gradient of those drawn
        ({"kind": "sampled"}, True, 0.0, 0.06),
        ({"kind": "sampled", "unsampled": "decayed"}, False, 1.0, 1.0),
    ],
)
def test_the_largest_memory_a_step_takes_in_units_of_the_centres(case, fused, least, most, monkeypatch):
    monkeypatch.setattr(chunked, "FEWEST_PER_CHUNK", 64)
    monkeypatch.setattr(chunked, "ENTRIES_PER_CHUNK", 1)
    head = load(HEADS[case["kind"]], case).build(num_classes=4000, embedding_dim=16)
    if fused:
        head.fuse_update(SgdConfig().centre_rule())
    embeddings, labels = torch.randn(8, 16, requires_grad=True), torch.arange(8)
    with _LargestNew() as largest:
        head(embeddings, labels).loss.backward()
    assert least <= largest.num_bytes / (4 * head.class_centres.numel()) <= most


def test_nothing_is_stored_without_gradients():
    head, embeddings, labels = _head_and_batch()
    with torch.no_grad():
        head(embeddings, labels)
    assert "logits" not in head._workspace._scratch


def test_scratch_grows_and_is_cut_to_the_shape_asked_for():
    workspace, like = Workspace(), torch.zeros(1)
    first = workspace.scratch("a", (2, 3), like)
    larger = workspace.scratch("a", (4, 5), like)
    smaller = workspace.scratch("a", (3, 2), like)
    assert larger.shape == (4, 5)
    assert smaller.shape == (3, 2)
    assert smaller.data_ptr() == larger.data_ptr() != first.data_ptr()
    assert workspace.scratch("a", (2, 3), like.double()).dtype == torch.float64


def test_pickled_heads_carry_weights_and_no_buffers():
    head, embeddings, labels = _head_and_batch()
    before = len(pickle.dumps(head))
    head(embeddings, labels)
    after = pickle.dumps(head)
    assert len(after) == before
    assert torch.equal(pickle.loads(after)(embeddings, labels).loss, head(embeddings, labels).loss)


def test_copied_heads_get_buffers_of_their_own():
    head, embeddings, labels = _head_and_batch()
    head(embeddings, labels).loss.backward()
    twin = copy.deepcopy(head)
    assert twin._workspace is not head._workspace
    assert twin._workspace._gradient is None


def test_printing_a_head_tells_its_settings():
    text = str(_head_and_batch()[0])
    assert "num_classes=50, embedding_dim=8, scale=64.0, memory='store'" in text
    assert "margin=0.5, gradient='exact', past_pi='line'" in text
