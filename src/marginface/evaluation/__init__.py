"""A model and records of strangers become numbers with intervals, and a page to send to a colleague."""

from marginface.evaluation.baselines import RawPixels, untrained
from marginface.evaluation.embed import Embedder, embed_records
from marginface.evaluation.report import write_report
from marginface.evaluation.run import (
    Evaluation,
    EvaluationConfig,
    EvaluationResult,
    Identification,
    evaluate,
    evaluate_systems,
    judge_systems,
)
from marginface.evaluation.saved import SavedEmbeddings

__all__ = [
    "Embedder",
    "Evaluation",
    "EvaluationConfig",
    "EvaluationResult",
    "Identification",
    "RawPixels",
    "SavedEmbeddings",
    "embed_records",
    "evaluate",
    "evaluate_systems",
    "judge_systems",
    "untrained",
    "write_report",
]
