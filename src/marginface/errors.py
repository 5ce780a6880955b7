"""The two ways in which a run ends early, each with one clear sentence for the person who started it.

Everything else that is raised is a fault of ours and keeps its traceback.
"""


class InputError(ValueError):
    """What the user gave cannot be used. The message names the file, field or class and what to do; exit code 2."""


class WorkError(RuntimeError):
    """The input was fine but the work failed (disk full, loss not finite, rank died); exit code 1."""


def one_of(word: str, choices: list[str] | tuple[str, ...]) -> str:
    """Return "; did you mean 'x'? Choose from a, b, c" for an unknown word, ready to end a sentence with."""
    import difflib

    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{hint} choose from {', '.join(sorted(choices))}"
