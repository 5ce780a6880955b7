"""The heavy part of every head: cosines to all classes, and the log-sum-exp of all but the true one, in chunks.

Letters: B batch, C classes, D embedding, K classes of one chunk.

With u = x / |x| and v_j = w_j / |w_j| the softmax loss under any margin f that changes only the true class y is

    N_i    = logsumexp over j != y of  s u_i . v_j          (this file, no margin in it)
    t_i    = u_i . v_y                                      (this file)
    loss_i = log(exp N_i + exp(s f(t_i))) - s f(t_i) = softplus(N_i - s f(t_i))      (the head, B numbers)

so margin, norm and penalty are ordinary autograd over B numbers, and nothing cancels when the true class dominates.
Backward gets dN_i and dt_i. The gradient of a chunk's cosines is  G_ij = dN_i s exp(s u_i . v_j - N_i),  G_iy = dt_i;
then  du += G v  and  dw_j = (g_j - (g_j . v_j) v_j) / |w_j|  with  g_j = sum_i G_ij u_i.

What makes it as fast as its matrix products: centres are never normalised as a tensor (|w_j| scales the chunk's rows,
and the projection takes g_j . v_j = sum_i G_ij cos_ij from the chunk); a chunk stays in cache; classes come first in
every buffer, the faster orientation of the products; all memory is reused.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from marginface.heads.workspace import Workspace

CLASSES_PER_CHUNK = 4096
"""At a batch of 128 and 512 dimensions a chunk is 2 MiB of logits and 8 MiB of centres: it stays in a CPU's last cache.

Measured on two cores with 32 MiB of it: with one thread, 1,024 to 8,192 differ by little more than the noise (about
10 %). With two threads on a busy machine larger chunks lose less time in waiting for a thread that has lost its core:
4,096 takes 18 to 28 % less CPU time than 2,048 at 10,572 classes.
"""


def target_and_rest(
    unit_BD: Tensor,
    centres_CD: Tensor,
    labels_B: Tensor,
    *,
    scale: float,
    smallest_norm: float,
    workspace: Workspace,
    store: bool,
    classes_per_chunk: int = CLASSES_PER_CHUNK,
) -> tuple[Tensor, Tensor]:
    """Return the cosine to the true class and the log-sum-exp of all other scaled cosines, (B,) and (B,).

    Both are differentiable (once) with respect to `unit_BD` and `centres_CD`. A second backward through the same graph
    works. Where the stored logits have been overwritten by a later forward, backward computes them again.

    Args:
        unit_BD: embeddings of length 1; float64 keeps the target cosine in float64, the rest is the centres' dtype.
        centres_CD: class centres, not normalised.
        labels_B: int64 in 0..C-1; not checked.
        scale: multiplies the cosines in the log-sum-exp.
        smallest_norm: centres shorter than this are divided by it instead of their length.
        workspace: where buffers are kept between steps.
        store: keep one (C, B) buffer from forward to backward (3 matrix products), or compute it again (4, no buffer).
        classes_per_chunk: how many classes are worked on at a time.
    """
    target_cos_B, rest_B = _TargetAndRest.apply(
        unit_BD,
        centres_CD,
        labels_B,
        scale,
        smallest_norm,
        workspace,
        store and torch.is_grad_enabled(),  # inside `forward` gradients are always off
        classes_per_chunk,
    )
    return target_cos_B, rest_B


class _TargetAndRest(torch.autograd.Function):
    # Autocast leaves in-place products and those with `out=` alone, so both passes stay in the centres' dtype under it.

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        unit_BD: Tensor,
        centres_CD: Tensor,
        labels_B: Tensor,
        scale: float,
        smallest_norm: float,
        workspace: Workspace,
        store: bool,
        classes_per_chunk: int,
    ) -> tuple[Tensor, Tensor]:
        own_BD = centres_CD[labels_B].to(unit_BD.dtype)
        own_BD = own_BD / torch.linalg.vector_norm(own_BD, dim=1, keepdim=True).clamp_min(smallest_norm)
        # Rounding may lead past 1; the clamp is no part of the gradient.
        target_cos_B = (unit_BD * own_BD).sum(dim=1).clamp_(-1.0, 1.0)

        chunks = _Chunks(centres_CD, labels_B, classes_per_chunk)
        scaled_BD = (unit_BD * scale).to(centres_CD.dtype)
        length_C = torch.empty_like(centres_CD[:, 0], memory_format=torch.contiguous_format)
        stored_CB, ticket = None, 0
        if store and any(ctx.needs_input_grad):  # type: ignore[attr-defined]
            stored_CB, ticket = workspace.store_logits((chunks.num_classes, chunks.batch), centres_CD)
        max_PB = centres_CD.new_empty(len(chunks), chunks.batch)
        sum_PB = centres_CD.new_empty(len(chunks), chunks.batch)
        for part, (first, last, sample, row) in enumerate(chunks):
            weight_KD = centres_CD[first:last]
            length_K = torch.linalg.vector_norm(weight_KD, dim=1, out=length_C[first:last]).clamp_(min=smallest_norm)
            shape = (last - first, chunks.batch)
            logits_KB = workspace.scratch("chunk", shape, centres_CD) if stored_CB is None else stored_CB[first:last]
            _scaled_cosines(weight_KD, scaled_BD, length_K, out=logits_KB)
            own = logits_KB[row, sample]  # the true classes are left out of the sum and put back for backward
            logits_KB[row, sample] = -torch.inf
            # The largest of the chunk is taken off, so that rows whose cosines are all low do not underflow.
            highest_B = torch.amax(logits_KB, dim=0, out=max_PB[part]).clamp_(min=torch.finfo(max_PB.dtype).min)
            exp_KB = workspace.scratch("work", shape, centres_CD)
            torch.sub(logits_KB, highest_B, out=exp_KB).exp_()
            torch.sum(exp_KB, dim=0, out=sum_PB[part])
            logits_KB[row, sample] = own
        rest_B = torch.logsumexp(max_PB + sum_PB.log(), dim=0)

        ctx.save_for_backward(unit_BD, centres_CD, labels_B, length_C, rest_B)
        ctx.settings = (scale, workspace, classes_per_chunk, ticket if stored_CB is not None else None)  # type: ignore[attr-defined]
        return target_cos_B, rest_B.to(unit_BD.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_target_B: Tensor, grad_rest_B: Tensor) -> tuple[Tensor | None, ...]:
        unit_BD, centres_CD, labels_B, length_C, rest_B = ctx.saved_tensors  # type: ignore[attr-defined]
        scale, workspace, classes_per_chunk, ticket = ctx.settings  # type: ignore[attr-defined]
        wants_unit, wants_centres = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        chunks = _Chunks(centres_CD, labels_B, classes_per_chunk)
        low_BD = unit_BD.to(centres_CD.dtype)
        scaled_BD = low_BD * scale
        stored_CB = None
        if ticket is not None:
            stored_CB = workspace.stored_logits(ticket, (chunks.num_classes, chunks.batch), centres_CD)
        factor_B = grad_rest_B.to(centres_CD.dtype) * scale
        finite_rest_B = rest_B.clamp(min=torch.finfo(rest_B.dtype).min)  # -inf where the true class is the only one
        target_low_B = grad_target_B.to(centres_CD.dtype)
        grad_unit_BD = torch.zeros_like(low_BD) if wants_unit else None
        grad_centres_CD = workspace.gradient(centres_CD) if wants_centres else None
        for first, last, sample, row in chunks:
            weight_KD, length_K = centres_CD[first:last], length_C[first:last]
            shape = (last - first, chunks.batch)
            spare_KB = workspace.scratch("chunk", shape, centres_CD)
            if stored_CB is None:
                logits_KB = _scaled_cosines(weight_KD, scaled_BD, length_K, out=spare_KB)
            else:
                logits_KB = stored_CB[first:last]
            slope_KB = workspace.scratch("work", shape, centres_CD)
            torch.sub(logits_KB, finite_rest_B, out=slope_KB).exp_().mul_(factor_B)
            slope_KB[row, sample] = target_low_B[sample]
            slope_KB.div_(length_K[:, None])  # G / |w|: both products below want it
            if grad_unit_BD is not None:
                grad_unit_BD.addmm_(slope_KB.t(), weight_KD)
            if grad_centres_CD is not None:
                grad_KD = torch.mm(slope_KB, low_BD, out=grad_centres_CD[first:last])
                along_K = torch.mul(slope_KB, logits_KB, out=spare_KB).sum(dim=1).div_(length_K).mul_(-1.0 / scale)
                grad_KD.addcmul_(weight_KD, along_K[:, None])
        return (
            None if grad_unit_BD is None else grad_unit_BD.to(unit_BD.dtype),
            grad_centres_CD,
            *[None] * 6,
        )


def _scaled_cosines(weight_KD: Tensor, scaled_BD: Tensor, length_K: Tensor, *, out: Tensor) -> Tensor:
    """Fill `out` (K, B) with scale * cosine."""
    torch.mm(weight_KD, scaled_BD.t(), out=out)
    return out.div_(length_K[:, None])


class _Chunks:
    """Walks over the classes: first and last class of a chunk, and where in it the batch has its true classes."""

    def __init__(self, centres_CD: Tensor, labels_B: Tensor, classes_per_chunk: int) -> None:
        self.num_classes, self.batch = centres_CD.shape[0], labels_B.shape[0]
        self._firsts = range(0, self.num_classes, classes_per_chunk)
        self._size = classes_per_chunk
        sorted_B, self._order_B = labels_B.sort()
        edges = torch.tensor([*self._firsts, self.num_classes], device=labels_B.device)
        self._edges: list[int] = torch.searchsorted(sorted_B, edges).tolist()
        self._sorted_B = sorted_B

    def __len__(self) -> int:
        return len(self._firsts)

    def __iter__(self) -> Iterator[tuple[int, int, Tensor, Tensor]]:
        for part, first in enumerate(self._firsts):
            mine = slice(self._edges[part], self._edges[part + 1])
            yield first, min(first + self._size, self.num_classes), self._order_B[mine], self._sorted_B[mine] - first
