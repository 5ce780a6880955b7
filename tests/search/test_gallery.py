"""What a gallery promises, in a file and on a server alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from marginface.errors import InputError, WorkError
from marginface.models.face_embeddings import FaceEmbeddings
from marginface.records.embedding_table import EmbeddingTable
from marginface.search.gallery import Gallery
from marginface.search.settings import EnrolmentPolicy
from tests.search.made_up import DIM, FINGERPRINT, faces_of, hand_over, new_gallery, open_gallery
from tests.search.test_names import HARMLESS

Place = Callable[[], str]


def _table(people: dict[str, np.ndarray], **changes: object) -> EmbeddingTable:
    vectors = np.concatenate(list(people.values()))
    labels = np.repeat(np.arange(len(people)), [len(v) for v in people.values()])
    return EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1).astype(np.float32),
        keys=tuple(f"{i}.jpg" for i in range(len(vectors))),
        labels=labels,
        identities=tuple(people),
        **({"fingerprint": FINGERPRINT, "meta": {"flip": "sum"}} | changes),  # type: ignore[arg-type]
    )


def _remove_and_fail(gallery: Gallery, name: str) -> None:
    with gallery.store.writing() as writer:
        person = writer.find(name)
        assert person is not None
        writer.remove(person.person_id, writer.log("remove", person.person_id, {"images": 2}))
        raise ZeroDivisionError


def test_who_is_enrolled_is_found_and_a_stranger_is_nobody(location: Place) -> None:
    with new_gallery(place := location()) as gallery:
        hand_over(gallery, 12)
    with open_gallery(place) as gallery:
        assert len(gallery) == 12
        results = gallery.search(np.concatenate([faces_of(i) for i in (5, 99)]), top_k=3, fmr=1e-4)
    known, stranger = results
    assert known.name == "person 5"
    assert known.score >= known.threshold == 0.7
    assert [c.rank for c in known.candidates] == [1, 2, 3]
    assert known.candidates[0].score > known.candidates[1].score > known.candidates[2].score
    assert known.point.num_people == 12
    assert stranger.name is None
    assert stranger.score < 0.7
    assert len(stranger.candidates) == 3


def test_both_places_give_the_same_scores(server: tuple[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    queries = np.concatenate([faces_of(i) for i in range(20)])
    answers = []
    for place in (str(tmp_path_factory.mktemp("same") / "team.db"), f"{server[0]}#same"):
        with new_gallery(place) as gallery:
            hand_over(gallery, 15)
            answers.append([r.candidates for r in gallery.search(queries, top_k=4)])
    assert answers[0] == answers[1]


def test_more_images_are_pooled_and_replaced_ones_are_gone(location: Place) -> None:
    first, second = faces_of(1, 3), faces_of(1, 5)[3:]
    with new_gallery(location()) as gallery:
        gallery.enrol("Ada", first)
        told = gallery.enrol("Ada", second)
        assert (told.num_images, told.images_in_all) == (2, 5)
        pooled = np.concatenate([first, second]).sum(axis=0)
        score = gallery.search(pooled)[0].score
        assert score == pytest.approx(1.0, abs=1e-6), "weighted by norm, a template is the sum of raw embeddings"
        gallery.enrol("Ada", second, replace=True)
        assert gallery.search(second.sum(axis=0))[0].score == pytest.approx(1.0, abs=1e-6)
        assert gallery.people()[0].num_images == 2
        assert gallery.audit().problems == ()


def test_names_of_any_kind_are_stored_as_they_are(location: Place) -> None:
    with new_gallery(location()) as gallery:
        for i, name in enumerate(HARMLESS):
            gallery.enrol(name, faces_of(i))
        assert [gallery.search(faces_of(i))[0].name for i in range(len(HARMLESS))] == HARMLESS
        gallery.remove(*HARMLESS)
        assert len(gallery) == 0
        assert gallery.audit().problems == ()


def test_poor_images_are_left_out_and_named(location: Place) -> None:
    with new_gallery(location(), policy=EnrolmentPolicy(minimum_quality=15.0)) as gallery:
        good, poor = faces_of(1, 2), faces_of(1, 1) / 3
        told = gallery.enrol("Ada", np.concatenate([good[:1], poor, good[1:]]))
        assert told.too_poor == (1,)
        assert told.images_in_all == 2
        with pytest.raises(InputError, match=r"none of 1 images reaches quality 15 \(norm\)"):
            gallery.enrol("Bob", poor)
        assert len(gallery) == 1


def test_a_quality_method_wants_its_values(location: Place) -> None:
    with new_gallery(location(), quality="sharpness") as gallery:
        with pytest.raises(InputError, match="'sharpness'"):
            gallery.enrol("Ada", faces_of(1, 2))
        rows = np.eye(DIM, dtype=np.float32)[:2]
        gallery.enrol("Ada", rows, qualities=[3.0, 1.0])
        scores = [r.score for r in gallery.search(rows)]
        assert scores[0] == pytest.approx(3 * scores[1])


def test_the_same_person_under_another_name_is_refused_unless_allowed(location: Place) -> None:
    with new_gallery(location()) as gallery:
        gallery.enrol("Ada", faces_of(1, 2))
        with pytest.raises(InputError, match="look like 'Ada'"):
            gallery.enrol("Bob", faces_of(1, 4)[2:])
        assert len(gallery) == 1
        gallery.enrol("Bob", faces_of(1, 4)[2:], allow_duplicate=True)
        assert len(gallery) == 2
        gallery.enrol("Ada", faces_of(7, 1), replace=True)  # nobody looks like the new Ada


def test_a_table_is_enrolled_by_its_identities_and_refusals_are_told(location: Place) -> None:
    seen: list[tuple[int, int]] = []
    with new_gallery(location()) as gallery:
        people = {"Ada": faces_of(1, 2), "Bob": faces_of(2, 3), "Ada again": faces_of(1, 4)[2:]}
        told = gallery.enrol_table(_table(people), progress=lambda done, total: seen.append((done, total)))
        assert [one.duplicate_of for one in told] == [None, None, "Ada"]
        assert [p.name for p in gallery.people()] == ["Ada", "Bob"]
        assert seen == [(3, 3)]
        found = gallery.search(_table({"?": faces_of(2)}))
        assert found[0].name == "Bob"


def test_vectors_of_another_model_are_refused_with_the_way_out(location: Place) -> None:
    with new_gallery(place := location()) as gallery:
        for given in (
            _table({"Ada": faces_of(1)}, fingerprint="f" * 16),
            FaceEmbeddings(vectors=faces_of(1), fingerprint="f" * 16, flip="sum"),
        ):
            with pytest.raises(InputError, match=f"made up .{FINGERPRINT}., not of this model .ffffffffffffffff"):
                gallery.search(given)
        with pytest.raises(InputError, match="flip"):
            gallery.enrol("Ada", FaceEmbeddings(vectors=faces_of(1), fingerprint=FINGERPRINT, flip="none"))
    with pytest.raises(InputError, match="No crops were kept, so make a gallery"):
        Gallery(place, model="f" * 16)
    with Gallery(place) as gallery, pytest.raises(InputError, match="do not say which model"):
        gallery.search(faces_of(1))


@pytest.mark.parametrize(
    ("words", "vectors"),
    [
        (f"takes .n, {DIM}.", np.ones((2, DIM + 1))),
        ("not finite", np.full((1, DIM), np.nan)),
        ("zero or not finite", np.zeros((1, DIM))),
        ("takes", np.ones((2, 2, DIM))),
    ],
)
def test_vectors_that_are_none(words: str, vectors: np.ndarray, location: Place) -> None:
    with new_gallery(location()) as gallery:
        with pytest.raises(InputError, match=words):
            gallery.enrol("Ada", vectors)
        with pytest.raises(InputError, match=words):
            gallery.search(vectors)


def test_removing_somebody_unknown_removes_nobody(location: Place) -> None:
    with new_gallery(location()) as gallery:
        hand_over(gallery, 2)
        with pytest.raises(InputError, match="'nobody' is not enrolled"):
            gallery.remove("person 0", "nobody")
        assert len(gallery) == 2
        assert gallery.search(faces_of(0))[0].name == "person 0"
        assert gallery.audit().problems == ()


def test_a_second_writer_hears_one_sentence_and_may_try_again(location: Place) -> None:
    with new_gallery(place := location()) as first, open_gallery(place, timeout_seconds=0.1) as second:
        with first.store.writing(), pytest.raises(WorkError, match="another process is writing"):
            second.enrol("Bob", faces_of(2))
        second.enrol("Bob", faces_of(2))
        assert first.search(faces_of(2))[0].name == "Bob", "what one writes the other sees"


def test_a_change_that_fails_leaves_nothing(location: Place) -> None:
    with new_gallery(place := location()) as gallery:
        hand_over(gallery, 3)
        with pytest.raises(ZeroDivisionError):
            _remove_and_fail(gallery, "person 1")
        assert gallery.search(faces_of(1))[0].name == "person 1"
    with open_gallery(place) as gallery:
        assert gallery.search(faces_of(1))[0].name == "person 1"
        assert gallery.audit().problems == ()


def test_the_audit_log_cannot_be_changed_by_statements(location: Place) -> None:
    with new_gallery(location()) as gallery:
        hand_over(gallery, 1)
        for statement in ("UPDATE audit SET event = 'x'", "DELETE FROM audit"):
            with pytest.raises(Exception, match="only grows"):
                gallery.store._db.execute(statement)  # type: ignore[attr-defined]
        assert len(gallery.store.entries()) == 2


def test_a_log_tampered_with_by_force_is_found(location: Place) -> None:
    with new_gallery(place := location()) as gallery:
        hand_over(gallery, 3)
        anchor = gallery.audit().digest
        db = gallery.store._db  # type: ignore[attr-defined]
        for trigger in ("audit_is_not_changed", "audit_is_not_cut", "audit_only_grows ON audit"):
            if ("ON" in trigger) == place.startswith("postgresql"):
                db.execute(f"DROP TRIGGER {trigger}")
        db.execute("DELETE FROM audit WHERE sequence = 4")
        assert any("person 2" in problem for problem in gallery.audit().problems)
        assert any("cut or written anew" in problem for problem in gallery.audit(anchor=anchor).problems)
        db.execute('UPDATE audit SET detail = \'{"images": 9, "images_in_all": 9}\' WHERE sequence = 2')
        assert any("entry 2 was changed" in problem for problem in gallery.audit().problems)


def test_an_empty_gallery_knows_nobody(location: Place) -> None:
    with new_gallery(location()) as gallery:
        result = gallery.search(faces_of(1), top_k=5)[0]
        assert result.name is None
        assert result.candidates == ()
        assert gallery.audit().problems == ()


def test_a_gallery_is_made_once(location: Place) -> None:
    new_gallery(place := location()).close()
    with pytest.raises(InputError, match="already"):
        new_gallery(place)


def test_there_is_no_gallery_yet(location: Place) -> None:
    with pytest.raises(InputError, match="no gallery here"):
        Gallery(location(), model=FINGERPRINT)
