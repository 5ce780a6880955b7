"""The sampled head: a step looks at the classes of its batch and at some others, drawn anew each time.

Partial FC (An et al., CVPR 2022, arXiv:2203.15565). With several ranks each holds its share of the classes and draws
from it, and the classes of the global batch are always among those drawn.

What happens to classes that were not drawn is a choice:

- "frozen": nothing. Only drawn rows have a gradient, and only they move, with their own momentum; as in the first
  version of insightface's Partial FC. `marginface train` lets the head move them itself; in your own loop do that
  (`fuse_update`), or take the sparse gradient that backward leaves (torch's SparseAdam, or SGD without momentum).
- "decayed": their gradient is zero, and the optimiser's momentum and weight decay move them at every step; as in its
  second version, whose README says otherwise. It costs a gradient of all centres and a walk over them.

In evaluation mode all classes are looked at. The draws are functions of (seed, number of the draw, rank): the same when
a run resumes, others on another number of ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from marginface.errors import InputError
from marginface.heads.centre_update import CentreUpdate
from marginface.heads.class_rows import AllRows, ChosenRows, ClassRows
from marginface.heads.margin_head import MarginHead
from marginface.heads.sampling import choose_classes
from marginface.heads.settings import HeadSettings
from marginface.optim import CentreRule


@dataclass(frozen=True, kw_only=True)
class SampledHeadConfig(HeadSettings):
    """Settings of the sampled head."""

    kind: Literal["sampled"] = "sampled"
    rate: float = 0.1
    """Share of the classes that a step looks at, in [0, 1]; 0 leaves the classes of the batch alone, 1 is the full
    softmax."""
    unsampled: Literal["frozen", "decayed"] = "frozen"
    """What happens to classes that were not drawn: "frozen" leaves them where they are, "decayed" lets the optimiser's
    momentum and weight decay move them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.rate <= 1.0:
            raise ValueError(f"rate is {self.rate}; it is a share of the classes, between 0 and 1.")

    @property
    def wants_fused_update(self) -> bool:
        """Where others are frozen the head moves the drawn ones itself: no torch optimiser moves rows with momentum."""
        return self.unsampled == "frozen"

    def build(
        self, *, num_classes: int, embedding_dim: int, seed: int = 0, mesh: DeviceMesh | None = None
    ) -> SampledHead:
        """Return the head, with its classes split over the ranks of the mesh; None means one rank."""
        return SampledHead(self, num_classes=num_classes, embedding_dim=embedding_dim, seed=seed, mesh=mesh)


class SampledHead(MarginHead):
    """Softmax over the classes of the batch and a random share of the others.

    Attributes:
        num_draws: (), how often classes were drawn; saved with the head, so that a resumed run goes on with its draws.
    """

    num_draws: Tensor

    def __init__(
        self,
        settings: SampledHeadConfig,
        *,
        num_classes: int,
        embedding_dim: int,
        seed: int = 0,
        mesh: DeviceMesh | None = None,
    ) -> None:
        super().__init__(settings, num_classes=num_classes, embedding_dim=embedding_dim, seed=seed, mesh=mesh)
        self.rate = settings.rate
        self.unsampled = settings.unsampled
        self.seed = seed
        self.register_buffer("num_draws", torch.zeros((), dtype=torch.int64))

    def fuse_update(self, rule: CentreRule) -> CentreUpdate:
        """Let the head move the drawn centres itself in each backward pass; return the update, to set its rate.

        Raises:
            InputError: the others are to be moved too, by an optimiser.
        """
        if self.unsampled == "decayed":
            raise InputError(
                "unsampled: decayed lets an optimiser move all rows, drawn or not, so the head cannot move its centres "
                "itself; set unsampled: frozen for that."
            )
        return super().fuse_update(rule)

    def _rows(self, centres: Tensor, labels_M: Tensor) -> tuple[ClassRows, Tensor]:
        """Return the drawn classes of this rank."""
        if not self.training:
            return AllRows(centres.detach(), self._workspace, self.update), labels_M
        if self.is_sharded and self.unsampled == "frozen" and not self.moves_itself and torch.is_grad_enabled():
            raise InputError(
                "a sampled head over several ranks with frozen classes has to move its centres itself; call "
                "head.fuse_update(rule), or set unsampled: decayed."
            )
        address = (self.seed, int(self.num_draws), self.shard.rank)
        self.num_draws += 1
        positives = labels_M.unique()
        chosen = choose_classes(positives.cpu().numpy(), self.shard.num_classes, self.rate, address=address)
        chosen_C = torch.from_numpy(chosen).to(labels_M.device)
        rows = ChosenRows(
            centres.detach(), chosen_C, self._workspace, self.update, dense_gradient=self.unsampled == "decayed"
        )
        return rows, torch.searchsorted(chosen_C, labels_M)

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"{super().extra_repr()}, rate={self.rate}, unsampled={self.unsampled!r}"
