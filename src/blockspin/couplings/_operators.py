"""Products of neighbouring spins, summed over the lattice: the operators that couplings multiply."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ShapeError
from blockspin.geometry import Grid

SECTORS = ("even", "odd")
"""Operators that keep or change their sign under s -> -s; averages of one times the other vanish."""

Pattern = tuple[tuple[int, ...], ...]
"""Offsets from a site: the spins that are multiplied."""

_RING: dict[str, dict[str, tuple[Pattern, ...]]] = {
    "even": {
        "neighbours": (((0,), (1,)),),
        "second neighbours": (((0,), (2,)),),
        "four in a row": (((0,), (1,), (2,), (3,)),),
        "third neighbours": (((0,), (3,)),),
    },
    "odd": {
        "spin": (((0,),),),
        "three in a row": (((0,), (1,), (2,)),),
        "two and one": (((0,), (1,), (3,)), ((0,), (2,), (3,))),
    },
}

_CORNERS: tuple[Pattern, ...] = tuple(((0, 0), (0, i), (j, 0)) for i in (1, -1) for j in (1, -1))

_SQUARE: dict[str, dict[str, tuple[Pattern, ...]]] = {
    "even": {
        "neighbours": (((0, 0), (0, 1)), ((0, 0), (1, 0))),
        "diagonal neighbours": (((0, 0), (1, 1)), ((0, 0), (1, -1))),
        "plaquette": (((0, 0), (0, 1), (1, 0), (1, 1)),),
        "second neighbours": (((0, 0), (0, 2)), ((0, 0), (2, 0))),
    },
    "odd": {
        "spin": (((0, 0),),),
        "corner of three": _CORNERS,
        "three in a row": (((0, 0), (0, 1), (0, 2)), ((0, 0), (1, 0), (2, 0))),
    },
}

_BY_DIMENSION = {1: _RING, 2: _SQUARE}


def operator_names(dimension: int, sector: str) -> tuple[str, ...]:
    """Return the names of the operators of a sector in one or two dimensions, in their fixed order."""
    return tuple(_BY_DIMENSION[dimension][sector])


def operator_values(batch: Batch, lattice: Grid, counts: Mapping[str, int]) -> Tensor:
    """Return the operators of each sample, float64 [samples, operators]: the even ones first.

    Args:
        batch: Spins [samples, sites, 1].
        lattice: Their lattice, taken as periodic.
        counts: How many operators of each sector.

    Raises:
        ShapeError: If the field does not fit the lattice.
    """
    if batch.values.shape[1:] != (lattice.sites, 1):
        raise ShapeError(
            f"a field of shape {tuple(batch.values.shape)} does not fit {' x '.join(map(str, lattice.shape))} spins",
            "Give the batches in the order (coarse, fine), and the shape of the fine lattice.",
        )
    spins = batch.values.reshape(-1, *lattice.shape)
    axes = tuple(range(1, spins.ndim))
    columns = []
    for sector in SECTORS:
        for patterns in list(_BY_DIMENSION[len(lattice.shape)][sector].values())[: counts[sector]]:
            products = [_product(spins, pattern, axes).sum(axes, dtype=torch.float64) for pattern in patterns]
            columns.append(torch.stack(products).sum(0))
    return torch.stack(columns, dim=1)


def _product(spins: Tensor, pattern: Pattern, axes: tuple[int, ...]) -> Tensor:
    product = spins
    for offset in pattern[1:]:
        product = product * torch.roll(spins, tuple(-step for step in offset), axes)
    return product
