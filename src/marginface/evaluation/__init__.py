"""A model and records of strangers become numbers with intervals, and a page to send to a colleague."""

from marginface.evaluation.baselines import RawPixels, untrained
from marginface.evaluation.embed import Embedder, embed_records
from marginface.evaluation.report import write_report
from marginface.evaluation.run import Evaluation, EvaluationConfig, EvaluationResult, evaluate, evaluate_systems

__all__ = [
    "Embedder",
    "Evaluation",
    "EvaluationConfig",
    "EvaluationResult",
    "RawPixels",
    "embed_records",
    "evaluate",
    "evaluate_systems",
    "untrained",
    "write_report",
]
