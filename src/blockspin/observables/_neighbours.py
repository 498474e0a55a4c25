"""Neighbours: the nearest rows of every row by blocks of matrix products, checked against their own rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import FitFailedError, TooFewSamplesError
from blockspin.observables.base import State

BLOCK = 2**23
"""Most entries of a block of distances."""
DEPTH, PANEL = 16, 60
"""Columns of a bundle, and most bundles of rows of a panel: what is read down its columns stays near the processor."""
SPARE = 3
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
    coarse = field.to(torch.float32 if values.dtype.itemsize <= 4 else torch.float64)
    centre = coarse.mean(0)  # distances are the same about any
    coarse = coarse - centre
    norms = torch.linalg.vector_norm(coarse, dim=1, dtype=torch.float64).square()
    candidates = min(count + SPARE, n - 1)
    found = _candidates(coarse, norms, candidates)
    distances, index, sure = _settled(field, norms, torch.arange(n), found, count, coarse.dtype)
    unsure = (~sure).nonzero().flatten()
    if len(unsure):
        x = field.to(torch.float64) - centre
        norms = x.square().sum(1)
        for rows in unsure.split(max(1, BLOCK // n)):
            squares = torch.addmm(norms[None], x[rows], x.T, alpha=-2) + norms[rows, None]
            squares[torch.arange(len(rows)), rows] = torch.inf
            again = Nearest(*squares.topk(candidates, dim=1, largest=False))
            distances[rows], index[rows], _ = _settled(field, norms, rows, again, count, torch.float64)
    return Nearest(distances, index)


def _candidates(coarse: Tensor, norms: Tensor, count: int) -> Nearest:
    """Return the ``count`` nearest rows of each by products in the dtype given: squared distances with its rounding.

    The matrix of all pairs is symmetric: its upper half is made a panel of rows at a time, and read along rows and down
    columns. Its entries are minus half the squared distances, which come out of the product without another pass.
    """
    n, width = coarse.shape
    panels = -(-n // (DEPTH * max(1, min(PANEL, BLOCK // (n * DEPTH)))))
    side = -(-n // (panels * DEPTH)) * DEPTH
    x = torch.cat([coarse, coarse.new_zeros(panels * side - n, width)])  # whole bundles, with rows of nobody
    half = torch.full((len(x),), torch.inf, dtype=x.dtype)
    half[:n] = norms / 2
    best, where = x.new_full((len(x), count), -torch.inf), torch.zeros(len(x), count, dtype=torch.int64)
    memory = x.new_empty(side * len(x))

    def keep(rows: slice, closeness: Tensor, first: int) -> None:
        found, place = largest(closeness, min(count, closeness.shape[1]))
        both, places = torch.cat([best[rows], found], dim=1), torch.cat([where[rows], place + first], dim=1)
        best[rows], chosen = both.topk(count, dim=1)
        where[rows] = places.gather(1, chosen)

    for start in range(0, len(x), side):
        stop = start + side
        panel = memory[: side * (len(x) - start)].view(side, -1)
        torch.addmm(-half[None, start:], x[start:stop], x[start:].T, out=panel)
        panel.sub_(half[start:stop, None]).diagonal().fill_(-torch.inf)
        keep(slice(start, stop), panel, start)
        if stop < len(x):
            keep(slice(stop, len(x)), panel[:, side:].T, start)
    return Nearest(-2 * best[:n].to(torch.float64), where[:n])


def _settled(
    field: Tensor, norms: Tensor, rows: Tensor, found: Nearest, count: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return distances and indices of the nearest among candidates, and whether no other row can be nearer.

    Args:
        field: [n, width], as given.
        norms: float64 [n]; squared norms of the field, centred.
        rows: Which rows.
        found: Their candidates, the nearest rows by squares that are off by rounding.
        count: How many.
        dtype: In which the squares were made.
    """
    (n, width), squares = field.shape, found.distances
    slack = (
        (width + 4) * torch.finfo(dtype).eps * (norms[rows].sqrt() + norms.max().sqrt()).square()
    )  # the most that a square is off
    near = squares <= (squares[:, count - 1] + 2 * slack)[:, None]
    exact = torch.full_like(squares, torch.inf)
    exact[near] = _gaps(field, rows[near.nonzero()[:, 0]], found.index[near])
    order = exact.argsort(dim=1, stable=True)[:, :count]
    distances, index = exact.gather(1, order), found.index.gather(1, order)
    sure = distances[:, -1].square() <= squares[:, -1] - slack  # no other row's square is below
    return distances, index, sure | (squares.shape[1] == n - 1)


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` largest entries of each row [rows, n], and where they are; n is a multiple of ``DEPTH``.

    They lie in as many bundles of columns, those with the largest entries of all, and only these bundles are searched:
    several times faster than a search of whole rows.
    """
    bundles = values.unflatten(1, (DEPTH if values.shape[1] >= DEPTH * count else 1, -1))
    most = bundles.amax(1) if values.stride(1) == 1 else bundles.permute(1, 2, 0).amax(0).T  # along memory
    chosen = most.topk(count, dim=1).indices
    inside = bundles.gather(2, chosen[:, None].expand(-1, bundles.shape[1], -1)).flatten(1)
    most, place = inside.topk(count, dim=1)
    return most, place // count * bundles.shape[2] + chosen.gather(1, place % count)


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
