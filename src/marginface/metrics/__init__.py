"""Scores become numbers: each with its counts, its convention and its interval. numpy only, no other room is needed.

A score is a similarity, higher is more alike; a match is `score >= threshold`.
"""

from marginface.metrics.all_pairs import (
    BinCounter,
    BinnedPoint,
    BinnedScores,
    binned_fnmr_at_fmr,
    score_all_pairs,
    verify_among_strangers,
)
from marginface.metrics.bootstrap import BootstrapIntervals, identity_bootstrap
from marginface.metrics.classification import (
    ClassScores,
    F1Summary,
    class_scores,
    confusion_counts,
    f1_difference,
    f1_summary,
)
from marginface.metrics.differential import DifferentialSummary, differential_summary
from marginface.metrics.identification import (
    IdentificationPoint,
    IdentificationRates,
    IdentificationSummary,
    SearchScores,
    cumulative_matches,
    identification_summary,
)
from marginface.metrics.intervals import Interval, wider, wilson
from marginface.metrics.kfold import (
    FoldDecisions,
    KFoldAccuracy,
    contiguous_folds,
    k_fold_accuracy,
    k_fold_decisions,
    magface_k_fold_accuracy,
)
from marginface.metrics.open_set import (
    UNKNOWN,
    OpenSetSummary,
    RejectionThreshold,
    open_set_summary,
    rejection_threshold,
)
from marginface.metrics.replicates import CountedRate, Estimate
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
    "UNKNOWN",
    "BestAccuracy",
    "BinCounter",
    "BinnedPoint",
    "BinnedScores",
    "BootstrapIntervals",
    "ClassScores",
    "CountedRate",
    "DetCurve",
    "DifferentialSummary",
    "EqualErrorRate",
    "Estimate",
    "F1Summary",
    "FoldDecisions",
    "IdentificationPoint",
    "IdentificationRates",
    "IdentificationSummary",
    "Interval",
    "KFoldAccuracy",
    "OpenSetSummary",
    "OperatingPoint",
    "RejectionThreshold",
    "ScoreHistogram",
    "SearchScores",
    "SortedScores",
    "VerificationSummary",
    "area_under_roc",
    "best_accuracy",
    "binned_fnmr_at_fmr",
    "class_scores",
    "confusion_counts",
    "contiguous_folds",
    "cumulative_matches",
    "d_prime",
    "differential_summary",
    "equal_error_rate",
    "error_rates",
    "f1_difference",
    "f1_summary",
    "fmr_support",
    "fnmr_at_fmr",
    "identification_summary",
    "identity_bootstrap",
    "k_fold_accuracy",
    "k_fold_decisions",
    "magface_k_fold_accuracy",
    "open_set_summary",
    "rejection_threshold",
    "score_all_pairs",
    "score_histogram",
    "sort_scores",
    "summarise",
    "support_sentence",
    "verify_among_strangers",
    "wider",
    "wilson",
]
