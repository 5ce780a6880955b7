"""A check reads everything once, in any number of processes, interrupted or not, and names what is broken."""

import functools
import json

import pytest

from marginface.errors import InputError
from marginface.loading import check as module
from marginface.loading.check import check
from marginface.records.open import open_records
from marginface.records.packed_write import write_packed
from tests.helpers.synthetic import write_faces


@pytest.fixture
def faces(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IMAGES_A_TASK", 5)
    folder = write_faces(tmp_path / "faces", num_identities=4, images_per_identity=6, size=24)
    (folder / "person_03/0001.jpg").write_bytes(b"words")
    cut = (folder / "person_01/0002.jpg").read_bytes()
    (folder / "person_01/0002.jpg").write_bytes(cut[: len(cut) // 2])
    return folder


BROKEN = ["person_01/0002.jpg", "person_03/0001.jpg"]


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_images_are_named_and_their_list_leaves_them_out(faces, tmp_path, workers):
    seen = []
    opener = functools.partial(open_records, f"folder:{faces}")
    found = check(
        opener, tmp_path / "out", num_workers=workers, progress=lambda done, total: seen.append((done, total))
    )
    assert list(found.broken) == BROKEN
    assert (found.num_images, found.formats, found.sizes) == (24, {"jpeg": 23, "unknown": 1}, {"24 x 24": 22})
    assert not found.is_sound
    assert seen[-1] == (24, 24)
    assert (tmp_path / "out/broken.txt").read_text().splitlines() == BROKEN
    assert json.loads((tmp_path / "out/check.json").read_text())["broken"] == found.broken
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["broken.txt", "check.json"]
    left = functools.partial(open_records, f"folder:{faces}?exclude={tmp_path}/out/broken.txt")
    assert check(left, tmp_path / "again", num_workers=0).is_sound


@pytest.mark.parametrize("torn", [b"", b'{"task": "ima'])
def test_an_interrupted_check_reads_nothing_twice(faces, tmp_path, monkeypatch, torn):
    opener = functools.partial(open_records, f"folder:{faces}")

    def stop_at(num):
        def stop(done, total):
            if done == num:
                raise KeyboardInterrupt

        return stop

    for num in (15, 20):
        with pytest.raises(KeyboardInterrupt):
            check(opener, tmp_path / "out", num_workers=0, progress=stop_at(num))
        with open(tmp_path / "out/journal.jsonl", "ab") as journal:
            journal.write(torn)  # the line that was being written when the power went
    looked = []
    real = module._look
    monkeypatch.setattr(module, "_look", lambda source, task, **rest: looked.append(task) or real(source, task, **rest))
    found = check(opener, tmp_path / "out", num_workers=0)
    assert looked == ["images 20 24"]
    assert (found.num_images, list(found.broken)) == (24, BROKEN)


def test_the_journal_of_another_source_is_refused(faces, tmp_path):
    (tmp_path / "out").mkdir()
    journal = tmp_path / "out/journal.jsonl"
    journal.write_text('{"source": "folder:elsewhere"}\n')
    with pytest.raises(InputError, match="belongs to an unfinished check of folder:elsewhere"):
        check(functools.partial(open_records, f"folder:{faces}"), tmp_path / "out", num_workers=0)
    journal.write_text("{\n")
    with pytest.raises(InputError, match=r"journal\.jsonl is damaged"):
        check(functools.partial(open_records, f"folder:{faces}"), tmp_path / "out", num_workers=0)


def test_checksums_of_a_packed_set_are_compared_whatever_is_left_out(faces, tmp_path):
    write_packed(open_records(f"folder:{faces}"), tmp_path / "packed")
    (tmp_path / "some.txt").write_text("\n".join(BROKEN))
    opener = functools.partial(open_records, f"packed:{tmp_path}/packed?exclude={tmp_path}/some.txt")
    found = check(opener, tmp_path / "out", num_workers=0)
    assert (found.is_sound, found.num_parts, found.num_images) == (True, 1, 22)
    with open(tmp_path / "packed/shard-00000.faces", "r+b") as file:
        file.seek(300)
        file.write(b"!")
    found = check(opener, tmp_path / "out", num_workers=0)
    assert "SHA-256" in found.faults[0]
    assert list(found.broken) == ["person_00/0000.jpg"]
    assert "CRC-32" in found.broken["person_00/0000.jpg"]
