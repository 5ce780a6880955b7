"""A PostgreSQL server of our own with pgvector, on a socket in a temporary folder, for as long as the tests run.

Its programs are those of Debian's packages, or of the folder that MARGINFACE_POSTGRES_BIN names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WHAT_TO_INSTALL = (
    "needs a PostgreSQL server with pgvector: install Debian's postgresql and postgresql-NN-pgvector, or set "
    "MARGINFACE_POSTGRES_BIN to the folder with its initdb and postgres"
)


def postgres_programs() -> Path | None:
    """Return the folder with `initdb` and `postgres` of a server that has pgvector; None where there is none."""
    named = os.environ.get("MARGINFACE_POSTGRES_BIN")
    if named:
        return Path(named)
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        shared = Path("/usr/share/postgresql") / folder.parent.name / "extension"
        if (folder / "postgres").exists() and (shared / "vector.control").exists():
            return folder
    return None


@contextmanager
def running_server(programs: Path) -> Iterator[tuple[str, Path]]:
    """Yield the address of a server that nobody else reaches, and its data folder."""
    user = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="marginface-postgres-", dir="/tmp"))  # a socket's path must be short
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    quiet = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "check": True}
    try:
        initdb = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "tests",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(initdb, **quiet)  # type: ignore[call-overload]
        options = f"-F -c listen_addresses='' -k {folder}"
        start = [programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start"]
        subprocess.run(start, **{**quiet, "stderr": subprocess.DEVNULL})  # type: ignore[call-overload]
        try:
            yield f"postgresql:///postgres?host={folder}&user=tests", data
        finally:
            subprocess.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
