"""Displacements: steps from one site of a lattice to another, and the pairs of sites that lie one such step apart."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from blockspin.errors import GeometryError
from blockspin.geometry import Geometry, Grid

Step = tuple[int, ...]


def shells(geometry: Geometry, reach: int, *, signed: bool) -> list[list[Step]]:
    """Return the steps of the first, second, ... nearest positive length, each shell in lexicographic order.

    On a periodic axis of n sites a step is taken modulo n, so that there are n of them; on an open one there are
    2n - 1.

    Args:
        geometry: The lattice.
        reach: Most shells.
        signed: Whether a step and its opposite are two; if not, the one is kept that is lexicographically larger.

    Raises:
        GeometryError: If sites have no displacement from each other.
    """
    grid = _lattice(geometry)
    ranges = [range(-((n - 1) // 2), n // 2 + 1) if grid.periodic else range(1 - n, n) for n in grid.shape]
    found: dict[int, list[Step]] = {}
    for step in product(*ranges):
        if any(step) and (signed or step >= _opposite(grid, step)):
            found.setdefault(sum(k * k for k in step), []).append(step)
    return [found[square] for square in sorted(found)[:reach]]


def apart(geometry: Geometry, step: Step, *, signed: bool) -> Tensor:
    """Return a mask [sites, sites] of the pairs (x, y) with y one step from x; unsigned, or x one step from y.

    Raises:
        GeometryError: If sites have no displacement from each other.
    """
    grid = _lattice(geometry)
    place = grid.coordinates()
    end = place + torch.tensor(step)
    end = end % torch.tensor(grid.shape) if grid.periodic else end  # beyond an open border there is no site
    mask = (end[:, None] == place[None]).all(2)
    return mask if signed else mask | mask.T


def _opposite(grid: Grid, step: Step) -> Step:
    """Return the way back; half around an even ring it is the step itself."""
    return tuple(k if grid.periodic and 2 * k == n else -k for k, n in zip(step, grid.shape, strict=True))


def _lattice(geometry: Geometry) -> Grid:
    if isinstance(geometry, Grid):
        return geometry
    raise GeometryError(
        f"sites of {geometry} have no displacement from each other", "Leave directions out, or give a Chain or a Grid."
    )
