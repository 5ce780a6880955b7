"""What a run must remember to go on exactly: weights, optimiser, scaler, averages, and how far it is.

The order of images, flips and dropout need no memory: they are functions of (seed, step).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.training.build import TrainingRun


@dataclass(frozen=True)
class Window:
    """Sums over the steps since the last line of the log; saved, so that a resumed log repeats bit by bit."""

    steps: int = 0
    images: int = 0
    loss: float = 0.0
    norm: float = 0.0
    target_cos: float = 0.0
    grad_norm: float = 0.0
    broken: int = 0

    def plus(
        self, *, images: int, loss: float, norm: float, target_cos: float, grad_norm: float, broken: int
    ) -> Window:
        """Return the window with one more step; `loss` and `grad_norm` are a step's, `norm` and `target_cos` sums."""
        return Window(
            self.steps + 1,
            self.images + images,
            self.loss + loss,
            self.norm + norm,
            self.target_cos + target_cos,
            self.grad_norm + grad_norm,
            self.broken + broken,
        )

    def means(self) -> dict[str, float]:
        """Return the means for the log: over steps for the loss and gradient, over images for the rest."""
        return {
            "loss": self.loss / self.steps,
            "grad_norm": self.grad_norm / self.steps,
            "mean_norm": self.norm / max(self.images, 1),
            "mean_target_cos": self.target_cos / max(self.images, 1),
            "broken_images": self.broken,
        }


@dataclass(frozen=True)
class Best:
    """The best evaluation so far: by ten-fold accuracy where mated and non-mated pairs are even, else by EER."""

    score: float = -math.inf
    """Higher is better."""
    step: int = -1


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int = 0
    """Optimiser steps done."""
    window: Window = field(default_factory=Window)
    best: Best = field(default_factory=Best)

    def with_best(self, score: float) -> Progress:
        """Return the progress with this step's evaluation taken into account."""
        return replace(self, best=Best(score, self.step)) if score > self.best.score else self


def state_of(run: TrainingRun) -> dict[str, Any]:
    """Return everything a checkpoint holds, as nested mappings of tensors and plain values."""
    weights, optimizer = get_state_dict(run.task, run.optimizer)
    return {
        "weights": weights,
        "optimizer": optimizer,
        "scaler": run.scaler.state_dict(),
        "ema": run.ema.state_dict() if run.ema else {},
        "progress": asdict(run.progress),
        "data_fingerprint": run.data_fingerprint,
    }


def restore(run: TrainingRun, state: dict[str, Any]) -> None:
    """Put a checkpoint's state back into `run`.

    Raises:
        InputError: the data is not what the checkpoint was made with.
    """
    if state["data_fingerprint"] != run.data_fingerprint:
        raise InputError(
            f"data.source: {run.dataset.records.location} has changed since the checkpoint was written (images, people "
            f"or their order); resume on the same data, or start a new run."
        )
    set_state_dict(run.task, run.optimizer, model_state_dict=state["weights"], optim_state_dict=state["optimizer"])
    if run.scaler.is_enabled():
        run.scaler.load_state_dict(state["scaler"])
    if run.ema:
        run.ema.load_state_dict(state["ema"])
    kept = state["progress"]
    run.progress = Progress(kept["step"], Window(**kept["window"]), Best(**kept["best"]))
