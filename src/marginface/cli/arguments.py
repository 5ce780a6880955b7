"""What several verbs read from the command line."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import tyro

T = TypeVar("T")

RuntimeName = Literal["auto", "eager", "torch", "onnxruntime", "openvino"]
"""`models.runtimes.Runtime`, which `--help` must not import."""


def parse(function: Callable[..., T], words: list[str], verb: str) -> T:
    """Call `function` with the arguments that `words` give it; tyro prints help and usage errors (exit code 2)."""
    return tyro.cli(function, args=words, prog=f"marginface {verb}", config=(tyro.conf.FlagCreatePairsOff,))


def split_overrides(words: list[str], own_flags: dict[str, bool]) -> tuple[list[str], list[str]]:
    """Part the verb's own arguments from recipe overrides such as `--optim.lr 0.2`.

    Args:
        words: the arguments.
        own_flags: the verb's own flags; True where the flag takes a value.
    """
    own: list[str] = []
    overrides: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, equals, _ = word.partition("=")
        if not word.startswith("--"):
            own.append(word)
            continue
        place = own if flag in own_flags else overrides
        place.append(word)
        takes_value = own_flags.get(flag, True)
        if takes_value and not equals and rest and not rest[0].startswith("--"):
            place.append(rest.pop(0))
    return own, overrides


def split_settings(verb: Callable[[list[str]], Callable[..., Any]], words: list[str]) -> tuple[list[str], list[str]]:
    """Part the arguments of a verb from the settings of a protocol, which it takes as flags too.

    Args:
        verb: returns the function whose signature holds the verb's own flags.
        words: the arguments.
    """
    parameters = inspect.signature(verb([])).parameters.values()
    flags = {f"--{one.name.replace('_', '-')}": not isinstance(one.default, bool) for one in parameters}
    return split_overrides(words, {**flags, "--help": False, "-h": False})


def command_line() -> str:
    """Return the command as it was typed, for provenance."""
    return shlex.join(["marginface", *sys.argv[1:]])


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], *, title: str = "", numbers: bool = False) -> Any:
    """Return a rich table; with `numbers`, all columns but the first are aligned on the right."""
    from rich.markup import escape
    from rich.table import Table

    made = Table(title=escape(title) or None, title_justify="left", header_style="bold")
    for i, name in enumerate(header):
        made.add_column(escape(name), justify="right" if numbers and i > 0 else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(escape, row))
    return made
