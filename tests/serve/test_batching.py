"""Faces of many callers go through the model together, and each gets its own back."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from marginface.serve.batching import BatchedModel
from marginface.serve.refusals import Refused
from tests.helpers.photographs import colours


def crops(number: int, *, seed: int = 0) -> SimpleNamespace:
    rng = np.random.default_rng(seed)
    return SimpleNamespace(crops=rng.integers(0, 256, (number, 112, 112, 3), dtype=np.uint8))


class Held:
    """Holds the model's thread until told to let go."""

    def __init__(self, model: BatchedModel) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, args=[model])
        self.thread.start()
        assert self.begun.wait(5)

    def _run(self, model: BatchedModel) -> None:
        with contextlib.suppress(Refused):  # where the test lets it wait too long
            model.run(self._wait)

    def _wait(self) -> None:
        self.begun.set()
        assert self.let_go.wait(10)

    def end(self) -> None:
        self.let_go.set()
        self.thread.join()


def test_each_caller_gets_what_the_model_alone_would_give() -> None:
    sizes: list[int] = []
    model = BatchedModel(colours(), max_batch=8, watch=sizes.append)
    asked = [(crops(1 + i % 11, seed=i), "sum" if i % 3 else "none") for i in range(60)]
    with ThreadPoolExecutor(16) as threads:
        told = list(threads.map(lambda one: model.embed(one[0], flip=one[1]), asked))
    model.close()
    alone = colours()
    for (faces, flip), answer in zip(asked, told, strict=True):
        np.testing.assert_allclose(answer.vectors, alone.embed(torch.from_numpy(faces.crops), flip=flip), atol=1e-5)
        assert (answer.flip, answer.fingerprint) == (flip, alone.fingerprint)
    assert max(sizes) <= 8
    assert sum(sizes) == sum(len(faces.crops) for faces, _ in asked)


def test_those_who_wait_go_together() -> None:
    sizes: list[int] = []
    model = BatchedModel(colours(), max_batch=8, watch=sizes.append)
    held = Held(model)
    with ThreadPoolExecutor(12) as threads:
        waiting = [threads.submit(model.embed, crops(1, seed=i)) for i in range(12)]
        while model.num_waiting < 12:
            pass
        held.end()
        assert all(one.result().vectors.shape == (1, 108) for one in waiting)
    model.close()
    assert sizes == [8, 4]


def test_too_many_faces_are_refused_and_so_is_waiting_too_long() -> None:
    model = BatchedModel(colours(), max_faces_waiting=4, timeout_seconds=0.3)
    held = Held(model)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(model.embed, crops(3))
        while model.num_waiting < 3:
            pass
        with pytest.raises(Refused, match="too many faces are waiting"):
            model.embed(crops(2))
        with pytest.raises(Refused, match="the model had no time"):
            waiting.result()
    assert model.num_waiting == 0
    held.end()
    assert model.embed(crops(6)).vectors.shape == (6, 108)  # alone, any number of faces is served
    model.close()


def test_a_failure_reaches_its_caller_and_the_next_one_is_served() -> None:
    model = BatchedModel(colours())

    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        model.run(fails)
    assert len(model.embed(crops(2))) == 2
    assert len(model.embed(crops(0))) == 0
    model.close()
    with pytest.raises(Refused, match="is stopping"):
        model.embed(crops(1))
