"""`marginface head export`: the head of a run, as weights to go on with and as one template a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse


def export(
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    out: Path,
    step: int | None = None,
    head: str | None = None,
) -> None:
    """Write the margin head of a run: its weights, and its class centres as an embedding table of the people.

    Args:
        run: A folder that `marginface train` wrote; the data of its recipe must still be there.
        out: A folder to write: head.safetensors, head.json, and templates/ unless the head has sub-centres.
        step: Of the checkpoint; the newest if left out.
        head: Which one, where each source has a head of its own: 0 is that of data.source, 1 the next.
    """
    from marginface.heads.store import save_head
    from marginface.training.run_head import head_of_run, templates_of_run

    stored = head_of_run(run, step=step, name=head)
    save_head(stored.head, stored.settings, out, identities=stored.identities)
    print(f"wrote {out}: the {stored.settings.kind} head of {len(stored.identities):,} people")
    if stored.head.sub_centres > 1:
        print(
            f"no templates: it has {stored.head.sub_centres} centres a person; see docs/heads.md for the dominant ones"
        )
        return
    templates_of_run(run, step=step, name=head).save(out / "templates")
    print(f"wrote {out / 'templates'}: one vector a person, an embedding table")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(export, words, "head export")
    return 0
