"""Interactions: products of spins on a lattice as one of the spins sees them, and how many neighbours that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import mul

import torch
from torch import Tensor

from blockspin.couplings._operators import Pattern
from blockspin.errors import ConfigError, ShapeError
from blockspin.geometry import Grid

Offset = tuple[int, ...]
Operators = Mapping[str, tuple[Pattern, ...]]


@dataclass(frozen=True)
class Interactions:
    """Operators from the point of view of one spin: the sum of the products that multiply it.

    Args:
        names: One an operator.
        neighbours: Offsets of the spins that occur in a product; around a periodic lattice each counts once.
        products: For each operator the products, each by the numbers of its neighbours; the empty product is a field.
    """

    names: tuple[str, ...]
    neighbours: tuple[Offset, ...]
    products: tuple[tuple[tuple[int, ...], ...], ...]

    def columns(self, spins: list[Tensor]) -> Tensor:
        """Return the sums of products [..., operators] from the spins of each neighbour, equal shapes [...]."""
        one = torch.ones_like(spins[0]) if spins else torch.ones((), dtype=torch.float64)
        sums = []
        for terms in self.products:
            sums.append(sum((reduce(mul, (spins[k] for k in term), one) for term in terms), torch.zeros_like(one)))
        return torch.stack(sums, -1)

    def of_patterns(self) -> Tensor:
        """Return the sums of products for every pattern of neighbours, float64 [2 ** neighbours, operators]."""
        number = torch.arange(2 ** len(self.neighbours))
        return self.columns([2.0 * ((number >> k) & 1).to(torch.float64) - 1 for k in range(len(self.neighbours))])


def seen_from_a_site(operators: Operators, lattice: Grid) -> Interactions:
    """Return what one spin sees of operators that are summed over a lattice.

    Args:
        operators: Patterns of each, as in ``_operators``: summed over all sites, so that where a displacement leads to
            the same site both ways round a periodic lattice that pair counts twice.
        lattice: Its shape matters where it is periodic.

    Raises:
        ConfigError: If a pattern meets itself around the lattice.
    """
    numbers: dict[Offset, int] = {}
    products = []
    for name, patterns in operators.items():
        terms = []
        for pattern in patterns:
            for centre in pattern:
                others = [_around(_minus(offset, centre), lattice) for offset in pattern if offset != centre]
                if len({*others, _around(_minus(centre, centre), lattice)}) <= len(others):
                    sizes = " x ".join(map(str, lattice.shape))
                    raise ConfigError(name, pattern, f"operators that do not meet themselves around {sizes} sites.")
                terms.append(tuple(numbers.setdefault(other, len(numbers)) for other in others))
        products.append(tuple(terms))
    return Interactions(tuple(operators), tuple(numbers), tuple(products))


def displacements(lattice: Grid, reach: int) -> list[tuple[float, list[Offset]]]:
    """Return distance and displacements of the first, second, ... nearest sites, one of each opposite two.

    Distances are in spacings of this lattice. There may be fewer classes than ``reach`` on a small lattice.
    """
    ranges = []
    for n in lattice.shape:
        furthest = min(reach, n // 2 if lattice.periodic else n - 1)
        ranges.append(range(-furthest, furthest + 1))
    classes: dict[int, dict[Offset, Offset]] = {}
    for step in product(*ranges):
        square = sum(x * x for x in step)
        if square:
            key = max(_around(step, lattice), _around(tuple(-x for x in step), lattice))
            kept = classes.setdefault(square, {})
            kept[key] = max(step, kept.get(key, step))
    return [(square**0.5, sorted(classes[square].values(), reverse=True)) for square in sorted(classes)[:reach]]


def neighbour_table(lattice: Grid, neighbours: tuple[Offset, ...]) -> Tensor:
    """Return sites and their neighbours, int64 [sites, 1 + neighbours]; of an open lattice the sites that have all.

    Raises:
        ShapeError: If no site has all.
    """
    position = lattice.coordinates()
    steps = torch.tensor([(0,) * lattice.dimension, *neighbours])
    where = position[:, None] + steps[None]  # [sites, 1 + neighbours, dimension]
    shape = torch.tensor(lattice.shape)
    inside = ((where >= 0) & (where < shape)).all(-1).all(-1)
    where = where.remainder(shape) if lattice.periodic else where[inside]
    if not len(where):
        sizes = " x ".join(map(str, lattice.shape))
        raise ShapeError(f"no site of {sizes} has all its neighbours inside", "Ask for couplings of shorter range.")
    flat = torch.zeros(where.shape[:2], dtype=torch.int64)
    for axis, n in enumerate(lattice.shape):
        flat = flat * n + where[..., axis]
    return flat


def _minus(one: Offset, other: Offset) -> Offset:
    return tuple(a - b for a, b in zip(one, other, strict=True))


def _around(offset: Offset, lattice: Grid) -> Offset:
    if not lattice.periodic:
        return offset
    return tuple(x % n for x, n in zip(offset, lattice.shape, strict=True))
