"""`marginface protocols`: what can be judged on, and the settings that each protocol takes."""

from __future__ import annotations

import dataclasses

from marginface.cli.arguments import parse


def protocols() -> None:
    """List the protocols with their settings, which are flags of `marginface evaluate`."""
    from rich.console import Console

    from marginface.cli.arguments import table
    from marginface.protocols import PROTOCOLS

    rows = []
    for kind, config in sorted(PROTOCOLS.items()):
        says = (config.__doc__ or "").strip().splitlines()[0]
        rows.append((kind, says, "\n".join(_settings(config))))
    Console().print(table(rows, ("--protocol", "what", "settings")))


def _settings(config: type, prefix: str = "--") -> list[str]:
    """Return the flags of a config, those of its parts dotted."""
    found = []
    for field in dataclasses.fields(config):
        flag = prefix + field.name.replace("_", "-")
        part = field.default_factory if field.default_factory is not dataclasses.MISSING else None
        if field.name == "kind":
            continue
        if isinstance(part, type) and dataclasses.is_dataclass(part):
            found += _settings(part, f"{flag}.")
        else:
            found.append({"--pairs-file": "--pairs", "--num-non-mated": "--non-mated"}.get(flag, flag))
    return found


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(protocols, words, "protocols")
    return 0
