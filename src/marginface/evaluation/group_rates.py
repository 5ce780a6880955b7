"""How one threshold serves the groups of people of an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from marginface.errors import InputError
from marginface.metrics import DifferentialSummary, differential_summary
from marginface.metrics.differential import GroupRate
from marginface.protocols import Comparisons, Groups

from .identify import rate_record

if TYPE_CHECKING:
    from .settings import EvaluationConfig


def judge_groups(
    comparisons: Comparisons, keys: Sequence[str], source_keys: Sequence[str], groups: Groups, config: EvaluationConfig
) -> DifferentialSummary:
    """Return the rates of each group at the threshold that `config.group_fmr` sets on all comparisons.

    Args:
        comparisons: scores; positions speak of `keys`.
        keys: of the embedding table.
        source_keys: those that `groups` speaks of.
        groups: of each image of the source.
        config: target and resampling.

    Raises:
        InputError: the target cannot be supported.
    """
    place = {key: i for i, key in enumerate(source_keys)}
    of_row = groups.of_image[[place[key] for key in keys]]
    try:
        return differential_summary(
            comparisons.score,
            comparisons.mated,
            of_row[comparisons.left],
            of_row[comparisons.right],
            groups=groups.names,
            fmr=config.group_fmr,
            identity_left=comparisons.identity_left,
            identity_right=comparisons.identity_right,
            num_replicates=config.num_replicates,
            seed=config.seed,
        )
    except InputError as error:
        raise InputError(f"group_fmr: {error}") from error


def differential_record(summary: DifferentialSummary) -> dict[str, Any]:
    """Return a differential summary as plain values."""

    def rates(found: Sequence[GroupRate]) -> list[dict[str, Any]]:
        return [{"group": one.group, "other": one.other, **rate_record(one.rate)} for one in found]

    return {
        "threshold": summary.threshold,
        "target_fmr": None if summary.point is None else summary.point.target_fmr,
        "groups": list(summary.groups),
        "fnmr": rates(summary.fnmr),
        "fmr": rates(summary.fmr),
        "fmr_across": rates(summary.fmr_across),
        "fnmr_ratios": None if summary.fnmr_ratios is None else dataclasses.asdict(summary.fnmr_ratios),
        "fmr_ratios": None if summary.fmr_ratios is None else dataclasses.asdict(summary.fmr_ratios),
        "comparisons_without_group": summary.num_without_group,
        "caveats": list(summary.caveats),
    }
