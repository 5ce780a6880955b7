"""The cache gives what was fetched, never exceeds its bound, and lets the least recently used go first."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.records.block_cache import BlockCache


def piece(number, length=100):
    return bytes([number]) * length


def test_a_piece_is_fetched_once(tmp_path):
    cache = BlockCache(tmp_path, max_bytes=1000)
    fetched = []
    for _ in range(3):
        assert cache.read("a", 100, 10, 14, lambda: fetched.append(1) or piece(7)) == b"\7" * 4
    assert fetched == [1]
    assert BlockCache(tmp_path, max_bytes=1000).used() == 100


def test_the_bound_holds_and_the_least_recently_used_goes(tmp_path):
    cache = BlockCache(tmp_path, max_bytes=1000)
    for number in range(10):
        cache.read(str(number), 100, 0, 1, lambda number=number: piece(number))
        os.utime(cache._path(str(number), "block"), ns=(number, number))
    cache.read("0", 100, 0, 1, lambda: pytest.fail("it is here"))
    cache.read("new", 100, 0, 1, lambda: piece(99))
    assert cache.used() <= 1000
    cache.read("0", 100, 0, 1, lambda: pytest.fail("it was used last"))
    fetched = []
    cache.read("1", 100, 0, 1, lambda: fetched.append(1) or piece(1))
    assert fetched == [1]


def test_threads_and_sizes_at_random_never_exceed_the_bound(tmp_path):
    cache = BlockCache(tmp_path, max_bytes=5_000)
    rng = np.random.default_rng(0)
    jobs = [(int(n), 100 + 10 * int(n)) for n in rng.integers(0, 120, 120)]

    def use(job):
        number, length = job
        assert cache.read(str(number), length, 5, 9, lambda: piece(number, length)) == piece(number, 4)
        return cache.used()

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(use, jobs)) <= 5_000
    assert cache.used() == sum(path.stat().st_size for path in tmp_path.glob("*.block")) <= 5_000


def test_what_a_killed_process_left_is_cleared_and_a_cut_piece_is_fetched_again(tmp_path):
    cache = BlockCache(tmp_path, max_bytes=1000)
    cache.read("a", 100, 0, 1, lambda: piece(1))
    (tmp_path / "x.block.partial").write_bytes(b"half")
    os.truncate(cache._path("a", "block"), 50)
    cache = BlockCache(tmp_path, max_bytes=1000)
    assert not (tmp_path / "x.block.partial").exists()
    assert cache.read("a", 100, 98, 100, lambda: piece(1)) == b"\1\1"


def test_an_index_beyond_the_bound_is_refused_and_a_block_beyond_it_is_passed_through(tmp_path):
    cache = BlockCache(tmp_path, max_bytes=50)
    assert cache.read("a", 100, 0, 100, lambda: piece(1)) == piece(1)
    assert cache.used() == 0
    with pytest.raises(InputError, match="give more with cache_gb="):
        cache.whole("index", 100, lambda: iter([piece(1)]))
