"""How much, how often, how long, and from where."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.serve.rate_limit import MOST_CALLERS, RateLimit
from marginface.serve.run import check_host, listen
from marginface.serve.settings import ServeSettings
from tests.helpers.photographs import FramedFaces
from tests.serve.made_up import ADA, enrol, files


def test_a_bucket_is_filled_at_its_rate() -> None:
    now = [0.0]
    limit = RateLimit(2.0, 3, clock=lambda: now[0])
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.take("b") == 0
    now[0] = 0.25
    assert limit.take("a") == 0.25
    now[0] = 0.5
    assert [limit.take("a"), limit.take("a")] == [0, 0.5]
    now[0] = 100.0
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_callers_without_end_do_not_fill_the_memory() -> None:
    limit = RateLimit(1.0, 1)
    for caller in range(MOST_CALLERS + 100):
        limit.take(str(caller))
    assert len(limit._buckets) == MOST_CALLERS


def test_too_many_requests_are_told_to_wait(start) -> None:
    client = start(requests_per_second=0.5, burst=3)
    told = [client.get("/v1/people") for _ in range(5)]
    assert [answer.status_code for answer in told] == [200, 200, 200, 429, 429]
    assert int(told[-1].headers["retry-after"]) >= 1
    assert client.get("/health").status_code == 200


class Slow(FramedFaces):
    """A detector that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def detect(self, image: np.ndarray) -> list:
        time.sleep(self.seconds)
        return super().detect(image)


def test_a_request_that_takes_too_long_is_ended(start) -> None:
    client = start(detector=Slow(1.0), timeout_seconds=0.2)
    began = time.monotonic()
    told = client.post("/v1/detect", files=files(ADA))
    assert (told.status_code, told.json()["detail"]) == (503, "this took longer than 0.2 s; try again in a moment.")
    assert time.monotonic() - began < 0.8


def test_more_requests_than_can_be_served_are_told_to_come_back(start) -> None:
    client = start(detector=Slow(0.5), max_requests=2)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(client.post("/v1/detect", files=files(ADA)).status_code))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 503, 503, 503, 503]


def test_what_all_send_together_is_bounded(start) -> None:
    client = start(max_bytes_in_flight=10_000)
    assert client.post("/v1/detect", files=files(ADA)).status_code == 503
    assert client.get("/metrics").text.splitlines().count("marginface_request_bytes_in_flight 0") == 1


def test_photographs_of_more_pixels_are_refused(start) -> None:
    told = start(max_pixels=1000).post("/v1/detect", files=files(ADA))
    assert told.status_code == 422
    assert "320 x 240 pixels are more than the 1,000" in told.json()["detail"]


FOREIGN = (
    {"Host": "evil.example"},
    {"Host": "evil.example:8000"},
    {"Host": "[::bad"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Sec-Fetch-Site": "cross-site"},
)


def test_without_keys_a_page_of_another_site_can_do_nothing(shared) -> None:
    """A browser on this machine would send a form to the loopback for anybody."""
    for headers in FOREIGN:
        assert enrol(shared, "Eve", ADA, headers=headers).status_code == 403, headers
    assert shared.get("/v1/people").json()["total"] == 0


def test_the_page_itself_may(start) -> None:
    client = start()
    here = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert enrol(client, "Ada", ADA, headers=here).status_code == 200


def test_every_answer_forbids_what_a_page_could_be_made_to_do(shared) -> None:
    client = shared
    for told in (client.get("/"), client.get("/v1/people"), client.get("/nothing"), enrol(client, "", ADA)):
        assert "default-src 'none'; script-src 'self'" in told.headers["content-security-policy"]
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["cache-control"] == "no-store"
        assert "server" not in told.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_keys_only_the_loopback_is_listened_at(host: str) -> None:
    with pytest.raises(InputError, match="without keys the service listens on this machine only"):
        check_host(host, has_keys=False)
    check_host(host, has_keys=True)
    check_host("127.0.0.1", has_keys=False)
    check_host("localhost", has_keys=False)


def test_an_address_that_is_taken_is_told() -> None:
    with listen("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(InputError, match="cannot listen there"):
            listen("127.0.0.1", first.getsockname()[1])
    with pytest.raises(InputError, match="port 70000 does not exist"):
        listen("127.0.0.1", 70000)


@pytest.mark.parametrize(
    "wrong", [{"fmr": 0}, {"threshold": 2}, {"max_batch": 0}, {"timeout_seconds": 0}, {"requests_per_second": -1}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        ServeSettings(**wrong)
