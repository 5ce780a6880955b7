"""API keys: who may ask for what. The file holds hashes; a key itself is shown once, when it is made.

A key is `mf_<8 hex digits>_<43 letters>`: the digits find its line, the letters are 256 random bits. So many cannot be
guessed, which is why one salted BLAKE2b is enough, where a password would need a slow hash such as scrypt; a slow
one would let anybody keep the service busy by sending wrong keys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from marginface.errors import InputError, one_of
from marginface.records.write_aside import new_file

Role = Literal["read", "enrol", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""

_KEY = re.compile(r"mf_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_SALT_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A line of the file."""

    key_id: str
    """8 hex digits; what the log calls a key."""
    role: Role
    note: str
    """Who or what uses it, for people."""
    created: str
    salt: str
    """Hex."""
    digest: str
    """Hex, of the secret part."""

    def may(self, role: Role) -> bool:
        """Return whether this key is enough where `role` is asked for."""
        return ROLES.index(self.role) >= ROLES.index(role)


class KeyFile:
    """The keys in a file, read anew whenever it changes, so that a revoked key ends while the service runs."""

    def __init__(self, path: Path) -> None:
        """Open a file of keys.

        Raises:
            InputError: there is none, or it is damaged.
        """
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}
        self.keys()

    def keys(self) -> dict[str, ApiKey]:
        """Return all keys by id.

        Raises:
            InputError: see the constructor.
        """
        try:
            stat = self.path.stat()
        except OSError as error:
            raise InputError(
                f"{self.path}: there is no file of keys here; `marginface keys create {self.path} --role admin` makes"
                " one."
            ) from error
        state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            if state != self._seen:
                self._keys = _read(self.path)
                self._seen = state
            return self._keys

    def who(self, key: str) -> ApiKey | None:
        """Return whose key this is, or None; takes as long for a wrong key as for a right one."""
        parts = _KEY.fullmatch(key)
        known = self.keys().get(parts[1]) if parts else None
        secret = parts[2] if parts else ""
        salt, digest = (known.salt, known.digest) if known else ("00" * _SALT_BYTES, "00" * 32)
        right = hmac.compare_digest(_digest(secret, bytes.fromhex(salt)), bytes.fromhex(digest))
        return known if right else None


def create_key(path: Path, role: str, *, note: str = "") -> tuple[ApiKey, str]:
    """Add a key to a file, which is made if need be; return its line, and the key, which is kept nowhere.

    Raises:
        InputError: there is no such role, or the file is damaged.
        WorkError: the file cannot be written.
    """
    chosen = next((known for known in ROLES if known == role), None)
    if chosen is None:
        raise InputError(f"there is no role {role!r}{one_of(role, ROLES)}.")
    keys = _read(path) if path.exists() else {}
    key_id, secret, salt = secrets.token_hex(4), secrets.token_urlsafe(32), secrets.token_bytes(_SALT_BYTES)
    while key_id in keys:
        key_id = secrets.token_hex(4)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    line = ApiKey(
        key_id=key_id, role=chosen, note=note, created=created, salt=salt.hex(), digest=_digest(secret, salt).hex()
    )
    _write(path, keys | {key_id: line})
    return line, f"mf_{key_id}_{secret}"


def revoke_key(path: Path, key_id: str) -> ApiKey:
    """Take a key out of a file; return its line.

    Raises:
        InputError: there is no such key.
    """
    keys = dict(KeyFile(path).keys())
    if key_id not in keys:
        raise InputError(f"{path}: there is no key {key_id!r}{one_of(key_id, list(keys))}.")
    line = keys.pop(key_id)
    _write(path, keys)
    return line


def _digest(secret: str, salt: bytes) -> bytes:
    return hashlib.blake2b(secret.encode(), salt=salt, digest_size=32, person=b"marginface key").digest()


def _read(path: Path) -> dict[str, ApiKey]:
    try:
        lines = [ApiKey(**line) for line in json.loads(path.read_text(encoding="utf-8"))["keys"]]
        for line in lines:
            bytes.fromhex(line.salt), bytes.fromhex(line.digest), ROLES.index(line.role)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: this is no file of keys, or it is damaged ({type(error).__name__}).") from error
    return {line.key_id: line for line in lines}


def _write(path: Path, keys: dict[str, ApiKey]) -> None:
    with new_file(path) as aside:
        text = json.dumps({"keys": [asdict(line) for line in keys.values()]}, indent=1, ensure_ascii=False)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
