"""A recogniser with everything needed to use it rightly: weights, architecture, input contract, card, fingerprint."""

from marginface.models.card import ModelCard, Provenance, Result
from marginface.models.estimate import (
    BackboneSize,
    HeadSize,
    StepEstimate,
    count_parameters,
    estimate_step,
    head_size,
    measure_backbone,
)
from marginface.models.face_model import FaceModel
from marginface.models.store import load_model, resolve_model_folder, save_card, save_model
from marginface.models.threshold import Decision, Threshold, decide

__all__ = [
    "BackboneSize",
    "Decision",
    "FaceModel",
    "HeadSize",
    "ModelCard",
    "Provenance",
    "Result",
    "StepEstimate",
    "Threshold",
    "count_parameters",
    "decide",
    "estimate_step",
    "head_size",
    "load_model",
    "measure_backbone",
    "resolve_model_folder",
    "save_card",
    "save_model",
]
