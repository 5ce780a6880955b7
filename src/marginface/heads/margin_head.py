"""The head: class centres + margin -> loss, in the order in which things happen.

Letters: B rows of this rank, G rows of all ranks, M rows of G whose class is on this rank, C classes, K sub-centres,
D embedding, N spheres.

Dense, sharded and sampled heads differ in two things only: which centres are on this rank, and which of them a batch
looks at (`_rows`). Margins, sub-centres, spheres, filtering and the head's own update work on all of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from marginface.distributed import RowExchange
from marginface.errors import InputError
from marginface.heads.centre_update import CentreUpdate
from marginface.heads.centres import ClassShard, initial_class_centres, local_centres, shard_of
from marginface.heads.chunked_softmax import ChunkedSoftmax, Geometry, Reweigh
from marginface.heads.class_rows import AllRows, ClassRows
from marginface.heads.head import SMALLEST_NORM, Head, HeadOutput, check_batch, check_finite
from marginface.heads.settings import HeadSettings, SpheresConfig
from marginface.heads.workspace import Workspace
from marginface.margins import Margin
from marginface.optim import CentreRule


class MarginHead(Head):
    """Softmax over class centres under any margin; the dense head, and with a mesh the class-sharded one.

    Everything runs in the centres' float32 whatever the dtype of the embeddings or autocast; the B target cosines and
    the margin run in float64 (float32 on devices without it). Gradients are those of plain torch and are seen by hooks,
    `torch.autograd.grad` and accumulation; their memory is reused once nobody holds it any more (after `zero_grad()`).
    Second derivatives are refused by torch.

    Sharded, all ranks call forward and backward together. The loss is the mean over the rows of all ranks and has the
    same value on each; the gradient of the centres is complete, those of the network have to be summed over ranks
    afterwards, never averaged.

    Attributes:
        class_centres: (C, D), or (C, K, D) with sub-centres; not normalised. With spheres, row y holds the centres of
            class y on all of them, side by side. Sharded, a DTensor of which this rank has `shard`.
        shard: the classes of this rank.
        update: moves the centres in backward; None where an optimiser does.
    """

    def __init__(
        self,
        settings: HeadSettings,
        *,
        num_classes: int,
        embedding_dim: int,
        seed: int = 0,
        mesh: DeviceMesh | None = None,
    ) -> None:
        """Build a head from its settings; with a mesh of several ranks its classes are split over them."""
        super().__init__(scale=settings.scale_for(num_classes), margin=settings.margin.build())
        spheres = settings.spheres
        if spheres is not None and embedding_dim % spheres.count:
            raise InputError(
                f"spheres.count: {spheres.count} spheres do not divide the embedding's {embedding_dim} dimensions; "
                "choose a count that does."
            )
        self.memory = settings.memory
        self.filter_above = settings.filter_above
        self.spheres: SpheresConfig | None = spheres
        self.further_margins = nn.ModuleList(
            copy.deepcopy(self.margin) for _ in range(1, spheres.count if spheres else 1)
        )
        """One a sphere beyond the first, because some keep statistics of what they see."""
        self.sub_centres = settings.sub_centres
        mesh = mesh if mesh is not None and mesh.size() > 1 else None
        self.class_centres = initial_class_centres(
            num_classes, embedding_dim, seed=seed, sub_centres=settings.sub_centres, mesh=mesh
        )
        self.shard = (
            ClassShard(0, 0, num_classes)
            if mesh is None
            else shard_of(num_classes, rank=mesh.get_local_rank(), world_size=mesh.size())
        )
        self.update: CentreUpdate | None = None
        self._workspace = Workspace()

    @property
    def is_sharded(self) -> bool:
        """Whether other ranks hold other classes."""
        return isinstance(self.class_centres, DTensor)

    @property
    def moves_itself(self) -> bool:
        """Whether backward moves the centres, so that no optimiser may."""
        return self.update is not None

    def fuse_update(self, rule: CentreRule) -> CentreUpdate:
        """Let the head move its centres itself in each backward pass from now on; return the update, to set its rate.

        No gradient of the centres exists then: `class_centres.grad` stays None, nothing clips it, and the head's other
        parameters, if the margin has any, still need an optimiser. `update.hold` gathers over accumulated parts. One
        forward, one backward: two forwards in one loss would see centres move in between, and torch says so.
        """
        self.update = CentreUpdate(rule, self.class_centres)
        return self.update

    def leave_out(self) -> None:
        """Let a batch pass that has no row for this head, on any rank; held gradients move the centres if it is due."""
        if self.update is not None:
            self.update.release(local_centres(self.class_centres.detach()))

    def forward(self, embeddings_BD: Tensor, labels_B: Tensor) -> HeadOutput:
        """Return the loss of a batch and what the log wants.

        Args:
            embeddings_BD: (B, D) of any floating dtype, not normalised. With several ranks B may be 0 on some: they
                have to call all the same.
            labels_B: (B,) integers in 0..C-1.

        Raises:
            InputError: a batch or label that does not fit, class centres that are not float32 or float64.
            WorkError: an embedding that is not finite.
        """
        check_batch(embeddings_BD, labels_B, num_classes=self.num_classes, embedding_dim=self.embedding_dim)
        if self.class_centres.dtype not in (torch.float32, torch.float64):
            raise InputError(f"class centres are {self.class_centres.dtype}; keep the head in float32.")
        with torch.autocast(embeddings_BD.device.type, enabled=False):
            return self._forward(embeddings_BD, labels_B.long())

    def _forward(self, embeddings_BD: Tensor, labels_B: Tensor) -> HeadOutput:
        unit_BD, norm_B = self._unit(embeddings_BD)
        check_finite(norm_B)
        exchange = self._exchange(labels_B)
        if self.is_sharded and not exchange.num_global_rows:
            raise InputError("the batch is empty on every rank; give at least one embedding.")
        softmax, centres = self._softmax(embeddings_BD, unit_BD, labels_B, exchange)
        target_NB, handle_NB = softmax.targets(unit_BD, centres)
        scales, penalised_NB = self._penalise(softmax, target_NB, handle_NB, norm_B)
        rest_NB = softmax.rest(handle_NB, scales, self._reweighs(penalised_NB, exchange))
        sample_loss_NB = F.softplus(rest_NB - penalised_NB * penalised_NB.new_tensor(scales)[:, None], threshold=50.0)
        over_spheres_by_mean = self.spheres is not None and self.spheres.reduction == "mean"
        sample_loss_B = sample_loss_NB.mean(dim=0) if over_spheres_by_mean else sample_loss_NB.sum(dim=0)
        penalty_B = self.margin.penalty(norm_B)
        if penalty_B is not None:
            sample_loss_B = sample_loss_B + penalty_B
        dtype = centres.dtype
        return HeadOutput(
            loss=_global_mean(sample_loss_B, exchange).to(dtype),
            sample_loss_B=sample_loss_B.detach().to(dtype),
            target_cos_B=self._whole_cosine(softmax.target_cos_NB).to(dtype),
            norm_B=norm_B.detach().to(dtype),
            num_rows=exchange.num_global_rows,
        )

    def _exchange(self, rows_B: Tensor) -> RowExchange:
        """Return how this batch's rows reach the other ranks."""
        if not isinstance(self.class_centres, DTensor):
            return RowExchange.alone(rows_B)
        # The group is asked of the centres: a head that kept it could not be copied.
        return RowExchange.of(rows_B, self.class_centres.device_mesh.get_group())

    def _unit(self, embeddings_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is multiplied with the centres, (B, D), and the length of each embedding, (B,)."""
        wide_BD = embeddings_BD.to(torch.float32 if embeddings_BD.device.type == "mps" else torch.float64)
        norm_B = torch.linalg.vector_norm(wide_BD, dim=1)
        if not self.margin.normalised:
            return wide_BD, norm_B
        if self.spheres is None or self.spheres.slice_norm == "global":
            return wide_BD / norm_B.clamp_min(SMALLEST_NORM)[:, None], norm_B
        wide_BNd = wide_BD.unflatten(1, (self.spheres.count, -1))
        norm_BN1 = torch.linalg.vector_norm(wide_BNd, dim=2, keepdim=True).clamp_min(SMALLEST_NORM)
        return (wide_BNd / norm_BN1).flatten(1), norm_B

    def _softmax(
        self, embeddings_BD: Tensor, unit_BD: Tensor, labels_B: Tensor, exchange: RowExchange
    ) -> tuple[ChunkedSoftmax, Tensor]:
        """Return this rank's part of the work on the rows of all ranks, and the centres that autograd knows."""
        unit_GD = unit_BD.detach()
        if self.is_sharded:
            unit_GD = self._unit(exchange.gather(embeddings_BD))[0]
        labels_G = exchange.gather(labels_B) - self.shard.first
        mine_M = ((labels_G >= 0) & (labels_G < self.shard.num_classes)).nonzero()[:, 0]
        centres = local_centres(self.class_centres)
        rows, labels_M = self._rows(centres, labels_G[mine_M])
        softmax = ChunkedSoftmax(
            unit_GD,
            rows,
            labels_M,
            mine_M,
            geometry=Geometry(
                spheres=1 + len(self.further_margins),
                sub_centres=self.sub_centres,
                normalised=self.margin.normalised,
                smallest_norm=SMALLEST_NORM,
            ),
            exchange=exchange,
            workspace=self._workspace,
            store=self.memory == "store" and torch.is_grad_enabled(),
        )
        return softmax, centres

    def _rows(self, centres: Tensor, labels_M: Tensor) -> tuple[ClassRows, Tensor]:
        """Return the classes of this rank that the batch is compared with, and the labels as positions among them."""
        return AllRows(centres.detach(), self._workspace, self.update), labels_M

    def _penalise(
        self, softmax: ChunkedSoftmax, target_NB: Tensor, handle_NB: Tensor, norm_B: Tensor
    ) -> tuple[list[float], Tensor]:
        """Return each sphere's scale and penalised cosines, (N, B)."""
        scales, penalised = [], []
        for n, margin in enumerate(self._margins()):
            scale = self.scale
            if _overrides(margin, "adapt_scale"):
                scale = margin.adapt_scale(scale, target_NB[n].detach(), self._rest_of(softmax, handle_NB, n))
            scales.append(scale)
            penalised.append(margin(target_NB[n], norm_B))
        return scales, torch.stack(penalised)

    def _rest_of(self, softmax: ChunkedSoftmax, handle_NB: Tensor, sphere: int) -> Callable[[float], Tensor]:
        def rest_of_scale(scale: float) -> Tensor:
            with torch.no_grad():
                nothing: list[Reweigh | None] = [self._filter()] * len(handle_NB)
                return softmax.rest(handle_NB, [scale] * len(handle_NB), nothing)[sphere]

        return rest_of_scale

    def _reweighs(self, penalised_NB: Tensor, exchange: RowExchange) -> list[Reweigh | None]:
        """Return what each sphere does to cosines of other classes; None where nothing is done."""
        margins = self._margins()
        if not any(_overrides(margin, "reweigh") for margin in margins):
            return [self._filter()] * len(margins)
        penalised_NG = exchange.gather(penalised_NB.T).T.to(self.class_centres.dtype)
        return [_reweigh_of(margin, penalised_NG[n], self._filter()) for n, margin in enumerate(margins)]

    def _filter(self) -> Reweigh | None:
        threshold = self.filter_above
        return None if threshold is None else lambda cos_KG: torch.where(cos_KG > threshold, 0.0, cos_KG)

    def _margins(self) -> list[Margin]:
        return [self.margin, *(margin for margin in self.further_margins if isinstance(margin, Margin))]

    def _whole_cosine(self, cos_NB: Tensor) -> Tensor:
        """Return the cosine between the whole embedding and the centres of its class on all spheres together."""
        spheres = self.spheres
        if spheres is None:
            return cos_NB[0].detach()
        slices_are_whole = spheres.slice_norm == "per_slice" or not self.margin.normalised
        by = spheres.count if slices_are_whole else spheres.count**0.5
        return cos_NB.detach().sum(dim=0) / by

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        parts = [super().extra_repr(), f"memory={self.memory!r}"]
        parts += [f"sub_centres={self.sub_centres}"] if self.sub_centres > 1 else []
        parts += [f"spheres={self.spheres.count}"] if self.spheres else []
        parts += [f"classes {self.shard.first} to {self.shard.first + self.shard.num_classes} here"] * self.is_sharded
        return ", ".join(parts)


def _overrides(margin: Margin, method: str) -> bool:
    return getattr(type(margin), method) is not getattr(Margin, method)


def _reweigh_of(margin: Margin, penalised_G: Tensor, first: Reweigh | None) -> Reweigh:
    """Return the margin's change of other classes' cosines, after the filter's."""
    margin = copy.deepcopy(margin)  # with its statistics of this batch: other batches may come before backward does
    return lambda cos_KG: margin.reweigh(cos_KG if first is None else first(cos_KG), penalised_G)


def _global_mean(sample_loss_B: Tensor, exchange: RowExchange) -> Tensor:
    """Return the mean over the rows of all ranks; gradients reach this rank's rows, which are all that it can reach."""
    own = sample_loss_B.sum() / max(exchange.num_global_rows, 1)
    return own + (exchange.sum(own.detach().clone()) - own.detach()) if exchange.num_ranks > 1 else own
