"""Which input contract do these weights want? Every colour order and value range, judged on the same pairs.

A wrong contract raises no error: the network runs and the accuracy falls, sometimes by little (red and blue swapped),
sometimes to chance. So all four are tried, and ordered by how far mated and non-mated scores are apart (d'): that uses
every score, where an EER rests on the few pairs near one threshold and is 0 under any contract on easy photographs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marginface.errors import InputError
from marginface.evaluation.embed import Flip, embed_records
from marginface.models import FaceModel
from marginface.protocols import Pairs, ProtocolConfig, compare
from marginface.records.record import RecordSource
from marginface.records.select import subset

CONTRACTS = tuple((order, values) for order in ("rgb", "bgr") for values in ("minus_one_to_one", "zero_to_one"))


@dataclass(frozen=True, kw_only=True)
class ContractResult:
    """What a model reached under one contract."""

    colour_order: str
    value_range: str
    is_own: bool
    """Whether it is the model's own contract."""
    mated_mean: float
    """Mean cosine of the mated pairs."""
    non_mated_mean: float
    separation: float
    """d': the difference of the means over the root mean square of the two deviations."""
    eer: float
    """Equal error rate, 0..1."""
    eer_interval: tuple[float, float] | None
    num_pairs: int


def probe_contracts(
    model: FaceModel,
    source: RecordSource,
    protocol: ProtocolConfig,
    *,
    flip: Flip = "sum",
    num_replicates: int = 200,
    num_workers: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[ContractResult]:
    """Return the results of all contracts, the one with the largest separation first.

    Args:
        model: its own contract tells the size of the crops; the rest of it is tried like the others.
        source: aligned faces.
        protocol: which pairs.
        flip: as in `embed_records`.
        num_replicates: resamplings behind the interval of the EER.
        num_workers: processes that decode.
        progress: called with (contract, images done, images in all).
    """
    pairs = protocol.plan(source)
    if not isinstance(pairs, Pairs):
        raise InputError(f"{protocol.kind}: contracts are told apart by pairs of images; choose a protocol of pairs.")
    images = subset(source, pairs.images)
    results = []
    for order, values in CONTRACTS:
        contract = dataclasses.replace(model.contract, colour_order=order, value_range=values)  # type: ignore[arg-type]
        candidate = FaceModel(model.backbone, model.backbone_config, contract, model.card)
        title = f"{order} {values}"
        table = embed_records(
            candidate,
            images,
            flip=flip,
            num_workers=num_workers,
            progress=progress and (lambda done, total, title=title: progress(title, done, total)),  # type: ignore[misc]
        )
        comparisons = compare(table, pairs, keys=source.keys)
        summary = comparisons.summarise(num_replicates=num_replicates)
        mated, non_mated = (comparisons.score[comparisons.mated == kind] for kind in (True, False))
        interval = summary.equal_error_rate.interval
        spread = float(np.sqrt((mated.var() + non_mated.var()) / 2))
        results.append(
            ContractResult(
                colour_order=order,
                value_range=values,
                is_own=contract == model.contract,
                mated_mean=float(mated.mean()),
                non_mated_mean=float(non_mated.mean()),
                separation=float(mated.mean() - non_mated.mean()) / spread if spread > 0 else 0.0,
                eer=summary.equal_error_rate.value,
                eer_interval=(interval.low, interval.high) if interval else None,
                num_pairs=len(comparisons),
            )
        )
    return sorted(results, key=lambda r: r.separation, reverse=True)
