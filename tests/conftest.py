"""What every test has: few threads, no ambient recipe, and the markers that need something special skipped in words."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch: tests are small, and two busy cores serve them better apart

import pytest


@pytest.fixture
def real_data() -> Path:
    """The folder of photographs that MARGINFACE_REAL_DATA names; the test is skipped without it."""
    folder = os.environ.get("MARGINFACE_REAL_DATA")
    if not folder:
        pytest.skip("needs photographs: set MARGINFACE_REAL_DATA to a folder with lfw.tar and lfw_pairs.txt")
    return Path(folder)
