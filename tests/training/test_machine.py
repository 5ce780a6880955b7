"""`marginface doctor` says whether glibc keeps freed memory; half of the setting does not count."""

import platform

import pytest
import torch

from marginface.training.machine import describe_machine

SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
@pytest.mark.parametrize("num_set, used", [(0, "given back"), (1, "given back"), (2, "kept")])
def test_doctor_says_whether_freed_memory_is_kept(monkeypatch, num_set, used):
    monkeypatch.setattr("marginface.training.machine.default_device", lambda: torch.device("cpu"))
    monkeypatch.setattr("marginface.training.machine._decode_rate", lambda: 1.0)
    for number, name in enumerate(SETTINGS):
        monkeypatch.setenv(name, "4000000000") if number < num_set else monkeypatch.delenv(name, raising=False)
    (row,) = (row for row in describe_machine() if row[0] == "freed memory")
    assert row[1].startswith(used)
    assert all(f"{name}=4000000000" in row[2] for name in SETTINGS)
