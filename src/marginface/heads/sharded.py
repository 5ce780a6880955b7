"""The class-sharded head: each rank holds its share of the classes, full softmax over all, any margin.

    embeddings of all ranks            gathered, G rows            (B D numbers sent by each rank)
    cosine to the true class           summed over ranks           (the rank that has the class knows it)
    log-sum-exp of the others          joined over ranks           (a maximum and a sum)
    gradient of the embeddings         summed, own rows kept       (reduce-scatter)
    gradient of the centres            complete where they are     (nothing to send)

The margin runs on each rank's own rows, so the norm's gradient and running statistics are those of one process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch.distributed.device_mesh import DeviceMesh

from marginface.heads.margin_head import MarginHead
from marginface.heads.settings import HeadSettings


@dataclass(frozen=True, kw_only=True)
class ShardedHeadConfig(HeadSettings):
    """Settings of the class-sharded head; on one rank it is the dense one."""

    kind: Literal["sharded"] = "sharded"
    fused_update: bool = False
    """Move the centres inside the backward pass, so that their gradient never exists as a whole."""

    @property
    def wants_fused_update(self) -> bool:
        """As set."""
        return self.fused_update

    def build(
        self, *, num_classes: int, embedding_dim: int, seed: int = 0, mesh: DeviceMesh | None = None
    ) -> MarginHead:
        """Return the head with its classes split over the ranks of the mesh; None means one rank."""
        return MarginHead(self, num_classes=num_classes, embedding_dim=embedding_dim, seed=seed, mesh=mesh)
