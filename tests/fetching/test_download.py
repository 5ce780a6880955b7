"""One file over a connection that breaks, a server with odd manners, a full disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marginface.errors import InputError, WorkError
from marginface.fetching import download as download_module
from marginface.fetching.download import download
from marginface.fetching.registry import PublicFile

CONTENT = np.random.default_rng(0).bytes(300_000)  # several chunks of 65,536


def quiet(what: str, done: int, total: int) -> None:
    pass


def the_file(address: str, content: bytes = CONTENT, *, checksum: str | None = None, sized: bool = False) -> PublicFile:
    return PublicFile(
        role="photographs",
        name="faces.tgz",
        address=address,
        checksum=checksum or f"sha256:{hashlib.sha256(content).hexdigest()}",
        num_bytes=len(content) if sized else None,
    )


def bring(file: PublicFile, folder: Path, **how) -> Path:
    return download(file, folder, **{"progress": quiet, "attempts": 2, "pause_seconds": 0.0, **how})


def leave_a_part(file: PublicFile, folder: Path, server, num_bytes: int) -> None:
    """What a download that was killed after `num_bytes` leaves behind."""
    served = server.files["/faces.tgz"]
    served.break_after = [0, 0, 0]
    with pytest.raises(WorkError):
        bring(file, folder)
    served.break_after = []
    (folder / "faces.tgz.part").write_bytes(served.content[:num_bytes])
    server.asked.clear()


def test_a_download_is_verified_put_in_place_and_not_repeated(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT), sized=True)
    path = bring(file, tmp_path)
    assert path.read_bytes() == CONTENT
    assert bring(file, tmp_path) == path
    assert len(server.asked) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["faces.tgz"]


def test_a_connection_that_breaks_is_taken_up_again_where_it_broke(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT, break_after=[150_000, 100_000]))
    assert bring(file, tmp_path).read_bytes() == CONTENT
    assert [wanted is not None for _, wanted in server.asked] == [False, True, True]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(num_bytes=st.integers(0, len(CONTENT)), knows_ranges=st.booleans(), validator=st.booleans())
def test_killed_at_any_byte_and_resumed_gives_the_same_file(server, tmp_path, num_bytes, knows_ranges, validator):
    folder = tmp_path / "one"
    shutil.rmtree(folder, ignore_errors=True)
    how = {"knows_ranges": knows_ranges, "validator": validator}
    file = the_file(server.serve("/faces.tgz", CONTENT, **how))
    leave_a_part(file, folder, server, num_bytes)
    assert bring(file, folder).read_bytes() == CONTENT
    expected = [] if num_bytes == len(CONTENT) else [("/faces.tgz", f"bytes={num_bytes}-" if num_bytes else None)]
    assert server.asked == expected
    assert [p.name for p in folder.iterdir()] == ["faces.tgz"]


def test_a_file_that_changed_on_the_server_is_not_glued_to_the_old_part(server, tmp_path):
    changed = CONTENT[::-1]
    address = server.serve("/faces.tgz", CONTENT)
    leave_a_part(the_file(address), tmp_path, server, 100_000)
    server.serve("/faces.tgz", changed)
    assert bring(the_file(address, changed), tmp_path).read_bytes() == changed


def test_a_part_without_its_note_or_of_another_address_is_begun_anew(server, tmp_path):
    (tmp_path / "faces.tgz.part").write_bytes(b"left by something else")
    assert bring(the_file(server.serve("/faces.tgz", CONTENT)), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/faces.tgz", None)]


def test_a_part_longer_than_the_file_is_begun_anew(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT))
    leave_a_part(file, tmp_path, server, 10)
    (tmp_path / "faces.tgz.part").write_bytes(CONTENT + b"!")
    assert bring(file, tmp_path).read_bytes() == CONTENT


def test_a_range_past_the_end_is_answered_by_beginning_anew(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT))
    (tmp_path / "faces.tgz.part").write_bytes(CONTENT + b"!")
    note = {"address": file.address, "validator": None, "total": None}  # nobody knows that the part is too long
    (tmp_path / "faces.tgz.part.json").write_text(json.dumps(note))
    assert bring(file, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/faces.tgz", f"bytes={len(CONTENT) + 1}-"), ("/faces.tgz", None)]


def test_a_server_that_does_not_say_the_length_is_no_trouble(server, tmp_path):
    told = []
    file = the_file(server.serve("/faces.tgz", CONTENT, sends_length=False))
    assert bring(file, tmp_path, progress=lambda *a: told.append(a)).read_bytes() == CONTENT
    assert told == [("faces.tgz", len(CONTENT), len(CONTENT))]


def test_wrong_bytes_are_put_aside_and_the_sentence_names_expected_and_got(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT), checksum="sha256:" + "0" * 64)
    with pytest.raises(WorkError) as caught:
        bring(file, tmp_path)
    message = str(caught.value)
    for word in ("0" * 64, hashlib.sha256(CONTENT).hexdigest(), "faces.tgz.damaged"):
        assert word in message
    assert [p.name for p in tmp_path.iterdir()] == ["faces.tgz.damaged"]


def test_md5_is_accepted_where_only_that_is_published(server, tmp_path):
    checksum = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert bring(the_file(server.serve("/faces.tgz", CONTENT), checksum=checksum), tmp_path).exists()


def test_another_size_than_the_registry_has_is_refused_before_it_is_downloaded(server, tmp_path):
    address = server.serve("/faces.tgz", b"<html>moved</html>")
    with pytest.raises(WorkError, match=r"offers 18 bytes where faces.tgz has 300,000"):
        bring(the_file(address, sized=True), tmp_path)


def test_a_damaged_file_on_disk_is_downloaded_again(server, tmp_path):
    (tmp_path / "faces.tgz").write_bytes(b"damaged")
    assert bring(the_file(server.serve("/faces.tgz", CONTENT)), tmp_path).read_bytes() == CONTENT


def test_a_file_saved_by_hand_is_used_without_asking_the_server(server, tmp_path):
    (tmp_path / "faces.tgz").write_bytes(CONTENT)
    bring(the_file(server.serve("/faces.tgz", CONTENT)), tmp_path)
    assert server.asked == []


def test_without_a_recorded_checksum_the_first_download_is_trusted_and_held_to(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT), checksum="unrecorded")
    path = bring(file, tmp_path)
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / "faces.tgz.sha256").read_text() == f"{digest}  faces.tgz\n"

    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(InputError, match="not the one that was first downloaded"):
        bring(file, tmp_path)

    path.unlink()
    server.serve("/faces.tgz", CONTENT[::-1])
    with pytest.raises(WorkError, match=r"delete faces\.tgz\.sha256 to accept"):
        bring(file, tmp_path)
    assert not path.exists()


def test_a_spoilt_note_of_the_first_download_is_refused_by_name(tmp_path):
    (tmp_path / "faces.tgz.sha256").write_text("spoilt")
    with pytest.raises(InputError, match=r"faces\.tgz\.sha256: this file should begin with a SHA-256"):
        bring(the_file("http://127.0.0.1:9/faces.tgz", checksum="unrecorded"), tmp_path)


def test_without_checksum_and_validator_a_part_is_never_gone_on_with(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT, validator=False), checksum="unrecorded")
    leave_a_part(file, tmp_path, server, 100_000)
    assert bring(file, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/faces.tgz", None)]


def test_no_network_is_one_sentence_and_what_came_is_kept(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT, break_after=[200_000, 0, 0]))
    with pytest.raises(WorkError, match=r"no lasting connection to 127.0.0.1:\d+; [\d,]+ bytes are kept"):
        bring(file, tmp_path)
    assert (tmp_path / "faces.tgz.part").stat().st_size >= 131_072

    nobody = the_file("http://127.0.0.1:9/faces.tgz")  # the discard port: nothing listens
    with pytest.raises(WorkError, match="nothing has come yet; is there a network"):
        bring(nobody, tmp_path / "other")


def test_a_refusing_server_is_named_with_its_answer_and_the_way_round_it(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", b"", status=403))
    with pytest.raises(WorkError, match=r"answered 403 Forbidden; .* save faces.tgz by other means"):
        bring(file, tmp_path)


def test_a_disk_too_small_is_said_before_the_first_byte(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(WorkError, match=r"the disk is full, faces\.tgz does not fit"):
        bring(the_file(server.serve("/faces.tgz", CONTENT)), tmp_path)


def test_a_disk_that_fills_up_is_one_sentence_and_the_next_run_goes_on(server, tmp_path):
    file = the_file(server.serve("/faces.tgz", CONTENT))

    def fills_up(what: str, done: int, total: int) -> None:
        if done > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(WorkError, match="the disk is full"):
        bring(file, tmp_path, progress=fills_up)
    server.asked.clear()
    assert bring(file, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/faces.tgz", "bytes=131072-")]


def test_a_kill_at_any_moment_would_leave_nothing_but_the_part_and_its_note(server, tmp_path):
    seen: set[str] = set()
    file = the_file(server.serve("/faces.tgz", CONTENT))
    bring(file, tmp_path, progress=lambda *_: seen.update(p.name for p in tmp_path.iterdir()))
    assert seen == {"faces.tgz.part", "faces.tgz.part.json"}


def test_progress_counts_every_byte_up_to_the_total(server, tmp_path):
    told: list[tuple[str, int, int]] = []
    bring(the_file(server.serve("/faces.tgz", CONTENT)), tmp_path, progress=lambda *a: told.append(a))
    assert len(told) == 5
    assert told[-1] == ("faces.tgz", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
