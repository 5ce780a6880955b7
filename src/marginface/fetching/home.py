"""Where files lie that several commands share: detectors, and the model that is meant when none is named."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the folder that `MARGINFACE_HOME` names, `~/.cache/marginface` without it; it need not exist."""
    named = os.environ.get("MARGINFACE_HOME")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "marginface"
