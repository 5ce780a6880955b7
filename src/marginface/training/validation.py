"""Evaluation while training goes on: by the first rank, for all of them."""

from __future__ import annotations

import torch.distributed as dist

from marginface.evaluation.run import EvaluationResult, evaluate
from marginface.models.face_model import FaceModel
from marginface.training.build import TrainingRun


def current_model(run: TrainingRun) -> FaceModel:
    """Return the run's model as it stands, with averaged weights where the recipe asks for them."""
    backbone = run.ema.averaged(run.task.backbone) if run.ema else run.task.backbone
    return FaceModel(backbone, run.config.backbone, run.contract, run.card)


def evaluate_now(run: TrainingRun) -> list[EvaluationResult]:
    """Return the results of all evaluations in the recipe, the same on every rank."""
    results: list[EvaluationResult] = []
    if run.ranks.is_first:
        model, workers = current_model(run), run.config.data.num_workers
        results = [evaluate(model, config, num_workers=workers).result for config in run.config.evaluations]
    if dist.is_initialized():
        carrier: list[list[EvaluationResult]] = [results]
        dist.broadcast_object_list(carrier, src=0)
        results = carrier[0]
    return results
