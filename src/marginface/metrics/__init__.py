"""Scores become numbers: each with its counts, its convention and its interval. numpy only, no other room is needed.

A score is a similarity, higher is more alike; a match is `score >= threshold`.
"""

from marginface.metrics.bootstrap import BootstrapIntervals, identity_bootstrap
from marginface.metrics.intervals import Interval, wider, wilson
from marginface.metrics.kfold import FoldDecisions, KFoldAccuracy, contiguous_folds, k_fold_accuracy, k_fold_decisions
from marginface.metrics.sorted_scores import SortedScores, sort_scores
from marginface.metrics.summary import VerificationSummary, summarise, support_sentence
from marginface.metrics.verification import (
    BestAccuracy,
    DetCurve,
    EqualErrorRate,
    OperatingPoint,
    ScoreHistogram,
    area_under_roc,
    best_accuracy,
    d_prime,
    equal_error_rate,
    error_rates,
    fmr_support,
    fnmr_at_fmr,
    score_histogram,
)

__all__ = [
    "BestAccuracy",
    "BootstrapIntervals",
    "DetCurve",
    "EqualErrorRate",
    "FoldDecisions",
    "Interval",
    "KFoldAccuracy",
    "OperatingPoint",
    "ScoreHistogram",
    "SortedScores",
    "VerificationSummary",
    "area_under_roc",
    "best_accuracy",
    "contiguous_folds",
    "d_prime",
    "equal_error_rate",
    "error_rates",
    "fmr_support",
    "fnmr_at_fmr",
    "identity_bootstrap",
    "k_fold_accuracy",
    "k_fold_decisions",
    "score_histogram",
    "sort_scores",
    "summarise",
    "support_sentence",
    "wider",
    "wilson",
]
