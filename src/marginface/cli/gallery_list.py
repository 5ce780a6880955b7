"""`marginface gallery list TEAM.db`: who is enrolled."""

from __future__ import annotations

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument


def list_people(gallery: GalleryArgument, json: bool = False) -> None:
    """List everybody with the number of images; the last line says what the gallery is bound to.

    Args:
        gallery: As it was created.
        json: Print one JSON object instead.
    """
    import sys
    from dataclasses import asdict
    from json import dumps

    from marginface import config
    from marginface.search.gallery import Gallery

    with Gallery(gallery) as opened:
        people, settings = opened.people(), opened.settings
    if json:
        print(dumps({"settings": config.dump(settings), "people": [asdict(p) for p in people]}, ensure_ascii=False))
        return
    for person in people:
        print(f"{person.name}\t{person.num_images}")
    rates = ", ".join(f"{t.target_fmr:g}" for t in settings.thresholds) or "none"
    print(
        f"{len(people):,} people, {settings.model} ({settings.fingerprint}), {settings.embedding_dim} values, "
        f"flip {settings.flip}, thresholds at FMR {rates}, crops {'' if settings.policy.keep_crops else 'not '}kept",
        file=sys.stderr,
    )


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(list_people, words, "gallery list")
    return 0
