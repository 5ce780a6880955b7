"""Which model and which detector are meant when none is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from marginface.errors import InputError
from marginface.fetching.detector import detector_file
from marginface.fetching.home import home
from marginface.images.detect import Detector
from marginface.images.open_detector import detector_from
from marginface.models import FaceModel, load_model, resolve_model_folder


def open_model(given: str | Path | None = None) -> FaceModel:
    """Return the model that is meant: that of `model_folder`.

    Raises:
        InputError: none is named anywhere, or what is named is no model.
    """
    return load_model(model_folder(given))


def model_folder(given: str | Path | None = None) -> Path:
    """Return the folder of the model given, or of `MARGINFACE_MODEL`, or `MARGINFACE_HOME/model`.

    None is ever downloaded here: weights come under terms that somebody has to read first.

    Raises:
        InputError: none is named anywhere, or what is named is no model.
    """
    if given is not None:
        return resolve_model_folder(given)
    named = os.environ.get("MARGINFACE_MODEL")
    if named:
        return resolve_model_folder(Path(named).expanduser())
    default = home() / "model"
    if default.exists():
        return resolve_model_folder(default)
    raise InputError(
        "no model is named: give a model or run folder with --model, or set MARGINFACE_MODEL to it, or put it (or a"
        f" link to it) at {default}; `marginface models pull` lists published ones, `marginface train` makes your own."
    )


def open_detector(
    given: str | Path | None = None, *, progress: Callable[[str, int, int], None] | None = None
) -> Detector:
    """Return the detector that is meant: the one given, or that of `MARGINFACE_DETECTOR`, or YuNet.

    YuNet (230 kB) is downloaded on first use and kept in `MARGINFACE_HOME/detectors`.

    Args:
        given: see `images.open_detector.detector_from`.
        progress: `progress(what, done, total)` of the download, in bytes.

    Raises:
        InputError: what is named is no detector.
        WorkError: YuNet is not here and cannot be downloaded.
    """
    named = given or os.environ.get("MARGINFACE_DETECTOR")
    return detector_from(named or detector_file(progress=progress or (lambda what, done, total: None)))
