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

    Squared distances come from matrix products in the dtype of the field, centred. What their rounding cannot tell from
    the nearest is measured again in float64 from differences; where it could have hidden a nearer row, that row's
    neighbours are found again in float64.

    Raises:
        TooFewSamplesError: If there are not more rows than neighbours.
    """
    field = values.reshape(len(values), -1)
    n = len(field)
    if n <= count:
        raise TooFewSamplesError(f"{n} units have no {count} neighbours each", "Give more samples.")
    x = field.to(torch.float64)
    x = x - x.mean(0)
    norms = x.square().sum(1)
    coarse = x.to(torch.float32 if values.dtype.itemsize <= 4 else torch.float64)
    search = _Search.of(field, coarse, norms, count)
    found = [search.block(rows) for rows in torch.arange(n).split(max(1, BLOCK // n))]
    distances, index, sure = (torch.cat(column) for column in zip(*found, strict=True))
    unsure = (~sure).nonzero().flatten()
    if len(unsure):
        search = _Search.of(field, x, norms, count)
        for rows in unsure.split(max(1, BLOCK // n)):
            distances[rows], index[rows], _ = search.block(rows)
    return Nearest(distances, index)


@dataclass(frozen=True, eq=False)
class _Search:
    """What every block of rows needs.

    Args:
        field: [n, width], as given.
        coarse: The field centred, in the dtype of the products; rows of zeros fill up a whole number of bundles.
        squares: [rows of coarse]; their squared norms, infinite for the zeros, which are then nobody's neighbours.
        norms: float64 [n]; the squared norms without their rounding.
        count: Neighbours asked for.
        depth: Columns of a bundle.
    """

    field: Tensor
    coarse: Tensor
    squares: Tensor
    norms: Tensor
    count: int
    depth: int

    @classmethod
    def of(cls, field: Tensor, coarse: Tensor, norms: Tensor, count: int) -> _Search:
        n = len(field)
        depth = max(1, round((n / (count + SPARE)) ** 0.5))  # as many bundles as columns in those that are chosen
        filled = coarse.new_zeros(-n % depth, coarse.shape[1])
        squares = torch.cat([norms.to(coarse.dtype), torch.full((len(filled),), torch.inf, dtype=coarse.dtype)])
        return cls(field, torch.cat([coarse, filled]), squares, norms, count, depth)

    def block(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances, indices and whether they are sure, for some rows."""
        n, width = self.field.shape
        squares = torch.addmm(self.squares[None], self.coarse[rows], self.coarse.T, alpha=-2)
        squares[torch.arange(len(rows)), rows] = torch.inf
        candidates = min(self.count + SPARE, n - 1)
        last, near = smallest(squares, candidates, self.depth)
        last = last.to(torch.float64) + self.norms[rows, None]
        slack = self.norms[rows].sqrt() + self.norms.max().sqrt()
        slack = (width + 4) * torch.finfo(squares.dtype).eps * slack.square()  # the most that a square is off
        open_ = last <= (last[:, self.count - 1] + 2 * slack)[:, None]
        exact = torch.full_like(last, torch.inf)
        exact[open_] = _gaps(self.field, rows[open_.nonzero()[:, 0]], near[open_])
        order = exact.argsort(dim=1, stable=True)[:, : self.count]
        distances, index = exact.gather(1, order), near.gather(1, order)
        sure = distances[:, -1].square() <= last[:, -1] - slack  # no other row's square is below
        return distances, index, sure | (candidates == n - 1)


def smallest(values: Tensor, count: int, depth: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` smallest entries of each row [rows, n], ascending, and where they are.

    They lie in as many bundles of ``depth`` columns, those of the smallest least entries, and only these bundles are
    searched: several times faster than a search of whole rows. ``depth`` divides n, and there are enough bundles.
    """
    bundles = values.unflatten(1, (depth, -1))
    chosen = bundles.amin(1).topk(count, dim=1, largest=False).indices
    inside = bundles.gather(2, chosen[:, None].expand(-1, bundles.shape[1], -1)).flatten(1)
    least, place = inside.topk(count, dim=1, largest=False)
    return least, place // count * bundles.shape[2] + chosen.gather(1, place % count)


def _gaps(field: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """Return the distances float64 of pairs of rows from differences, a bounded number of entries at a time."""
    pairs = zip(*(part.split(max(1, BLOCK // field.shape[1])) for part in (rows, others)), strict=True)
    return torch.cat([(field[a].to(torch.float64) - field[b]).norm(dim=1) for a, b in pairs])


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
