"""A model and known pairs become thresholds for its card: with their intervals, or a sentence that says why not."""

from __future__ import annotations

from dataclasses import dataclass, replace

from marginface.errors import InputError
from marginface.metrics.thresholds import ThresholdEstimate, lower_threshold, thresholds_at_fmr
from marginface.models import FaceModel, Threshold

from .comparison import Evaluation
from .embed import Progress
from .run import evaluate
from .settings import EvaluationConfig


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a set of comparisons says about thresholds."""

    evaluation: Evaluation
    """The comparisons and where they came from."""
    estimates: tuple[ThresholdEstimate, ...]
    """One for each rate that was asked for."""
    thresholds: tuple[Threshold, ...]
    """For the card: of the rates that the data support, or that were extrapolated as asked."""
    refusals: tuple[str, ...]
    """What the data cannot support and what would, a sentence each."""


def calibrate(
    model: FaceModel,
    config: EvaluationConfig,
    *,
    reject_fnmr: float | None = None,
    extrapolate: bool = False,
    num_replicates: int = 500,
    num_workers: int = 0,
    command: str = "",
    progress: Progress | None = None,
) -> Calibration:
    """Return thresholds at the config's `fmr_targets`.

    Args:
        model: whose embeddings are compared.
        config: data, protocol, flip policy and rates. Its people should be none that the model has seen.
        reject_fnmr: also the score below which at most this share of the mated comparisons lies, so that between the
            two the answer is "cannot tell"; None gives none.
        extrapolate: fit the tail for rates that the comparisons cannot support; such thresholds are marked.
        num_replicates: resamplings of the people for the intervals.
        num_workers: processes that decode.
        command: what was typed, for the record.
        progress: called with (images done, images in all).

    Raises:
        InputError: data that cannot be used, or no people named.
    """
    config = replace(config, num_replicates=0)  # of the summary; the thresholds have their own
    evaluation = evaluate(model, config, num_workers=num_workers, command=command, progress=progress)
    pairs = evaluation.comparisons
    estimates = thresholds_at_fmr(
        pairs.score,
        pairs.mated,
        pairs.identity_left,
        pairs.identity_right,
        fmr_targets=config.fmr_targets,
        extrapolate=extrapolate,
        num_replicates=num_replicates,
        seed=config.seed,
    )
    refusals = [one.shortfall for one in estimates if one.shortfall]
    lower = None
    if reject_fnmr is not None:
        try:
            lower = lower_threshold(pairs.score[pairs.mated], fnmr=reject_fnmr)
        except InputError as error:
            refusals.append(str(error))
    data = (
        f"{config.name}: {evaluation.provenance['data']}, {estimates[0].num_mated:,} mated and "
        f"{estimates[0].num_non_mated:,} non-mated comparisons of {estimates[0].num_identities:,} people"
    )
    return Calibration(
        evaluation=evaluation,
        estimates=estimates,
        thresholds=tuple(
            _threshold(one, data, config.flip, lower, reject_fnmr) for one in estimates if one.score is not None
        ),
        refusals=tuple(refusals),
    )


def _threshold(
    estimate: ThresholdEstimate, data: str, flip: str, lower: float | None, reject_fnmr: float | None
) -> Threshold:
    assert estimate.score is not None
    assert estimate.achieved_fmr is not None
    return Threshold(
        score=estimate.score,
        target_fmr=estimate.target_fmr,
        achieved_fmr=estimate.achieved_fmr,
        data=data,
        flip=flip,
        low=estimate.low,
        high=estimate.high,
        num_non_mated=estimate.num_non_mated,
        extrapolated=estimate.extrapolated,
        # Where even the threshold loses no more mated comparisons than that, nothing lies between.
        reject_below=None if lower is None else min(lower, estimate.score),
        reject_fnmr=None if lower is None else reject_fnmr,
    )
