"""The threshold of a model's card that a question is answered by."""

from __future__ import annotations

from marginface.errors import InputError
from marginface.models import ModelCard, Threshold
from marginface.models.threshold import at_most

HOW_TO_CALIBRATE = (
    "this model's card has no threshold, so a score cannot be turned into an answer; `marginface calibrate` measures"
    " one on photographs like yours"
)


def threshold_at(card: ModelCard, fmr: float) -> Threshold | None:
    """Return the card's threshold for a false match rate, the next stricter one where it has none for that rate.

    None where the card has no threshold at all: no score is ever made up.

    Args:
        card: the model's.
        fmr: the false match rate of one comparison that may be reached, 0..1.

    Raises:
        InputError: the rate is no rate, or every threshold of the card is for a higher one.
    """
    if not 0 < fmr < 1:
        raise InputError(f"a false match rate lies between 0 and 1, not at {fmr:g}; 1e-3 is usual.")
    if not card.thresholds:
        return None
    found = at_most(card.thresholds, fmr)
    if found is None:
        there = ", ".join(f"{t.target_fmr:g}" for t in card.thresholds)
        raise InputError(
            f"{card.name}: its thresholds are for FMR {there}, none for {fmr:g} or less; calibrate on more comparisons."
        )
    return found


def about(threshold: Threshold) -> str:
    """Return what a threshold stands for, in one line."""
    interval = (
        f" [{threshold.low:.3f}, {threshold.high:.3f}]"
        if threshold.low is not None and threshold.high is not None
        else ""
    )
    seen = "extrapolated" if threshold.extrapolated else f"{threshold.achieved_fmr:.2g} seen"
    behind = f", {threshold.num_non_mated:,} non-mated comparisons" if threshold.num_non_mated is not None else ""
    if behind and behind.split()[1] in threshold.data:  # `calibrate` says it there
        behind = ""
    return (
        f"threshold {threshold.score:.3f}{interval}: FMR {threshold.target_fmr:g} ({seen} on {threshold.data}{behind})"
    )
