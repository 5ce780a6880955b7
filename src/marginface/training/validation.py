"""Evaluation while training goes on: all ranks embed, the first one judges."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from marginface.distributed import from_first, together
from marginface.evaluation.run import EvaluationResult, evaluate_systems
from marginface.models.face_model import FaceModel
from marginface.training.build import TrainingRun
from marginface.training.state import share_statistics


def current_model(run: TrainingRun) -> FaceModel:
    """Return the run's model as it stands, with averaged weights where the recipe asks for them; all ranks call it.

    Its backbone is a plain copy, whatever training has made of the one it moves: whole weights, no hooks, no DTensors.
    """
    share_statistics(run)
    own = run.task.backbone.state_dict()
    weights = {name: tensor for name, tensor in run.ema.state_dict().items() if name in own} if run.ema else own
    backbone = run.config.backbone.build(input_size=run.config.data.input_size).to(run.ranks.device)
    backbone.load_state_dict({name: whole(tensor) for name, tensor in weights.items()})
    if run.config.precision.channels_last:
        backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FaceModel(backbone, run.config.backbone, run.contract, run.card)


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor that ranks hold parts of as one, on each of them; any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def evaluate_now(run: TrainingRun) -> list[EvaluationResult]:
    """Return the results of all evaluations in the recipe, the same on every rank; all ranks embed."""
    model, workers = current_model(run), run.config.data.num_workers
    results: list[EvaluationResult] = []
    for config in run.config.evaluations:
        judge = partial(evaluate_systems, [model], config, num_workers=workers, ranks=run.ranks)
        results += [evaluation.result for evaluation in together(judge)]
    return from_first(results)
