"""The dense head: all classes on every rank, full softmax, any margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch.distributed.device_mesh import DeviceMesh

from marginface.errors import InputError
from marginface.heads.margin_head import MarginHead
from marginface.heads.settings import HeadSettings


@dataclass(frozen=True, kw_only=True)
class DenseHeadConfig(HeadSettings):
    """Settings of the dense head."""

    kind: Literal["dense"] = "dense"
    fused_update: bool = False
    """Move the centres inside the backward pass, so that their gradient never exists as a whole: saves its memory and
    one walk over the centres. On one rank only, since copies of a head have to sum their gradients first: with several
    ranks take kind: sharded."""

    @property
    def wants_fused_update(self) -> bool:
        """As set."""
        return self.fused_update

    def build(
        self, *, num_classes: int, embedding_dim: int, seed: int = 0, mesh: DeviceMesh | None = None
    ) -> MarginHead:
        """Return the head, with class centres drawn from `seed`; every rank of a mesh gets a copy of its own.

        Raises:
            InputError: the update is to be fused and there are several ranks.
        """
        if self.fused_update and mesh is not None and mesh.size() > 1:
            raise InputError("head.fused_update: copies of a dense head cannot move themselves; take kind: sharded.")
        return MarginHead(self, num_classes=num_classes, embedding_dim=embedding_dim, seed=seed)
