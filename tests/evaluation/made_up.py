"""Evaluations whose scores are made up from normal distributions, for pages that need no model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from marginface.evaluation.run import Evaluation, EvaluationConfig, Identification
from marginface.metrics import SearchScores, identification_summary
from marginface.protocols import Comparisons, GalleryConfig, GeneratedConfig
from marginface.protocols.run_plans import SearchResult
from marginface.records.embedding_table import EmbeddingTable


def evaluation(
    system: str,
    *,
    separation: float = 2.5,
    pairs: int = 3000,
    people: int = 400,
    folds: bool = True,
    person: str = "Person",
    fmr_targets: tuple[float, ...] = (1e-2, 1e-3, 1e-4),
    broken: tuple[str, ...] = (),
    seed: int = 0,
) -> Evaluation:
    """Return a system whose mated scores lie `separation` deviations above the non-mated ones.

    Everybody has two images; `pairs` comparisons of each kind, mated ones first.
    """
    rng = np.random.default_rng(seed)
    score = np.clip(0.05 + 0.12 * rng.normal(size=2 * pairs), -1, 1).astype(np.float32)
    mated = np.arange(2 * pairs) < pairs
    score[mated] = np.clip(score[mated] + 0.12 * separation, -1, 1)
    left_person = rng.integers(people, size=2 * pairs)
    right_person = np.where(mated, left_person, (left_person + rng.integers(1, people, size=2 * pairs)) % people)
    left, right = 2 * left_person, 2 * right_person + 1
    comparisons = Comparisons(
        name="generated",
        score=score,
        mated=mated,
        left=left,
        right=right,
        identity_left=left_person,
        identity_right=right_person,
        fold=np.arange(2 * pairs) % 10 if folds else None,
        num_left_out=3 * len(broken),
    )
    vectors = (rng.normal(size=(2 * people, 4)) + 8).astype(np.float32)
    names = [f"{person}_{i:03d}" for i in range(people)]
    table = EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1),
        keys=tuple(f"{n}/{k:04d}.jpg" for n in names for k in (1, 2)),
        labels=np.repeat(np.arange(people), 2),
        identities=tuple(names),
        fingerprint=f"made-up-{seed}",
        meta={"broken": list(broken)},
    )
    config = EvaluationConfig(
        name="strangers",
        data="folder:faces",
        protocol=GeneratedConfig(),
        fmr_targets=fmr_targets,
        num_replicates=50,
    )
    return Evaluation(
        system=system,
        description=f"{system}, made up.",
        config=config,
        summary=comparisons.summarise(fmr_targets=fmr_targets, num_replicates=50),
        comparisons=comparisons,
        table=table,
        num_images=len(np.union1d(left, right)),
        provenance={"data": "folder:faces", "flip": "none", "command": "marginface evaluate run --protocol lfw"},
    )


def write_log(path: Path, *, steps: int = 2000, evaluations: bool = True, seed: int = 0) -> Path:
    """Write a training log of the usual shape."""
    rng = np.random.default_rng(seed)
    lines = []
    for step in range(1, steps + 1):
        done = step / steps
        lines.append(
            {
                "event": "step",
                "step": step,
                "epoch": step // 500,
                "loss": float(4 + 16 * np.exp(-3 * done) + rng.normal() * 0.6),
                "lr": float(0.1 * min(step / 200, 1) * (1 - done) ** 2),
                "mean_norm": float(12 + 10 * done + rng.normal() * 0.3),
                "mean_target_cos": float(0.6 * (1 - np.exp(-3 * done)) + rng.normal() * 0.02),
                "images_per_second": 210.0,
            }
        )
        if evaluations and step % 250 == 0:
            error = 0.06 + 0.35 * np.exp(-4 * done)
            lines.append(
                {
                    "event": "evaluation",
                    "step": step,
                    "name": "lfw",
                    "accuracy": 1 - error * 0.95,
                    "accuracy_low": 1 - error * 0.95 - 0.012,
                    "accuracy_high": 1 - error * 0.95 + 0.012,
                    "eer": error,
                    "eer_low": error - 0.012,
                    "eer_high": error + 0.012,
                }
            )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def identification(system: str, *, gap: float = 3.0, galleries: int = 1, strangers: int = 400, seed: int = 0):
    """Return a system whose mates score `gap` deviations above the best of the others, in galleries of 500 entries."""
    rng = np.random.default_rng(seed)
    searches = []
    for number in range(galleries):
        mated = np.arange(300 + strangers) < 300
        mate_score = np.where(mated, rng.normal(gap, 1, len(mated)), 0).astype(np.float32)
        other = rng.normal(0, 1, len(mated)).astype(np.float32)
        rank = np.where(mated, 1 + (other >= mate_score) * rng.integers(1, 40, len(mated)), 0)
        searches.append(
            SearchScores(
                name=f"G{number + 1}",
                person=np.arange(len(mated)),
                rank=rank,
                mate_score=mate_score,
                non_mate_score=other,
                average_precision=None,
                num_entries=500,
            )
        )
    config = EvaluationConfig(name="desk", data="folder:faces", protocol=GalleryConfig(table=Path("desk.csv")))
    return Identification(
        system=system,
        description=f"{system}, made up.",
        config=config,
        summary=identification_summary(searches, average=galleries > 1, num_replicates=50),
        result=SearchResult(tuple(searches), 0, 0),
        table=evaluation(system, pairs=100).table,
        counts={},
        notes=(),
        provenance={"data": "folder:faces"},
    )
