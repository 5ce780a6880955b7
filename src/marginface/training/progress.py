"""How far a run is: its step, the sums of the log's open window, and the best evaluation so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class SourceSums:
    """Sums over the images of one source that has a head of its own."""

    images: int = 0
    loss: float = 0.0
    target_cos: float = 0.0

    def plus(self, more: SourceSums) -> SourceSums:
        """Return the sums over these images and more."""
        return SourceSums(self.images + more.images, self.loss + more.loss, self.target_cos + more.target_cos)

    def means(self) -> dict[str, float]:
        """Return what the log says; without means where there was no image."""
        if not self.images:
            return {"images": 0}
        return {
            "images": self.images,
            "loss": self.loss / self.images,
            "mean_target_cos": self.target_cos / self.images,
        }


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
    sources: Mapping[str, SourceSums] = field(default_factory=dict)
    """By the name of the source, from the first step on; empty where one head has all people."""

    @classmethod
    def empty(cls, sources: Iterable[str]) -> Window:
        """Return a window without steps."""
        return cls(sources={name: SourceSums() for name in sources})

    def plus(
        self,
        *,
        images: int,
        loss: float,
        norm: float,
        target_cos: float,
        grad_norm: float,
        broken: int,
        sources: Mapping[str, SourceSums],
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
            {name: sums.plus(sources[name]) for name, sums in self.sources.items()},
        )

    def means(self) -> dict[str, float]:
        """Return the means for the log: over steps for the loss and gradient, over images for the rest.

        Those of a source begin with its name, as its people do.
        """
        return {
            "loss": self.loss / self.steps,
            "grad_norm": self.grad_norm / self.steps,
            "mean_norm": self.norm / max(self.images, 1),
            "mean_target_cos": self.target_cos / max(self.images, 1),
            "broken_images": self.broken,
            **{f"{name}/{what}": mean for name, sums in self.sources.items() for what, mean in sums.means().items()},
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
