"""Faces of many requests go through the model together, in one thread.

A face waits for others for `max_wait_seconds` at most, and only while the model has nothing to do: under load the next
batch gathers by itself while the last one runs.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from marginface.images.resize import fit
from marginface.models import FaceModel
from marginface.models.card import ModelCard
from marginface.models.face_embeddings import FaceEmbeddings, HasCrops
from marginface.serve.refusals import busy

Flip = Literal["none", "sum"]
Watch = Callable[[int], None]
"""Called with the number of faces of a batch."""
T = TypeVar("T")


@dataclass(eq=False)
class _Faces:
    """What one request waits for."""

    crops: npt.NDArray[np.uint8]
    """(n, S, S, 3) of the model's size."""
    flip: Flip
    answer: Future[npt.NDArray[np.float32]] = field(default_factory=Future)


@dataclass(eq=False)
class _Errand:
    """Something else that needs the model's thread."""

    run: Callable[[], Any]
    answer: Future[Any] = field(default_factory=Future)


class BatchedModel:
    """A `FaceModel` whose `embed` may be called from many threads at once, and is quickest then."""

    def __init__(
        self,
        model: FaceModel,
        *,
        max_batch: int = 32,
        max_wait_seconds: float = 0.002,
        max_faces_waiting: int = 2048,
        timeout_seconds: float = 30.0,
        watch: Watch = lambda faces: None,
    ) -> None:
        """Start the thread.

        Args:
            model: used by nobody else from now on.
            max_batch: faces that go through it together.
            max_wait_seconds: see the top of the file.
            max_faces_waiting: beyond it `embed` refuses.
            timeout_seconds: how long a caller waits.
            watch: called after each batch, in the model's thread.
        """
        self.model = model
        self.fingerprint = model.fingerprint  # read once: the weights do not change while they serve
        self._max_batch, self._max_wait_seconds = max_batch, max_wait_seconds
        self._max_faces_waiting, self._timeout_seconds, self._watch = max_faces_waiting, timeout_seconds, watch
        self._waiting: deque[_Faces | _Errand] = deque()
        self._num_faces = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def card(self) -> ModelCard:
        """The model's."""
        return self.model.card

    @property
    def num_waiting(self) -> int:
        """Faces that wait for the model."""
        return self._num_faces

    def embed(self, faces: HasCrops, *, flip: Flip = "sum") -> FaceEmbeddings:
        """Return what `FaceModel.embed` returns, up to the rounding of another batch.

        Raises:
            Refused: too many faces are waiting, or it took too long.
        """
        size = self.model.contract.input_size
        crops = [fit(crop, size=size, max_side=len(crop), name="face") for crop in faces.crops]
        vectors = np.empty((len(crops), self.model.embedding_dim), dtype=np.float32)
        if crops:
            job = _Faces(np.stack(crops), flip)
            vectors = self._wait_for(job, len(crops))
        return FaceEmbeddings(vectors=vectors, fingerprint=self.fingerprint, flip=flip)

    def run(self, function: Callable[[], T]) -> T:
        """Return what `function` returns, called in the model's thread between two batches.

        Raises:
            Refused: as for `embed`.
        """
        found: T = self._wait_for(_Errand(function), 0)
        return found

    def close(self) -> None:
        """Finish what is waiting and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _wait_for(self, job: _Faces | _Errand, num_faces: int) -> Any:
        with self._changed:
            if self._closed:
                raise busy("the service is stopping")
            if self._num_faces and self._num_faces + num_faces > self._max_faces_waiting:
                raise busy("too many faces are waiting")
            self._num_faces += num_faces
            self._waiting.append(job)
            self._changed.notify_all()
        try:
            return job.answer.result(self._timeout_seconds)
        except FutureTimeout:
            with self._changed:
                if job in self._waiting:
                    self._waiting.remove(job)
                    self._num_faces -= num_faces
            raise busy("the model had no time") from None

    def _work(self) -> None:
        while (jobs := self._next_jobs()) is not None:
            for job in jobs:
                if isinstance(job, _Errand):
                    _answer(job)
            for flip in ("none", "sum"):
                self._embed([job for job in jobs if isinstance(job, _Faces) and job.flip == flip], flip)

    def _next_jobs(self) -> list[_Faces | _Errand] | None:
        """Return jobs for one batch, None when the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            deadline = time.monotonic() + self._max_wait_seconds
            while self._num_faces < self._max_batch and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            jobs: list[_Faces | _Errand] = []
            num_faces = 0
            while self._waiting:
                coming = _num_faces_of(self._waiting[0])
                if jobs and num_faces + coming > self._max_batch:
                    break
                jobs.append(self._waiting.popleft())
                num_faces += coming
            self._num_faces -= num_faces
            return jobs

    def _embed(self, jobs: list[_Faces], flip: Flip) -> None:
        if not jobs:
            return
        try:
            crops = torch.from_numpy(np.concatenate([job.crops for job in jobs]))
            parts = []
            for part in crops.split(self._max_batch):
                parts.append(self.model.embed(part, flip=flip).cpu().numpy())
                self._watch(len(part))
            vectors = np.concatenate(parts)
        except BaseException as error:
            for job in jobs:
                job.answer.set_exception(error)
            return
        ends = np.cumsum([len(job.crops) for job in jobs])
        for job, rows in zip(jobs, np.split(vectors, ends[:-1]), strict=True):
            job.answer.set_result(rows)


def _num_faces_of(job: _Faces | _Errand) -> int:
    return len(job.crops) if isinstance(job, _Faces) else 0


def _answer(errand: _Errand) -> None:
    try:
        errand.answer.set_result(errand.run())
    except BaseException as error:
        errand.answer.set_exception(error)
