"""The heavy part of every head: cosines to all classes, and the log-sum-exp of all but the true one, in chunks.

Letters: B rows of this rank, G rows of all ranks, C classes that take part on this rank, K sub-centres a class,
R = C K centres, D embedding, N spheres (D is cut into N slices of d), M rows of G whose class is on this rank.
With one rank G is B; K and N are 1 unless asked for.

With u = x / |x| and v_j = w_j / |w_j| the softmax loss under a margin f of the true class y is

    t_i    = u_i . v_y                                      (`targets`)
    N_i    = logsumexp over j != y of  s r(u_i . v_j)       (`rest`; r is the identity for almost all margins)
    loss_i = log(exp N_i + exp(s f(t_i))) - s f(t_i) = softplus(N_i - s f(t_i))      (the head, B numbers)

so margin, norm and penalty are ordinary autograd over B numbers, and nothing cancels when the true class dominates.
Backward gets dN_i and dt_i. The gradient of a chunk's cosines is G_ij = dN_i s r'(c_ij) exp(s r(c_ij) - N_i) and
G_iy = dt_i; then du_i += sum_j G_ij v_j and dw_j = (g_j - (g_j . v_j) v_j) / |w_j| with g_j = sum_i G_ij u_i.

The margin stands between `targets` and `rest`, since r may depend on f(t). In backward it is the other way round:
`rest` hands its gradient to the node of `targets` through a handle, so that one walk over the chunks serves both.

What makes it as fast as its matrix products: centres are never normalised as a tensor (|w_j| scales the chunk's rows,
and the projection takes g_j . v_j = sum_i G_ij cos_ij from the chunk); a chunk stays in cache; classes come first in
every buffer, the faster orientation of the products; all memory is reused; while every exponent fits into float32 no
maximum has to be looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from marginface.distributed import RowExchange
from marginface.heads.class_rows import ClassRows, GradientSink
from marginface.heads.workspace import Workspace

ENTRIES_PER_CHUNK = 3072 * 128
"""Logits of a chunk: 1.5 MiB, beside 6 MiB of centres for 3,072 classes of 512 dimensions: it stays in the last cache.

Larger chunks lose less time where threads wait for one that has lost its core; smaller ones need less memory, which is
what a fused update is for.
"""
FEWEST_PER_CHUNK = 1024
"""Centres, however many rows the batch has."""
LARGEST_EXPONENT = 70.0
"""exp(70) = 2.5e30: the sum over 100 million classes fits into float32, and exp(-70) is no underflow either."""

Reweigh = Callable[[Tensor], Tensor]
"""Cosines of some classes (k, G) -> what becomes of them, entry by entry."""


@dataclass(frozen=True)
class Geometry:
    """How cosines are made of embeddings and centres."""

    spheres: int = 1
    sub_centres: int = 1
    normalised: bool = True
    """Divide centres by their length. Embeddings come as they are to be used."""
    smallest_norm: float = 1e-6
    """Centres shorter than this are divided by it instead of their length."""


class ChunkedSoftmax:
    """One batch against all classes of this rank, from the embeddings to `targets` and `rest` and back.

    A second backward through the same graph works. Where the stored logits have been overwritten by a later forward,
    backward computes them again.
    """

    def __init__(
        self,
        unit_GD: Tensor,
        rows: ClassRows,
        labels_M: Tensor,
        mine_M: Tensor,
        *,
        geometry: Geometry,
        exchange: RowExchange,
        workspace: Workspace,
        store: bool,
    ) -> None:
        """Set up a batch; nothing is computed yet.

        Args:
            unit_GD: embeddings of all ranks, of length 1 (or not, if `geometry` says so); float64 keeps the target
                cosine in float64, the rest is the centres' dtype.
            rows: the class centres that take part.
            labels_M: int64 in 0..C-1, positions in `rows`.
            mine_M: which rows of `unit_GD` they belong to.
            geometry: slices, sub-centres, normalising.
            exchange: the ranks' rows of this batch.
            workspace: where buffers are kept between steps.
            store: keep one (R, G) buffer a sphere from forward to backward (3 matrix products), or compute it again
                (4, no buffer).
        """
        self.unit_GD, self.rows, self.geometry, self.exchange = unit_GD, rows, geometry, exchange
        self.workspace, self.store = workspace, store
        centres_per_chunk = max(FEWEST_PER_CHUNK, ENTRIES_PER_CHUNK // max(unit_GD.shape[0], 1))
        classes_per_chunk = max(1, centres_per_chunk // geometry.sub_centres)
        self.chunks = _chunks(rows.num_classes, labels_M, mine_M, classes_per_chunk)
        self.target_cos_NB = unit_GD.new_zeros(0)
        """Set by `targets`: the true cosines, for the log."""
        self._labels_M, self._mine_M = labels_M, mine_M
        dim = unit_GD.shape[1] // geometry.spheres
        self._slices = [slice(n * dim, (n + 1) * dim) for n in range(geometry.spheres)]
        self._low_GD = unit_GD.to(rows.dtype)
        self._choice_MN = labels_M.new_zeros(0)
        self._length_RN: Tensor | None = None
        self._rest_NG = unit_GD.new_zeros(0)
        self._scales: Sequence[float] = ()
        self._reweighs: Sequence[Reweigh | None] = ()
        self._ticket: int | None = None

    def targets(self, unit_BD: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosine of own rows to their true classes, (N, B), and the handle that `rest` wants, (N, B).

        Differentiable (once) with respect to both arguments; the gradient of `centres` goes where `rows` sends it.
        """
        target_NB, handle_NB = _Targets.apply(unit_BD, centres, self)
        return target_NB, handle_NB

    def rest(self, handle_NB: Tensor, scales: Sequence[float], reweighs: Sequence[Reweigh | None]) -> Tensor:
        """Return the log-sum-exp of all other classes' scaled and reweighed cosines, (N, B); both lists have N entries.

        It may be called again with other scales; the last call is the one that backward goes through.
        """
        rest_NB: Tensor = _Rest.apply(handle_NB, self, scales, reweighs)
        return rest_NB

    def find_targets(self) -> tuple[Tensor, Tensor]:
        """Return (N, B) targets and their cosines, each computed by the rank that has the class.

        They are the same unless centres are not normalised.
        """
        geometry = self.geometry
        unit_MD = self.unit_GD[self._mine_M]
        own_MKD = self.rows.classes(self._labels_M).to(unit_MD.dtype)
        own_MKNd = own_MKD.unflatten(2, (geometry.spheres, -1))
        length_MKN1 = torch.linalg.vector_norm(own_MKNd, dim=3, keepdim=True).clamp_min(geometry.smallest_norm)
        if geometry.normalised:
            own_MKNd = own_MKNd / length_MKN1
        dot_MKN = (unit_MD.unflatten(1, (1, geometry.spheres, -1)) * own_MKNd).sum(dim=3)
        best_MN, self._choice_MN = dot_MKN.max(dim=1)
        if geometry.normalised:
            target_NB = self._of_own_rows(best_MN).clamp_(
                -1.0, 1.0
            )  # rounding may lead past 1: no part of the gradient
            return target_NB, target_NB
        length_MN = length_MKN1[..., 0].gather(1, self._choice_MN[:, None])[:, 0]
        norm_MN = torch.linalg.vector_norm(unit_MD.unflatten(1, (geometry.spheres, -1)), dim=2)
        cos_MN = best_MN / (length_MN * norm_MN.clamp_min(geometry.smallest_norm))
        return self._of_own_rows(best_MN), self._of_own_rows(cos_MN).clamp_(-1.0, 1.0)

    def _of_own_rows(self, values_MN: Tensor) -> Tensor:
        """Return (N, B) for this rank's rows, whichever rank has their classes."""
        values_NG = values_MN.new_zeros(values_MN.shape[1], self.unit_GD.shape[0])
        values_NG[:, self._mine_M] = values_MN.T
        return self.exchange.own(self.exchange.sum(values_NG), dim=1).clone()

    def find_rest(self, scales: Sequence[float], reweighs: Sequence[Reweigh | None]) -> Tensor:
        """Return (N, B), and keep what backward needs."""
        num_rows, spheres = self.unit_GD.shape[0], self.geometry.spheres
        self._scales, self._reweighs, self._ticket = scales, reweighs, None
        fits = self.geometry.normalised and max(scales) <= LARGEST_EXPONENT and not any(reweighs)
        fits = fits and self.geometry.sub_centres == 1
        scaled_GD = self._scaled()
        stored_NRG = self._take_store()
        new = self._low_GD.new_empty
        lengths_RN = new(self.rows.num_rows, spheres) if self.geometry.normalised else None
        max_PNG = new(len(self.chunks), spheres, num_rows)
        sum_PNG = new(len(self.chunks), spheres, num_rows)
        for part, chunk in enumerate(self.chunks):
            weight_RD = self.rows.weights(chunk.first, chunk.last)
            span = self._span(chunk)
            length_RN = None
            if lengths_RN is not None:
                length_RN = lengths_RN[span]
                _length_into(length_RN, weight_RD, self.geometry.smallest_norm)
            for n, own in enumerate(self._slices):
                raw_RG = self._buffer("chunk", span) if stored_NRG is None else stored_NRG[n, span]
                self._scaled_cosines(weight_RD[:, own], scaled_GD[:, own], length_RN, n, out=raw_RG)
                if fits:
                    exp_KG = torch.exp(raw_RG, out=self._buffer("work", span))
                    exp_KG[chunk.label, chunk.row] = 0.0  # the true class is left out
                    torch.sum(exp_KG, dim=0, out=sum_PNG[part, n])
                    continue
                logits_KG = self._class_logits(raw_RG, n)
                logits_KG[chunk.label, chunk.row] = -torch.inf
                highest_G = torch.amax(logits_KG, dim=0, out=max_PNG[part, n])
                highest_G.clamp_(min=torch.finfo(highest_G.dtype).min)
                # The largest of the chunk is taken off, so that rows whose logits are all low do not underflow.
                torch.sum(logits_KG.sub_(highest_G).exp_(), dim=0, out=sum_PNG[part, n])
        rest_NG = sum_PNG.sum(dim=0).log_() if fits else torch.logsumexp(max_PNG + sum_PNG.log(), dim=0)
        self._rest_NG, self._length_RN = self.exchange.logsumexp(rest_NG), lengths_RN
        return self.exchange.own(self._rest_NG, dim=1).contiguous()

    def walk_back(
        self, grad_target_NB: Tensor, grad_rest_NB: Tensor, sink: GradientSink | None, *, wants_unit: bool
    ) -> Tensor | None:
        """Send the centres' gradient to `sink`, chunk by chunk, and return that of own embeddings, (B, D)."""
        grads_BN2 = torch.stack([grad_target_NB.T, grad_rest_NB.T], dim=2).to(self.rows.dtype)
        grad_target_GN, grad_rest_GN = self.exchange.gather(grads_BN2).unbind(dim=2)
        scaled_GD = self._scaled()
        stored_NRG = self._stored()
        # Slope = sign exp(logit - (rest - log |factor|)); the sign waits, since no exponential is negative.
        factor_GN = grad_rest_GN * grad_rest_GN.new_tensor(self._scales)
        sign_GN = torch.where(factor_GN < 0, -1.0, 1.0).to(factor_GN)
        shift_NG = self._rest_NG.clamp(min=torch.finfo(factor_GN.dtype).min) - factor_GN.abs().log().T
        grad_unit_GD = torch.zeros_like(self._low_GD) if wants_unit else None
        signed_GD = (self._low_GD.unflatten(1, (self.geometry.spheres, -1)) * sign_GN[:, :, None]).flatten(1)
        for chunk in self.chunks:
            weight_RD = self.rows.weights(chunk.first, chunk.last)
            span = self._span(chunk)
            length_RN = None if self._length_RN is None else self._length_RN[span]
            grad_RD = None if sink is None else sink.chunk(chunk.first, chunk.last)
            for n, own in enumerate(self._slices):
                if stored_NRG is None:
                    raw_RG = self._buffer("chunk", span)
                    self._scaled_cosines(weight_RD[:, own], scaled_GD[:, own], length_RN, n, out=raw_RG)
                else:
                    raw_RG = stored_NRG[n, span]
                slope_RG = self._slope(raw_RG, shift_NG[n], n)
                self._set_targets(slope_RG, chunk, (grad_target_GN * sign_GN)[:, n], n)
                if length_RN is not None:
                    slope_RG.div_(length_RN[:, n, None])  # G / |w|: both products below want it
                if grad_unit_GD is not None:
                    grad_unit_GD[:, own].addmm_(slope_RG.t(), weight_RD[:, own])
                if grad_RD is None:
                    continue
                torch.mm(slope_RG, signed_GD[:, own], out=grad_RD[:, own])
                if length_RN is not None:
                    along_RG = torch.mul(slope_RG, raw_RG, out=self._buffer("chunk", span))
                    along_R = torch.mv(along_RG, sign_GN[:, n]).div_(length_RN[:, n]).mul_(-1.0 / self._scales[n])
                    grad_RD[:, own].addcmul_(weight_RD[:, own], along_R[:, None])
            if sink is not None and grad_RD is not None:
                sink.done(chunk.first, chunk.last, weight_RD, grad_RD)
        if grad_unit_GD is None:
            return None
        grad_unit_GD.unflatten(1, (self.geometry.spheres, -1)).mul_(sign_GN[:, :, None])
        return self.exchange.sum_own(grad_unit_GD)

    def _slope(self, raw_RG: Tensor, shift_G: Tensor, sphere: int) -> Tensor:
        """Return |dN| s r' exp(s r - N) of each centre: zero for those that are not their class's nearest."""
        sub_centres, scale, reweigh = self.geometry.sub_centres, self._scales[sphere], self._reweighs[sphere]
        work_RG = self.workspace.scratch("work", raw_RG.shape, raw_RG)
        if sub_centres == 1 and reweigh is None:
            return torch.sub(raw_RG, shift_G, out=work_RG).exp_()
        best_KG, nearest_KG = raw_RG, None
        if sub_centres > 1:
            best_KG, nearest_KG = raw_RG.unflatten(0, (-1, sub_centres)).max(dim=1)
        if reweigh is None:
            slope_KG = (best_KG - shift_G).exp_()
        else:
            with torch.enable_grad():
                cos_KG = (best_KG / scale).requires_grad_()
                changed_KG = reweigh(cos_KG)
                (derivative_KG,) = torch.autograd.grad(changed_KG.sum(), cos_KG)
            slope_KG = (changed_KG.detach() * scale).sub_(shift_G).exp_().mul_(derivative_KG)
        if nearest_KG is None:
            return work_RG.copy_(slope_KG)
        work_RG.zero_().unflatten(0, (-1, sub_centres)).scatter_(1, nearest_KG[:, None], slope_KG[:, None])
        return work_RG

    def _set_targets(self, slope_RG: Tensor, chunk: Chunk, grad_target_G: Tensor, sphere: int) -> None:
        """Put the gradient of the true class where it belongs: the sub-centre that `find_targets` chose."""
        slope_KkG = slope_RG.unflatten(0, (-1, self.geometry.sub_centres))
        if self.geometry.sub_centres > 1:
            slope_KkG[chunk.label, :, chunk.row] = 0.0
        slope_KkG[chunk.label, self._choice_MN[chunk.entry, sphere], chunk.row] = grad_target_G[chunk.row]

    def _class_logits(self, raw_RG: Tensor, sphere: int) -> Tensor:
        """Return a class's logits (k, G) in memory that may be overwritten: those of its nearest centre, reweighed."""
        sub_centres, scale, reweigh = self.geometry.sub_centres, self._scales[sphere], self._reweighs[sphere]
        best_KG = raw_RG
        if sub_centres > 1:
            best_KG = torch.amax(raw_RG.unflatten(0, (-1, sub_centres)), dim=1)
        if reweigh is not None:
            with torch.no_grad():
                return torch.mul(reweigh(best_KG / scale), scale)
        if sub_centres > 1:
            return best_KG
        return self.workspace.scratch("work", raw_RG.shape, raw_RG).copy_(raw_RG)

    def _scaled(self) -> Tensor:
        """Return the embeddings (G, D), each slice times its sphere's scale."""
        scales_D = self._low_GD.new_tensor(self._scales).repeat_interleave(self._slices[0].stop)
        return self._low_GD * scales_D

    def _scaled_cosines(
        self, weight_Rd: Tensor, scaled_Gd: Tensor, length_RN: Tensor | None, sphere: int, *, out: Tensor
    ) -> None:
        torch.mm(weight_Rd, scaled_Gd.t(), out=out)
        if length_RN is not None:
            out.div_(length_RN[:, sphere, None])

    def _span(self, chunk: Chunk) -> slice:
        return slice(chunk.first * self.geometry.sub_centres, chunk.last * self.geometry.sub_centres)

    def _buffer(self, name: str, span: slice) -> Tensor:
        return self.workspace.scratch(name, (span.stop - span.start, self.unit_GD.shape[0]), self._low_GD)

    def _store_shape(self) -> tuple[int, int, int]:
        return self.geometry.spheres, self.rows.num_rows, self.unit_GD.shape[0]

    def _take_store(self) -> Tensor | None:
        if not self.store:
            return None
        stored_NRG, self._ticket = self.workspace.store_logits(self._store_shape(), self._low_GD)
        return stored_NRG

    def _stored(self) -> Tensor | None:
        if self._ticket is None:
            return None
        return self.workspace.stored_logits(self._ticket, self._store_shape(), self._low_GD)


class _Targets(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, unit_BD: Tensor, centres: Tensor, softmax: ChunkedSoftmax) -> tuple[Tensor, Tensor]:
        ctx.softmax = softmax  # type: ignore[attr-defined]
        ctx.save_for_backward(centres)  # so that centres changed before backward are noticed
        target_NB, softmax.target_cos_NB = softmax.find_targets()
        return target_NB, torch.zeros_like(target_NB)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_target_NB: Tensor, grad_rest_NB: Tensor) -> tuple[Tensor | None, ...]:
        softmax: ChunkedSoftmax = ctx.softmax  # type: ignore[attr-defined]
        (centres,) = ctx.saved_tensors  # type: ignore[attr-defined]
        wants_unit, wants_centres = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        sink = softmax.rows.sink(centres) if wants_centres else None
        with torch.autocast(centres.device.type, enabled=False):  # some loops call backward under it
            grad_unit_BD = softmax.walk_back(grad_target_NB, grad_rest_NB, sink, wants_unit=wants_unit)
        if grad_unit_BD is not None:
            grad_unit_BD = grad_unit_BD.to(softmax.unit_GD.dtype)
        return grad_unit_BD, None if sink is None else sink.finish(), None


class _Rest(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        handle_NB: Tensor,
        softmax: ChunkedSoftmax,
        scales: Sequence[float],
        reweighs: Sequence[Reweigh | None],
    ) -> Tensor:
        return softmax.find_rest(scales, reweighs).to(handle_NB.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_rest_NB: Tensor) -> tuple[Tensor | None, ...]:
        return grad_rest_NB, None, None, None


@dataclass(frozen=True)
class Chunk:
    """Some of the classes, and the rows of the batch whose true class is one of them."""

    first: int
    last: int
    label: Tensor
    """Their classes, counted from `first`."""
    row: Tensor
    """Where in the global batch they are."""
    entry: Tensor
    """Where among the M rows of this rank's classes they are."""


def _chunks(num_classes: int, labels_M: Tensor, mine_M: Tensor, classes_per_chunk: int) -> list[Chunk]:
    firsts = range(0, num_classes, classes_per_chunk)
    sorted_M, order_M = labels_M.sort()
    edges = torch.tensor([*firsts, num_classes], device=labels_M.device)
    bounds: list[int] = torch.searchsorted(sorted_M, edges).tolist()
    chunks = []
    for part, first in enumerate(firsts):
        entry = order_M[bounds[part] : bounds[part + 1]]
        last = min(first + classes_per_chunk, num_classes)
        chunks.append(Chunk(first, last, labels_M[entry] - first, mine_M[entry], entry))
    return chunks


def _length_into(length_RN: Tensor, weight_RD: Tensor, smallest: float) -> None:
    spheres = length_RN.shape[1]
    if spheres == 1:
        torch.linalg.vector_norm(weight_RD, dim=1, out=length_RN[:, 0]).clamp_(min=smallest)
    else:
        length_RN.copy_(torch.linalg.vector_norm(weight_RD.unflatten(1, (spheres, -1)), dim=2).clamp_(min=smallest))
