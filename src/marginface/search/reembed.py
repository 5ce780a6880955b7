"""A gallery of another model, made from the aligned crops that were kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from marginface.errors import InputError
from marginface.images.decode import decode_image
from marginface.images.resize import fit
from marginface.models.face_model import FaceModel
from marginface.search.enrolment import Enrolment
from marginface.search.gallery import Gallery
from marginface.search.settings import Vectors

logger = logging.getLogger(__name__)


def reembed(
    old: Gallery,
    model: FaceModel,
    location: str | Path,
    *,
    model_folder: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> list[Enrolment]:
    """Enrol everybody of `old` into a new gallery of `model` at `location`; `old` is left as it is.

    Names, policy, flip and the meaning of quality stay; qualities of a method are kept, norms are those of the new
    model, so a minimum norm counts anew. A duplicate score given by hand is dropped: scores of two models differ.

    Raises:
        InputError: no crops were kept, or something is at `location` already.
    """
    settings = old.settings
    if not settings.policy.keep_crops:
        raise InputError(
            f"{old.store.location} kept no crops, so nothing can be embedded again; make a gallery with the other "
            "model and enrol the photographs."
        )
    policy = replace(settings.policy, duplicate_score=None)
    made: list[Enrolment] = []
    with Gallery.create(
        location, model, policy=policy, quality=settings.quality, flip=settings.flip, model_folder=model_folder
    ) as new:
        people = old.people()
        for done, person in enumerate(people, start=1):
            samples = old.store.samples(person.person_id)
            crops = [crop for crop in samples.crops if crop is not None]
            kept = np.array([crop is not None for crop in samples.crops])
            if not crops:
                logger.warning("%r has no crops and was left out; enrol the photographs again.", person.name)
                continue
            made.append(
                new.enrol(
                    person.name,
                    _embed(model, crops, person.name, settings.flip),
                    qualities=None if settings.quality == "norm" else samples.qualities[kept],
                    crops=crops,
                    allow_duplicate=True,
                )
            )
            if progress is not None:
                progress(done, len(people))
    return made


def _embed(model: FaceModel, crops: list[bytes], name: str, flip: Literal["none", "sum"]) -> Vectors:
    size, what = model.contract.input_size, f"a crop of {name}"
    decoded = (decode_image(crop, name=what) for crop in crops)
    images = np.stack([fit(image, size=size, max_side=max(image.shape), name=what) for image in decoded])
    return model.embed(torch.from_numpy(images), flip=flip).cpu().numpy()
