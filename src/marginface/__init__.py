"""MarginFace: train margin heads for face recognition, and judge them on strangers.

The names below are imported when first used, so that `import marginface` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "open_records": "marginface.records.open",
    "Record": "marginface.records.record",
    "EmbeddingTable": "marginface.records.embedding_table",
    "DrawnPeople": "marginface.drawn",
    "BACKBONES": "marginface.backbones",
    "MARGINS": "marginface.margins",
    "HEADS": "marginface.heads",
    "FaceModel": "marginface.models",
    "load_model": "marginface.models",
    "save_model": "marginface.models",
    "embed_records": "marginface.evaluation.embed",
    "evaluate": "marginface.evaluation.run",
    "write_report": "marginface.evaluation.report",
    "Gallery": "marginface.search.gallery",
    "train": "marginface.training.train",
    "detect_and_align": "marginface.recognition",
    "open_detector": "marginface.recognition",
    "open_model": "marginface.recognition",
    "verify": "marginface.recognition.verify",
    "cluster_album": "marginface.recognition.album",
    "align_folder": "marginface.recognition.align_folder",
    "find": "marginface.recognition.find",
    "InputError": "marginface.errors",
    "WorkError": "marginface.errors",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'marginface' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
