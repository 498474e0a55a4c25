"""Neighbours: the nearest rows of every row by blocks of matrix products, checked against their own rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import FitFailedError, TooFewSamplesError
from blockspin.observables.base import State

BLOCK = 2**22
"""Most entries of a block of distances."""
SPARE = 6
"""Candidates beyond the neighbours asked for."""
TIED = 0.01
"""Share of rows whose first two neighbours may be equally far."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest rows of every row, itself left out.

    Args:
        distances: float64 [rows, count], ascending, exact to rounding.
        index: int64 [rows, count].
    """

    distances: Tensor
    index: Tensor


def nearest(values: Tensor, count: int) -> Nearest:
    """Return the ``count`` nearest rows, Euclidean, of each row of a field [n, ...]; memory is that of a block.

    Squared distances come from matrix products in the dtype of the field, centred. The candidates are measured again in
    float64 from their differences; where the rounding of the products could have hidden a nearer row, that row's
    neighbours are found again in float64.

    Raises:
        TooFewSamplesError: If there are not more rows than neighbours.
    """
    x = values.reshape(len(values), -1).to(torch.float64)
    n = len(x)
    if n <= count:
        raise TooFewSamplesError(f"{n} units have no {count} neighbours each", "Give more samples.")
    x = x - x.mean(0)
    dtype = torch.float32 if values.dtype.itemsize <= 4 else torch.float64
    coarse, norms = x.to(dtype), x.square().sum(1)
    found = [_block(coarse, x, norms, rows, count) for rows in torch.arange(n).split(max(1, BLOCK // n))]
    distances, index, sure = (torch.cat(column) for column in zip(*found, strict=True))
    for rows in (~sure).nonzero().flatten().split(max(1, BLOCK // n)):
        distances[rows], index[rows], _ = _block(x, x, norms, rows, count)
    return Nearest(distances, index)


def _block(coarse: Tensor, x: Tensor, norms: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return distances, indices and whether they are sure, for some rows."""
    n, width = x.shape
    squares = torch.addmm(norms.to(coarse.dtype)[None], coarse[rows], coarse.T, alpha=-2)
    squares[torch.arange(len(rows)), rows] = torch.inf
    candidates = min(count + SPARE, n - 1)
    last, near = squares.topk(candidates, dim=1, largest=False)
    exact = _gaps(x, rows, near)
    order = exact.argsort(dim=1, stable=True)[:, :count]
    distances, index = exact.gather(1, order), near.gather(1, order)
    if candidates == n - 1:
        return distances, index, torch.ones(len(rows), dtype=torch.bool)
    unit = torch.finfo(coarse.dtype).eps
    slack = (width + 4) * unit * (norms[rows].sqrt() + norms.max().sqrt()).square()
    bound = last[:, -1].to(torch.float64) + norms[rows] - slack  # no other row's square is below
    return distances, index, distances[:, -1].square() <= bound


def _gaps(x: Tensor, rows: Tensor, near: Tensor) -> Tensor:
    """Return the distances float64 [rows, candidates] from differences, a bounded number of entries at a time."""
    step = max(1, BLOCK // (near.shape[1] * x.shape[1]))
    parts = zip(rows.split(step), near.split(step), strict=True)
    return torch.cat([(x[own, None] - x[other]).norm(dim=2) for own, other in parts])


def within(found: Nearest, values: Tensor, mask: Tensor, count: int) -> Tensor:
    """Return the distances float64 [m, count] of the rows in a mask to their nearest rows in it.

    They are read off neighbours found before among all rows; rows that have too few of those in the mask (none if
    twice as many and some were found) are searched again.
    """
    inside = mask[found.index[mask]]
    enough = inside.sum(1) >= count
    if not bool(enough.all()):
        return nearest(values[mask], count).distances
    rank = inside.to(torch.int64).cumsum(1)
    chosen = inside & (rank <= count)
    return found.distances[mask][chosen].reshape(-1, count)


def check_apart(distances: Tensor) -> None:
    """Refuse rows that coincide, and first neighbours that are equally far: on a lattice ratios mean nothing.

    Raises:
        FitFailedError: If a distance is zero, or more than one row in a hundred has its first two neighbours at the
            same distance, to seven digits.
    """
    same = int((distances[:, 0] == 0).sum())
    if same:
        raise FitFailedError(
            f"{same} of {len(distances)} rows coincide with another one",
            "Make repeated contents one unit, or leave them out.",
        )
    if distances.shape[1] > 1:
        tied = float((distances[:, 1] <= distances[:, 0] * (1 + 1e-7)).to(torch.float64).mean())
        if tied > TIED:
            raise FitFailedError(
                f"{tied:.0%} of the rows have their first two neighbours equally far: the values are discrete",
                "Neighbours need continuous values.",
            )


def rows_of_units(state: State) -> Tensor:
    """Return the rows kept by ``Rows``.

    Raises:
        TooFewSamplesError: If there is none.
        FitFailedError: If samples are weighted: neighbours count every sample once.
    """
    if not state:
        raise TooFewSamplesError("there are no units to compare", "Give more samples.")
    weights = state["weights"]
    if bool((weights != weights[0]).any()):
        raise FitFailedError(
            "weighted samples have no neighbours of equal standing", "Draw samples of the law instead."
        )
    return state["first"]


def whole_and_subsets(values: Tensor, masks: Tensor, count: int) -> Sequence[Tensor]:
    """Return, for each mask [subsets, n], the distances [m, count] within it, all from one search."""
    spare = min(len(values) - 1, 2 * count + 5 * int(count**0.5) + 16)
    found = nearest(values, spare)
    return [within(found, values, mask, count) for mask in masks]
