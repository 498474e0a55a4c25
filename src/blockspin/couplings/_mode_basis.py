"""Mode basis: products of the leading principal coordinates of a field, by their gradients and Laplacians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import factorial
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.couplings._frame import Frame
from blockspin.errors import ConfigError, ShapeError

SINGLE = {"linear": 1, "mass": 2, "cubic": 3, "quartic": 4, "sextic": 6}
"""Powers of one coordinate, over their factorials."""

DOUBLE = {"pair": (1, 1), "skew": (2, 1), "product": (2, 2)}
"""Products of two coordinates, each power over its factorial; the unequal ones in both orders."""

UNITS: Mapping[str, str] = dict.fromkeys((*SINGLE, *DOUBLE), "1")
MOST_MODES = 16


@dataclass(frozen=True)
class ModeBasis:
    """Operators of the first principal coordinates, each in units of its standard deviation on the fit half.

    Args:
        frame: Mean, directions and deviations.
        modes: How many coordinates.
        names: Families of operators, in order.
    """

    in_modes: ClassVar[bool] = True
    frame: Frame
    modes: int
    names: tuple[str, ...]

    def __post_init__(self):
        if any(name not in UNITS for name in self.names) or len(set(self.names)) < len(self.names):
            raise ConfigError("operators", self.names, f"{', '.join(UNITS)}, each once.")
        most = min(MOST_MODES, self.frame.rank)
        if not 1 <= self.modes <= most:
            raise ConfigError("modes", self.modes, f"1 to {most}, of a support of rank {self.frame.rank}.")

    @property
    def rank(self) -> int:
        """Dimension of the space in which gradients are taken."""
        return self.modes

    @cached_property
    def exponents(self) -> list[dict[int, int]]:
        """The powers {coordinate: power} of every operator, family by family."""
        return [powers for name in self.names for powers in self._family(name)]

    @property
    def steps(self) -> dict[str, list[int]]:
        """The families, each with the places of its couplings; one without any (products of a single mode) is left."""
        found: dict[str, list[int]] = {}
        start = 0
        for name in self.names:
            count = len(self._family(name))
            found[name] = list(range(start, start + count))
            start += count
        return {name: places for name, places in found.items() if places}

    def _family(self, name: str) -> list[dict[int, int]]:
        if name in SINGLE:
            return [{k: SINGLE[name]} for k in range(self.modes)]
        first, second = DOUBLE[name]
        pairs = list(combinations(range(self.modes), 2))
        straight = [{i: first, j: second} for i, j in pairs]
        return straight if first == second else straight + [{i: second, j: first} for i, j in pairs]

    def field(self, values: Tensor) -> Tensor:
        """Return the coordinates [modes, n] of values [n, sites, components], in their dtype.

        Raises:
            ShapeError: If the frame is of another field.
        """
        x = values.flatten(1)
        if x.shape[1] != len(self.frame.mean):
            raise ShapeError(
                f"a frame of {len(self.frame.mean)} numbers does not fit a field of {x.shape[1]}",
                "Fit the frame to the same field.",
            )
        vectors = (self.frame.vectors[:, : self.modes] / self.frame.deviations[: self.modes]).to(x.dtype)
        return vectors.T @ (x - self.frame.mean.to(x.dtype)).T

    def judged(self, values: Tensor, field: Tensor) -> Tensor:
        """Return what is looked at for atoms and edges: the coordinates, or where all of them are kept the sites."""
        return field if self.modes < self.frame.rank else values.flatten(1).T.contiguous()

    def coordinates(self, field: Tensor) -> Tensor:
        """Return what the operators are powers of."""
        return field

    def gradients(self, field: Tensor) -> Tensor:
        """Return the gradient of every operator, [operators, modes, n]."""
        power = _powers(field)
        G = field.new_zeros(len(self.exponents), *field.shape)
        for place, powers in enumerate(self.exponents):
            for k in powers:
                G[place, k] = _monomial(power, {**powers, k: powers[k] - 1})
        return G

    def laplacians(self, field: Tensor) -> Tensor:
        """Return the Laplacian of every operator, [operators, n]."""
        power = _powers(field)
        total = field.new_zeros(len(self.exponents), field.shape[1])
        for place, powers in enumerate(self.exponents):
            for k in powers:
                if powers[k] > 1:
                    total[place] += _monomial(power, {**powers, k: powers[k] - 2})
        return total

    def products(self, G: Tensor) -> Tensor:
        """Return the products of gradients [operators, modes, n], summed over samples, float64 [K, K]."""
        flat = G.flatten(1)
        return (flat @ flat.T).to(torch.float64)

    def outside(self, field: Tensor) -> None:
        """Return None: coordinates are all within the support."""
        return


def _powers(field: Tensor) -> list[Tensor]:
    """Return field^p / p! for p = 0 to 5."""
    rows = [torch.ones_like(field)]
    for _ in range(5):
        rows.append(rows[-1] * field)
    return [row / factorial(p) for p, row in enumerate(rows)]


def _monomial(power: list[Tensor], exponents: Mapping[int, int]) -> Tensor:
    """Return the product of powers of coordinates over their factorials, [n]."""
    found = power[0][0]
    for k, exponent in exponents.items():
        if exponent:
            found = found * power[exponent][k]
    return found
