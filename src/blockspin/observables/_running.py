"""Running: the state of one shard while it is added up, in place and by its owner alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from blockspin.ensemble import Batch

if TYPE_CHECKING:
    from blockspin.observables.base import Monoid, State

SLICE = 1024
"""Samples in one product: sums inside it are in the dtype of the field, beyond it in float64."""
BLOCK = 64
"""Columns in one product: of a symmetric matrix only the blocks on and above the diagonal are computed."""


class Running(Protocol):
    """A state that is being added up; once it was given out, nothing is added any more."""

    def add(self, *batches: Batch) -> None:
        """Add one joint batch."""

    def state(self) -> State:
        """Return what was added up."""


class Plain:
    """Any monoid, by its own ``add``.

    Args:
        monoid: What is added up.
    """

    def __init__(self, monoid: Monoid):
        self._monoid, self._state = monoid, monoid.start()

    def add(self, *batches: Batch) -> None:
        """Add one joint batch."""
        self._state = self._monoid.add(self._state, *batches)

    def state(self) -> State:
        """Return what was added up."""
        return self._state


class RunningMoments:
    """Weight, mean and scatter (see ``Moments``) of one shard.

    Only the blocks of the scatter on and above the diagonal are touched by a batch. What the means contribute waits as
    vectors until the state is asked for.
    """

    def __init__(self) -> None:
        self._weight = self._squares = 0.0
        self._mean, self._scatter = torch.zeros(0), torch.zeros(0)
        self._vectors: list[Tensor] = []
        self._factors: list[float] = []

    def add(self, *batches: Batch) -> None:
        """Add one batch, a slice at a time, each centred near its own mean."""
        (batch,) = batches
        weights = batch.weights.split(SLICE)
        for x, w in zip(batch.values.flatten(1).split(SLICE), weights, strict=True):
            if len(x):
                self._add(x, w)

    def _add(self, x: Tensor, w: Tensor) -> None:
        weight, before = float(w.sum()), self._weight
        centre, centred = centred_of(x, w)
        slip = weighed(centred, w).sum(0).to(torch.float64) / weight  # how far the mean is from the centre
        mean = centre.to(torch.float64) + slip
        self._wait(-weight, slip)
        self._weight, self._squares = before + weight, self._squares + float(w.square().sum())
        if before:
            gap = mean - self._mean
            self._wait(before * weight / self._weight, gap)
            self._mean = self._mean + gap * (weight / self._weight)
        else:
            self._mean, self._scatter = mean, torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
        add_products(self._scatter, weighed(centred, w.sqrt()))

    def _wait(self, factor: float, vector: Tensor) -> None:
        """Note a multiple of the product of a vector with itself."""
        self._factors.append(factor)
        self._vectors.append(vector)

    def state(self) -> State:
        """Return what was added up."""
        if not self._weight:
            return {}
        if self._vectors:
            vectors, factors = torch.stack(self._vectors), torch.tensor(self._factors, dtype=torch.float64)
            mirror(self._scatter.addmm_(vectors.T, factors[:, None] * vectors))
            self._vectors, self._factors = [], []
        weight, squares = (torch.tensor(number, dtype=torch.float64) for number in (self._weight, self._squares))
        return {"weight": weight, "squares": squares, "mean": self._mean, "scatter": self._scatter}


def centred_of(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return a centre [D] near the mean of a field [n, D], and the field less it, both in the dtype of the field.

    The centre is the mean with the rounding of that dtype: sums of the centred field say how far it is off.
    """
    weights = w.to(x.dtype)
    centre = (weights @ x) / weights.sum()
    return centre, x - centre


def weighed(field: Tensor, weights: Tensor) -> Tensor:
    """Return a field [n, D] with every sample times its weight; itself where all weights are one."""
    return field if bool((weights == 1).all()) else field * weights.to(field.dtype)[:, None]


def add_products(total: Tensor, rows: Tensor) -> None:
    """Add rows^T rows of a field [n, D] to the blocks of a matrix float64 [D, D] on and above its diagonal."""
    for start in range(0, len(total), BLOCK):
        total[start : start + BLOCK, start:] += rows[:, start : start + BLOCK].T @ rows[:, start:]


def mirror(total: Tensor) -> Tensor:
    """Copy the blocks above the diagonal of a matrix [D, D] to below it, in place, and return it."""
    for start in range(BLOCK, len(total), BLOCK):
        total[start : start + BLOCK, :start] = total[:start, start : start + BLOCK].T
    return total
