"""What nobody should send is refused with a 4xx and a sentence, or stored harmlessly."""

from __future__ import annotations

import contextlib
import struct
import zlib

import httpx
import pytest

from tests.serve.made_up import ADA, BOB, GROUP, STRANGER, enrol, files, found


def png_of(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG file with this header and these pixels, however many they are."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BOMB = png_of(20_000, 20_000, zlib.compress(bytes(100_000_000), 9))
HUGE = png_of(50_000, 50_000, b"")
LYING = png_of(64, 64, zlib.compress(bytes(100_000_000), 9))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize("route", ["detect", "embed", "quality", "search", "enrol"])
@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (BOMB, "pixels are more than"),
        (HUGE, "50,000 x 50,000 pixels are more than"),
        (SVG, "is an SVG drawing"),
        (b"", "is empty"),
        (b"GIF89a", "photograph 1"),
        (ADA[: len(ADA) // 2], "photograph 1"),
    ],
    ids=["bomb", "huge", "svg", "empty", "gif header", "cut"],
)
def test_no_photograph_breaks_it(shared, route: str, photo: bytes, words: str) -> None:
    told = shared.post(f"/v1/{route}", data={"name": "x"}, files=files(photo))
    assert told.status_code == 422
    assert words in told.json()["detail"]
    assert shared.get("/health").status_code == 200


def test_more_pixels_in_the_file_than_its_header_says_do_no_harm(shared) -> None:
    assert shared.post("/v1/detect", files=files(LYING)).status_code in (200, 422)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_hundred_megabytes_are_refused_before_they_are_read(shared, declared: bool) -> None:
    sent = 0

    def body():
        nonlocal sent
        for _ in range(1600):
            sent += 1 << 16
            yield bytes(1 << 16)

    headers = {"content-type": "application/octet-stream"}
    if declared:
        headers["content-length"] = str(1600 << 16)
    with contextlib.suppress(httpx.NetworkError, httpx.RemoteProtocolError):  # it hangs up while we still send
        told = shared.post("/v1/detect", content=body(), headers=headers)
        assert told.status_code == 413
        assert told.json()["detail"] == "a request may have 2 MB; send fewer or smaller photographs."
    assert sent < 60 << 20
    assert shared.get("/health").status_code == 200


NAMES = [
    "../../etc/passwd",
    "Robert'); DROP TABLE people;--",
    "<script>alert('x')</script>",
    "Ада Лавлейс",
    "埃达 👩🏽‍💻",
    "%00%2e%2e%2f",
    'quote " and \\ backslash',
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_kept_as_they_are_and_do_nothing(shared, name: str) -> None:
    told = enrol(shared, name, ADA)
    assert told.status_code == 200, told.text
    assert found(shared, ADA) == [("known", name)]
    assert [p["name"] for p in shared.get("/v1/people").json()["people"]] == [name]
    assert shared.delete(f"/v1/people/{told.json()['person_id']}").status_code == 200


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\nb", "\u202eevil", "x" * 256, "a\u2028b"])
def test_names_that_deceive_are_refused(shared, name: str) -> None:
    told = enrol(shared, name, ADA)
    assert told.status_code == 422
    assert "name" in told.json()["detail"]


@pytest.mark.parametrize("path", ["..%2f..%2fteam.db", "'%20OR%201=1--", "%00", "0" * 31, "0" * 33, "é"])
def test_ids_that_are_none_delete_nothing(shared, path: str) -> None:
    assert shared.delete(f"/v1/people/{path}").status_code in (404, 422)


def test_forms_that_make_no_sense(shared) -> None:
    def told(content: bytes, kind: str, route: str = "detect") -> tuple[int, str]:
        answer = shared.post(f"/v1/{route}", content=content, headers={"content-type": kind.encode("latin-1")})
        return answer.status_code, answer.json()["detail"]

    assert told(b"rubbish", "multipart/form-data; boundary=x")[0] == 400
    assert told(b"rubbish", "multipart/form-data")[0] == 400
    assert told(b"--x\r\n", 'multipart/form-data; boundary="\xff"')[0] in (400, 422)
    assert told(b"{}", "application/json")[0] == 415
    assert told(b"", "image/png") == (422, "the body is empty; send a photograph.")
    assert told(b"--x--\r\n", "multipart/form-data; boundary=x", "enrol")[0] == 422
    assert shared.post("/v1/detect", files=files(*[ADA] * 17)).status_code == 400
    assert shared.post("/v1/enrol", files=files(ADA)).json()["detail"] == "the form has no field 'name'; say who it is."
    assert shared.post("/v1/verify", files={"first": ADA}).status_code == 422


def test_nothing_of_a_person_is_logged(shared, caplog) -> None:
    caplog.set_level("DEBUG")
    person = enrol(shared, "Zuleika", GROUP).json()["person_id"]
    found(shared, STRANGER)
    enrol(shared, "Zuleika", BOB)
    enrol(shared, "Other", GROUP)
    shared.get("/v1/people/Zuleika?name=Zuleika")
    shared.delete(f"/v1/people/{person}")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith(("marginface", "uvicorn"))]
    assert len(lines) >= 6
    assert not any("Zuleika" in line or "127.0.0.1" in line or person in line for line in lines)
