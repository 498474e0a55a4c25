"""Products of neighbouring spins, summed over the lattice: the operators that couplings multiply."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ShapeError
from blockspin.geometry import Grid

SECTORS = ("even", "odd")
"""Operators that keep or change their sign under s -> -s; averages of one times the other vanish."""

Pattern = tuple[tuple[int, ...], ...]
"""Offsets from a site: the spins that are multiplied."""

Table = dict[str, dict[str, tuple[Pattern, ...]]]

_RING: Table = {
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
        "every other of five": (((0,), (2,), (4,)),),
        "five in a row": (((0,), (1,), (2,), (3,), (4,)),),
    },
}

_CORNERS: tuple[Pattern, ...] = tuple(((0, 0), (0, i), (j, 0)) for i in (1, -1) for j in (1, -1))

_DIAMONDS: tuple[Pattern, ...] = (  # three of the four neighbours of a site
    *(((0, 0), (0, 2), (i, 1)) for i in (1, -1)),
    *(((0, 0), (2, 0), (1, i)) for i in (1, -1)),
)

_SQUARE: Table = {
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
        "three of a diamond": _DIAMONDS,
        "cross of five": (((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)),),
    },
}


def _along(*steps: tuple[int, int]) -> tuple[int, ...]:
    """Return the offset in three dimensions that goes so far along each of some axes: (axis, length) pairs."""
    offset = [0, 0, 0]
    for axis, length in steps:
        offset[axis] = length
    return tuple(offset)


def _cubic() -> Table:
    """Return the operators of the simple cubic lattice, each with all its orientations."""
    here, axes = _along(), range(3)
    planes = list(combinations(axes, 2))
    turns = [(a, b) for a in axes for b in axes if a != b]
    signs = list(product((1, -1), repeat=2))
    return {
        "even": {
            "neighbours": tuple((here, _along((a, 1))) for a in axes),
            "diagonal neighbours": tuple((here, _along((a, 1), (b, i))) for a, b in planes for i in (1, -1)),
            "plaquette": tuple((here, _along((a, 1)), _along((b, 1)), _along((a, 1), (b, 1))) for a, b in planes),
            "space diagonals": tuple((here, (1, i, j)) for i, j in signs),
            "second neighbours": tuple((here, _along((a, 2))) for a in axes),
        },
        "odd": {
            "spin": ((here,),),
            "corner of three": tuple((here, _along((a, i)), _along((b, j))) for a, b in planes for i, j in signs),
            "three in a row": tuple((here, _along((a, 1)), _along((a, 2))) for a in axes),
            "three of a diamond": tuple(
                (here, _along((a, 2)), _along((a, 1), (b, i))) for a, b in turns for i in (1, -1)
            ),
            "cross of five": tuple((here, *(_along((a, i)) for a in plane for i in (1, -1))) for plane in planes),
        },
    }


_BY_DIMENSION: dict[int, Table] = {1: _RING, 2: _SQUARE, 3: _cubic()}

_POWERS = {"even": {"square": 2, "fourth power": 4}, "odd": {"cube": 3}}
"""Powers of a real-valued field at one site, which for spins are constants or the spin itself."""


def operator_names(dimension: int, sector: str, *, real: bool = False) -> tuple[str, ...]:
    """Return the names of the operators of a sector in one to three dimensions, in their fixed order.

    Args:
        dimension: Number of axes.
        sector: One of ``SECTORS``.
        real: Whether the field is real-valued: the powers at one site then come before products of neighbours (in the
            odd sector, after the field itself, which is there called the spin).
    """
    names = list(_BY_DIMENSION[dimension][sector])
    if real:
        first = 1 if sector == "odd" else 0
        names[first:first] = _POWERS[sector]
    return tuple(names)


def operator_patterns(dimension: int, name: str) -> tuple[Pattern, ...]:
    """Return the patterns of an operator by its name."""
    table = _BY_DIMENSION[dimension]
    return next(table[sector][name] for sector in SECTORS if name in table[sector])


def operator_values(batch: Batch, lattice: Grid, counts: Mapping[str, int], *, real: bool = False) -> Tensor:
    """Return the operators of each sample, float64 [samples, operators]: the even ones first.

    Args:
        batch: Spins, or a real-valued field, [samples, sites, 1].
        lattice: Their lattice. At an open edge the products that would reach beyond it are left out.
        counts: How many operators of each sector.
        real: Whether values other than -1 and +1 are meant.

    Raises:
        ShapeError: If the field does not fit the lattice, has several components, or is not of spins.
    """
    _check(batch, lattice, real)
    field = batch.values.reshape(-1, *lattice.shape)
    axes = tuple(range(1, field.ndim))
    columns = []
    for sector in SECTORS:
        table, powers = _BY_DIMENSION[len(lattice.shape)][sector], _POWERS[sector]
        for name in operator_names(len(lattice.shape), sector, real=real)[: counts[sector]]:
            if name in powers:
                columns.append((field ** powers[name]).sum(axes, dtype=torch.float64))
                continue
            products = [_product(field, pattern, lattice.periodic) for pattern in table[name]]
            columns.append(torch.stack([item.sum(axes, dtype=torch.float64) for item in products]).sum(0))
    return torch.stack(columns, dim=1)


def _check(batch: Batch, lattice: Grid, real: bool) -> None:
    sizes, shape = " x ".join(map(str, lattice.shape)), tuple(batch.values.shape)
    if shape[2] != 1:
        raise ShapeError(
            f"a field of {shape[2]} components has no spin a site", "Give one component at a time, or project on one."
        )
    if shape[1] != lattice.sites:
        raise ShapeError(
            f"a field of shape {shape} does not fit {sizes} spins",
            "Give the batches in the order (coarse, fine), and the shape of the fine lattice.",
        )
    if not real and bool((batch.values.abs() != 1).any()):
        raise ShapeError(
            "the field has other values than -1 and +1",
            "Turn it into spins with spins_about, or set real=True for operators of a real-valued field.",
        )


def _product(field: Tensor, pattern: Pattern, periodic: bool) -> Tensor:
    """Return the product of a pattern at every site; without periodic edges, where all of it is inside."""
    if periodic:
        axes = tuple(range(1, field.ndim))
        result = field
        for offset in pattern[1:]:
            result = result * torch.roll(field, tuple(-step for step in offset), axes)
        return result
    low = [min(column) for column in zip(*pattern, strict=True)]
    high = [max(column) for column in zip(*pattern, strict=True)]
    sizes = [max(0, n + a - b) for n, a, b in zip(field.shape[1:], low, high, strict=True)]
    windows = []
    for offset in pattern:
        window = field
        for axis, (step, first, size) in enumerate(zip(offset, low, sizes, strict=True), start=1):
            window = window.narrow(axis, min(step - first, window.shape[axis] - size), size)
        windows.append(window)
    return torch.stack(windows).prod(0)
