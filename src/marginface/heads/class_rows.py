"""Which class centres take part in a batch, how a chunk of them is read, and where their gradient goes.

Letters: C classes that take part, K sub-centres a class, D embedding, M labels.

    all of them, the gradient a tensor of their size      AllRows
    some of them, that tensor zero at the others          ChosenRows, dense
    some of them, a sparse tensor of those rows           ChosenRows
    either, and no gradient: the centres move at once     both, with a `CentreUpdate`
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from marginface.heads.centre_update import CentreUpdate
from marginface.heads.workspace import Workspace


class GradientSink(Protocol):
    """Takes the gradient of the centres chunk by chunk, during one backward pass."""

    def chunk(self, first: int, last: int) -> Tensor:
        """Return memory (R, D) for the gradient of the classes from `first` to before `last`."""

    def done(self, first: int, last: int, weight_RD: Tensor, grad_RD: Tensor) -> None:
        """Take over the gradient of a chunk; its centres are not needed any more in this pass."""

    def finish(self) -> Tensor | None:
        """Return the gradient for autograd, of the shape of the centres, or None."""


class ClassRows(Protocol):
    """The classes of this rank that take part, told by their position among them."""

    @property
    def num_classes(self) -> int: ...

    @property
    def num_rows(self) -> int:
        """C K."""

    @property
    def dtype(self) -> torch.dtype: ...

    def classes(self, labels_M: Tensor) -> Tensor:
        """Return (M, K, D), the centres of some classes."""

    def weights(self, first: int, last: int) -> Tensor:
        """Return (R, D), the centres of a chunk, good until the next call."""

    def sink(self, centres: Tensor) -> GradientSink:
        """Return where this pass's gradient goes; `centres` is the tensor that autograd knows."""


class AllRows:
    """Every class of this rank."""

    def __init__(self, centres: Tensor, workspace: Workspace, update: CentreUpdate | None = None) -> None:
        """Take (C, D) or (C, K, D) without a graph."""
        self.num_classes = centres.shape[0]
        self.dtype = centres.dtype
        self._centres_CKD = centres if centres.ndim == 3 else centres[:, None]
        self.num_rows = self.num_classes * self._centres_CKD.shape[1]
        self._workspace, self._update = workspace, update

    def classes(self, labels_M: Tensor) -> Tensor:
        """Return (M, K, D)."""
        return self._centres_CKD[labels_M]

    def weights(self, first: int, last: int) -> Tensor:
        """Return (R, D), a view."""
        return self._centres_CKD[first:last].flatten(0, 1)

    def sink(self, centres: Tensor) -> GradientSink:
        """Return a dense gradient, or the head's own update."""
        if self._update is not None:
            return _UpdateAll(self._update, self._workspace, centres)
        return _DenseGradient(self._workspace.gradient(centres))


class ChosenRows:
    """Some of the classes of this rank, in ascending order."""

    def __init__(
        self,
        centres: Tensor,
        chosen_C: Tensor,
        workspace: Workspace,
        update: CentreUpdate | None = None,
        *,
        dense_gradient: bool = False,
    ) -> None:
        """Take all centres of this rank without a graph, and the classes that take part."""
        self.num_classes = chosen_C.shape[0]
        self.dtype = centres.dtype
        self._chosen_C = chosen_C
        self._shape_KD = centres.shape[1:] if centres.ndim == 3 else (1, *centres.shape[1:])
        self._flat = centres.flatten(1)
        self.num_rows = self.num_classes * self._shape_KD[0]
        self._workspace, self._update, self._dense = workspace, update, dense_gradient

    def classes(self, labels_M: Tensor) -> Tensor:
        """Return (M, K, D)."""
        return self._flat[self._chosen_C[labels_M]].view(-1, *self._shape_KD)

    def weights(self, first: int, last: int) -> Tensor:
        """Return (R, D), a copy."""
        copy = self._workspace.scratch("weights", (last - first, self._flat.shape[1]), self._flat)
        torch.index_select(self._flat, 0, self._chosen_C[first:last], out=copy)
        return copy.view(-1, self._shape_KD[1])

    def sink(self, centres: Tensor) -> GradientSink:
        """Return a gradient of the chosen rows, or the head's own update of them."""
        if self._update is not None:
            return _UpdateChosen(self._update, self._workspace, centres, self._chosen_C)
        if self._dense:
            return _DenseGradientOfSome(self._workspace, centres, self._chosen_C)
        return _SparseGradient(centres, self._chosen_C)


class _DenseGradient:
    """The gradient of all centres, written where autograd will look for it."""

    def __init__(self, gradient: Tensor) -> None:
        self._gradient = gradient
        self._rows_RD = gradient.view(-1, gradient.shape[-1])
        self._per_class = gradient.shape[1] if gradient.ndim == 3 else 1

    def chunk(self, first: int, last: int) -> Tensor:
        return self._rows_RD[first * self._per_class : last * self._per_class]

    def done(self, first: int, last: int, weight_RD: Tensor, grad_RD: Tensor) -> None:
        pass

    def finish(self) -> Tensor:
        return self._gradient


class _DenseGradientOfSome:
    """The gradient of all centres, zero where a class did not take part."""

    def __init__(self, workspace: Workspace, centres: Tensor, chosen_C: Tensor) -> None:
        self._gradient = workspace.gradient(centres).zero_()
        self._workspace, self._chosen_C = workspace, chosen_C

    def chunk(self, first: int, last: int) -> Tensor:
        return _scratch(self._workspace, self._gradient, first, last)

    def done(self, first: int, last: int, weight_RD: Tensor, grad_RD: Tensor) -> None:
        rows = grad_RD.view(last - first, *self._gradient.shape[1:])
        self._gradient.index_copy_(0, self._chosen_C[first:last], rows)

    def finish(self) -> Tensor:
        return self._gradient


class _SparseGradient:
    """A sparse tensor that holds the rows of the classes that took part."""

    def __init__(self, centres: Tensor, chosen_C: Tensor) -> None:
        self._shape, self._chosen_C = centres.shape, chosen_C
        self._values = centres.new_empty(len(chosen_C), *centres.shape[1:])

    def chunk(self, first: int, last: int) -> Tensor:
        return self._values[first:last].view(-1, self._shape[-1])

    def done(self, first: int, last: int, weight_RD: Tensor, grad_RD: Tensor) -> None:
        pass

    def finish(self) -> Tensor:
        return torch.sparse_coo_tensor(
            self._chosen_C[None], self._values, self._shape, is_coalesced=True, check_invariants=False
        )


class _UpdateAll:
    """No gradient: each chunk of centres moves as soon as its gradient is known."""

    def __init__(self, update: CentreUpdate, workspace: Workspace, centres: Tensor) -> None:
        self._update, self._workspace, self._centres = update, workspace, centres.detach()

    def chunk(self, first: int, last: int) -> Tensor:
        return _scratch(self._workspace, self._centres, first, last)

    def done(self, first: int, last: int, weight_RD: Tensor, grad_RD: Tensor) -> None:
        self._update.take(self._centres, slice(first, last), grad_RD.view(last - first, *self._centres.shape[1:]))

    def finish(self) -> None:
        self._update.finish(self._centres)


class _UpdateChosen:
    """No gradient: the chosen centres move, the others keep value and state."""

    def __init__(self, update: CentreUpdate, workspace: Workspace, centres: Tensor, chosen_C: Tensor) -> None:
        self._update, self._workspace, self._chosen_C = update, workspace, chosen_C
        self._centres = centres.detach()

    def chunk(self, first: int, last: int) -> Tensor:
        return _scratch(self._workspace, self._centres, first, last)

    def done(self, first: int, last: int, weight_RD: Tensor, grad_RD: Tensor) -> None:
        shape = (last - first, *self._centres.shape[1:])
        self._update.take_rows(
            self._centres, self._chosen_C[first:last], grad_RD.view(shape), values=weight_RD.view(shape)
        )

    def finish(self) -> None:
        self._update.finish(self._centres)


def _scratch(workspace: Workspace, like: Tensor, first: int, last: int) -> Tensor:
    return workspace.scratch("gradient", (last - first, *like.shape[1:]), like).view(-1, like.shape[-1])
