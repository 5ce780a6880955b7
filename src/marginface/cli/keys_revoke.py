"""`marginface keys revoke KEYS.json ID`: a key that is good for nothing any more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse


def revoke(
    keys: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="KEYS.json")],
    key_id: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ID")],
) -> None:
    """Take a key out of the file; a service that runs refuses it from the next request on.

    Args:
        keys: File of keys.
        key_id: As `marginface keys list` prints it.
    """
    from marginface.serve.keys import revoke_key

    line = revoke_key(keys, key_id)
    print(f"{line.key_id} ({line.role}): revoked")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(revoke, words, "keys revoke")
    return 0
