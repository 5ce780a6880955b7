"""`marginface gallery reembed TEAM.db --model NEW --out NEW.db`: the same people for another model."""

from __future__ import annotations

from pathlib import Path

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument
from marginface.cli.progress import progress_bars


def reembed_people(gallery: GalleryArgument, model: Path, out: str) -> None:
    """Make a gallery of another model from the crops that were kept; the old one is left as it is.

    Args:
        gallery: One that was created with --keep-crops.
        model: The new model or run folder.
        out: The new gallery.
    """
    from marginface.models import load_model, resolve_model_folder
    from marginface.search.gallery import Gallery
    from marginface.search.reembed import reembed

    folder = resolve_model_folder(model)
    with Gallery(gallery) as old, progress_bars() as show:
        told = reembed(
            old,
            load_model(folder),
            out,
            model_folder=str(folder.resolve()),
            progress=lambda done, total: show("embedding people", done, total),
        )
    print(f"{out}: {len(told):,} people")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(reembed_people, words, "gallery reembed")
    return 0
