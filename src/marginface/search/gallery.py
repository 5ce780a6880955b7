"""A gallery: people enrolled with one model, to be found again.

gallery = Gallery("team.db", model=model)
gallery.enrol("alice", vectors)
hits = gallery.search(vectors, fmr=1e-4)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.models.face_embeddings import FaceEmbeddings
from marginface.models.face_model import FaceModel
from marginface.records.embedding_table import EmbeddingTable
from marginface.search.approximate import IndexConfig, Recall, measure_recall, queries_at
from marginface.search.audit_log import check_chain, clock_steps, counted_images
from marginface.search.enrolment import Applicant, Enrolment, admit, make_applicant, make_samples
from marginface.search.names import clean_name
from marginface.search.open_store import create_store, exists, open_store
from marginface.search.operating_point import search_point
from marginface.search.results import AuditReport, Removal, SearchResult
from marginface.search.settings import Candidate, EnrolmentPolicy, GallerySettings, Person, new_id

DEFAULT_FMR = 1e-4
PEOPLE_A_WRITE = 256
"""People enrolled from a table in one transaction: each costs a wait for the disk."""

Progress = Callable[[int, int], None]
"""Called with (people done, people in all)."""


class Gallery:
    """People and their templates in a file `team.db`, or on a server `postgresql://...`.

    Safe for threads; many processes may read while one writes.
    """

    def __init__(
        self, location: str | Path, *, model: FaceModel | str | None = None, timeout_seconds: float = 5.0
    ) -> None:
        """Open a gallery; with a `FaceModel` it is made where there is none.

        Args:
            location: path of the database, or the address of a PostgreSQL server.
            model: what makes the vectors, or its fingerprint. Without it a gallery can be listed, audited, exported and
                people be removed, but bare vectors are refused, for nobody knows whose they are.
            timeout_seconds: how long to wait while another process writes.

        Raises:
            InputError: no gallery and no model to make one; a gallery of another model.
            WorkError: the gallery is damaged.
        """
        if isinstance(model, FaceModel) and not exists(location):
            create_store(location, _settings_for(model), timeout_seconds=timeout_seconds).close()
        self.store = open_store(location, timeout_seconds=timeout_seconds)
        self._model_is_known = model is not None
        self._recall: float | None = None
        if model is not None:
            try:
                self._check_fingerprint(model if isinstance(model, str) else model.fingerprint)
            except InputError:
                self.close()
                raise

    @classmethod
    def create(
        cls,
        location: str | Path,
        model: FaceModel,
        *,
        policy: EnrolmentPolicy | None = None,
        quality: str = "norm",
        flip: Literal["none", "sum"] = "sum",
        model_folder: str = "",
        timeout_seconds: float = 5.0,
    ) -> Gallery:
        """Make an empty gallery, bound to `model` for ever.

        Args:
            location: where; nothing may be there.
            model: of all vectors to come.
            policy: who and what may come in.
            quality: "norm", or the name of a method whose values will come with the vectors.
            flip: of all vectors to come.
            model_folder: where the model lies, for verbs to find it.
            timeout_seconds: as for opening.
        """
        settings = _settings_for(model, policy=policy, quality=quality, flip=flip, model_folder=model_folder)
        create_store(location, settings, timeout_seconds=timeout_seconds).close()
        return cls(location, model=settings.fingerprint, timeout_seconds=timeout_seconds)

    @property
    def settings(self) -> GallerySettings:
        """What the gallery is bound to."""
        return self.store.settings

    def people(self) -> list[Person]:
        """Return everybody, by name."""
        return self.store.people()

    def __len__(self) -> int:
        return self.store.num_people()

    def enrol(
        self,
        name: str,
        vectors: npt.ArrayLike | FaceEmbeddings,
        *,
        qualities: npt.ArrayLike | None = None,
        crops: Sequence[bytes] | None = None,
        replace: bool = False,
        allow_duplicate: bool = False,
    ) -> Enrolment:
        """Add images of a person, new or known; when this returns, they are on the disk.

        Args:
            name: of the person.
            vectors: embeddings of the gallery's model, as `model.embed` gives them; or (D,) or (n, D), not normalised.
            qualities: (n,) where the gallery's quality is not the norm.
            crops: (n,) PNG or JPEG files of the aligned crops, kept if the policy says so.
            replace: instead of the images that the person has.
            allow_duplicate: though somebody with another name looks alike.

        Raises:
            InputError: no image is good enough, the person is enrolled under another name, vectors of another kind.
            WorkError: another process kept writing, or the disk is full; nothing was added then.
        """
        applicant = make_applicant(self.settings, clean_name(name), self._checked(vectors), qualities, crops)
        (enrolment,) = self._admit([applicant], replace=replace, allow_duplicates=allow_duplicate)
        if enrolment.refusal:
            raise InputError(enrolment.refusal)
        return enrolment

    def enrol_table(
        self,
        table: EmbeddingTable,
        *,
        qualities: npt.ArrayLike | None = None,
        replace: bool = False,
        allow_duplicates: bool = False,
        progress: Progress | None = None,
    ) -> list[Enrolment]:
        """Enrol every identity of a table; those who are refused are in the answer with the reason.

        Raises:
            InputError: a table of another model or flip policy, or a name that cannot be used.
        """
        self._checked(table)
        given = None if qualities is None else np.asarray(qualities, dtype=np.float32)
        names = [clean_name(identity) for identity in table.identities]
        if len(set(names)) < len(names):
            raise InputError("two identities of the table have the same name once written in Unicode's composed form.")
        order = np.argsort(table.labels, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(table.labels[order])) + 1) if len(order) else []
        done: list[Enrolment] = []
        for first in range(0, len(groups), PEOPLE_A_WRITE):
            applicants = [
                make_applicant(
                    self.settings,
                    names[table.labels[rows[0]]],
                    table.vectors[rows],
                    None if given is None else given[rows],
                )
                for rows in groups[first : first + PEOPLE_A_WRITE]
            ]
            done += self._admit(applicants, replace=replace, allow_duplicates=allow_duplicates)
            if progress is not None:
                progress(len(done), len(groups))
        return done

    def search(
        self,
        vectors: npt.ArrayLike | FaceEmbeddings | EmbeddingTable,
        *,
        top_k: int = 1,
        fmr: float | None = None,
        fpir: float | None = None,
        threshold: float | None = None,
    ) -> list[SearchResult]:
        """Return for each vector who it is, or nobody.

        Args:
            vectors: embeddings of the gallery's model, or a table of them; or (D,) or (Q, D), not normalised.
            top_k: candidates a vector.
            fmr: false match rate of a comparison that the threshold keeps; 1e-4 if none of the three is given.
            fpir: chance that a stranger gets a name, instead.
            threshold: a cosine, instead.

        Raises:
            InputError: vectors of another kind, or no such threshold on the model's card.
        """
        if top_k < 1:
            raise InputError(f"top_k is {top_k}; ask for at least one candidate.")
        if fmr is None and fpir is None and threshold is None:
            fmr = DEFAULT_FMR
        queries = make_samples(self.settings, self._checked(vectors)).unit
        found, names = self.store.search(queries, top_k)
        point = search_point(self.settings.thresholds, self.store.num_people(), fmr=fmr, fpir=fpir, threshold=threshold)
        point = dataclasses.replace(point, recall=self._recall)
        results = []
        for rows, scores in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
            candidates = tuple(
                Candidate(rank, names[row], score)
                for rank, (row, score) in enumerate(zip(rows, scores, strict=True), start=1)
                if row >= 0
            )
            best = candidates[0].score if candidates else -np.inf
            name = candidates[0].name if best >= point.threshold else None
            results.append(SearchResult(name, best, point.threshold, candidates, point))
        return results

    def remove(self, *names: str) -> list[Removal]:
        """Erase people everywhere: names, vectors and crops; the audit log keeps a random id and counts.

        When this returns, the slots have been read back as zeros.

        Raises:
            InputError: somebody is not enrolled; nobody is removed then.
        """
        removed = []
        with self.store.writing() as writer:
            for name in map(clean_name, names):
                person = writer.find(name)
                if person is None:
                    raise InputError(f"{self.store.location}: {name!r} is not enrolled here; nobody was removed.")
                sequence = writer.log("remove", person.person_id, {"images": person.num_images})
                writer.remove(person.person_id, sequence)
                removed.append(Removal(person.person_id, person.num_images, sequence))
        return removed

    def build_index(
        self, config: IndexConfig, *, fmr: float = DEFAULT_FMR, threshold: float | None = None, num_queries: int = 1000
    ) -> Recall:
        """Build an approximate index, which later searches of this object use, and return its measured recall.

        People enrolled later are searched exactly beside it. With a file the index lives in memory, as long as this
        object; a server builds it once and keeps it.

        Args:
            config: of the index.
            fmr: the recall is measured with faces that score just the threshold of this rate.
            threshold: that score itself, for cards without thresholds.
            num_queries: random faces, one each for at most so many people.

        Raises:
            InputError: nobody is enrolled, or the extra is not installed.
        """
        self.store.build_index(config)
        if threshold is None:
            threshold = search_point(self.settings.thresholds, len(self), fmr=fmr).threshold
        people = self.people()
        chosen = np.random.default_rng(0).permutation(len(people))[:num_queries]
        templates = np.stack([self.store.template(people[i].person_id) for i in chosen])
        recall = measure_recall(
            lambda queries, exact: self.store.search(queries, 1, exact=exact),
            queries_at(threshold, templates),
            score=threshold,
        )
        self._recall = recall.value
        return recall

    def audit(self, *, anchor: str = "") -> AuditReport:
        """Check the chain of the log, the log against the people, and every stored vector.

        Args:
            anchor: a digest that an earlier audit gave.
        """
        entries, people = self.store.entries(), self.people()
        wrong = [*self.store.problems(), *check_chain(entries, anchor=anchor)]
        logged = counted_images(entries)
        for person in people:
            count = logged.pop(person.person_id, 0)
            if count != person.num_images:
                wrong.append(f"{person.name!r} has {person.num_images} images, but the audit log knows of {count}.")
        wrong += [f"person {person_id} is missing: the audit log knows of no removal." for person_id in logged]
        return AuditReport(
            tuple(wrong),
            len(people),
            sum(person.num_images for person in people),
            len(entries),
            entries[-1].digest if entries else "",
            tuple(clock_steps(entries)),
        )

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _admit(self, applicants: list[Applicant], *, replace: bool, allow_duplicates: bool) -> list[Enrolment]:
        with self.store.writing() as writer:
            return admit(self.store, writer, applicants, replace=replace, allow_duplicates=allow_duplicates)

    def _checked(self, vectors: npt.ArrayLike | FaceEmbeddings | EmbeddingTable) -> npt.ArrayLike:
        """Return the bare vectors of what came, once it is known that this gallery's model made them."""
        if not isinstance(vectors, FaceEmbeddings | EmbeddingTable):
            if not self._model_is_known:
                raise InputError(
                    f"{self.store.location}: bare vectors do not say which model made them; open the gallery with "
                    "`model=` (the model or its fingerprint), or give an embedding table."
                )
            return vectors
        self._check_fingerprint(vectors.fingerprint)
        ours = self.settings.flip
        flip = vectors.flip if isinstance(vectors, FaceEmbeddings) else vectors.meta.get("flip", ours)
        if flip != ours:
            raise InputError(f"these vectors were made with flip {flip!r}, this gallery's with {ours!r}; embed again.")
        return vectors.vectors

    def _check_fingerprint(self, fingerprint: str) -> None:
        if fingerprint != self.settings.fingerprint:
            ours = self.settings
            way_out = (
                "`marginface gallery reembed` makes a gallery of another model from the crops that were kept"
                if ours.policy.keep_crops
                else "no crops were kept, so make a gallery with the other model and enrol the photographs again"
            )
            raise InputError(
                f"{self.store.location} holds vectors of {ours.model} ({ours.fingerprint}), not of this model "
                f"({fingerprint}): the two cannot be compared. {way_out[0].upper()}{way_out[1:]}."
            )


def _settings_for(
    model: FaceModel,
    *,
    policy: EnrolmentPolicy | None = None,
    quality: str = "norm",
    flip: Literal["none", "sum"] = "sum",
    model_folder: str = "",
) -> GallerySettings:
    return GallerySettings(
        gallery_id=new_id(),
        fingerprint=model.fingerprint,
        embedding_dim=model.embedding_dim,
        model=model.name,
        model_folder=model_folder,
        flip=flip,
        quality=quality,
        thresholds=tuple(t for t in model.card.thresholds if t.flip == flip),
        policy=policy or EnrolmentPolicy(),
    )
