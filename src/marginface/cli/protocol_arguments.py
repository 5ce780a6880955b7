"""Which protocol the flags of a verb mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marginface.errors import InputError, one_of

if TYPE_CHECKING:
    from marginface.protocols import ProtocolConfig


def protocol_of(
    kind: str, pairs: Path | None, non_mated: str, seed: int, settings: Sequence[str] = ()
) -> ProtocolConfig:
    """Return the protocol of that kind.

    Args:
        kind: its name.
        pairs: of lfw and csv.
        non_mated: of generated: a number or "all".
        seed: of generated and megaface.
        settings: further ones as they are typed, `--pooling.detector-score true`; docs/protocols.md lists them.

    Raises:
        InputError: no such protocol or setting, or one that is needed and missing.
    """
    from marginface import config as recipes
    from marginface.protocols import PROTOCOLS

    if kind not in PROTOCOLS:
        raise InputError(f"--protocol: there is no protocol {kind!r}{one_of(kind, list(PROTOCOLS))}.")
    given: dict[str, object] = {}
    if kind == "generated":
        number = non_mated if non_mated == "all" or not non_mated.isdigit() else int(non_mated)
        given = {"num_non_mated": number, "seed": seed}
    elif kind == "megaface":
        given = {"seed": seed}
    elif kind in ("lfw", "csv"):
        if pairs is None:
            raise InputError(f"--protocol {kind} reads a list of pairs; say where it is with --pairs FILE.")
        given = {"pairs_file": str(pairs)}
    overrides = [_underscored(word) for word in settings]
    # the config loader names the setting that is unknown, missing or of the wrong kind
    return recipes.load(PROTOCOLS[kind], recipes.with_overrides(given, overrides), path=f"--protocol {kind}")  # type: ignore[return-value]


def _underscored(word: str) -> str:
    """Return `--pooling.detector_score` for `--pooling.detector-score`; values stay as they are."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word[2:].partition("=")
    return f"--{flag.replace('-', '_')}{equals}{value}"
