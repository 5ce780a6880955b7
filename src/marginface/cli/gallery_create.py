"""`marginface gallery create TEAM.db --model MODEL`: an empty gallery, bound to a model."""

from __future__ import annotations

from pathlib import Path

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument


def create(
    gallery: GalleryArgument,
    model: Path | None = None,
    minimum_quality: float = 0.0,
    duplicate_score: float | None = None,
    keep_crops: bool = False,
) -> None:
    """Make an empty gallery; only vectors of this model will ever be in it.

    Args:
        gallery: File to make, or postgresql://user@host/database#name.
        model: A model or run folder; that of MARGINFACE_MODEL unless given.
        minimum_quality: Images whose embedding is shorter are refused.
        duplicate_score: Cosine from which a new person counts as somebody enrolled under another name; the strictest
            threshold of the model's card unless given.
        keep_crops: Keep the aligned pictures too, so that another model can embed them one day.
    """
    from marginface.models import resolve_model_folder
    from marginface.recognition import open_model
    from marginface.search.gallery import Gallery
    from marginface.search.settings import EnrolmentPolicy

    policy = EnrolmentPolicy(minimum_quality=minimum_quality, duplicate_score=duplicate_score, keep_crops=keep_crops)
    folder = "" if model is None else str(resolve_model_folder(model).resolve())
    with Gallery.create(gallery, open_model(model), policy=policy, model_folder=folder) as made:
        settings = made.settings
    print(
        f"{made.store.location}: empty, for {settings.model} ({settings.fingerprint}), {settings.embedding_dim} values"
    )
    if settings.duplicate_score is None:
        print(
            "the model's card has no thresholds: people enrolled twice are not noticed, and searches need --threshold"
        )


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(create, words, "gallery create")
    return 0
