"""A recogniser with everything needed to use it rightly: weights, architecture, input contract, card, fingerprint."""

from marginface.models.card import ModelCard, Provenance, Result, Threshold
from marginface.models.estimate import MemoryEstimate, count_parameters, estimate_training_memory
from marginface.models.face_model import FaceModel
from marginface.models.store import load_model, resolve_model_folder, save_model

__all__ = [
    "FaceModel",
    "MemoryEstimate",
    "ModelCard",
    "Provenance",
    "Result",
    "Threshold",
    "count_parameters",
    "estimate_training_memory",
    "load_model",
    "resolve_model_folder",
    "save_model",
]
