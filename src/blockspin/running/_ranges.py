"""Fits over ranges of scales, each made once, and the partition into ranges that all hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
import torch

from blockspin.running._constrained import Solution
from blockspin.running._polynomial import Basis, flowed
from blockspin.running._trajectories import Trajectories, trajectories
from blockspin.running.base import Running
from blockspin.running.beta_function import MOST, fit_order
from blockspin.running.plateau import fit_constant

FEWEST = 3
"""Scales of the shortest range: two say nothing of whether a coupling stays."""
SPARE = 2
"""Steps in a range beyond the coefficients of a beta function: with none, every one of that order would hold."""


@dataclass(frozen=True, eq=False)
class Model:
    """A fit over some scales, with what it needs to be carried to others."""

    order: int
    solution: Solution
    basis: Basis | None
    at: np.ndarray
    """Coordinates of the scales that it was fitted to."""

    @property
    def cost(self) -> float:
        """Misfit plus twice the number of coefficients."""
        return self.solution.misfit + 2 * len(self.solution.theta)

    def predict(self, x: float) -> np.ndarray:
        """Return the couplings at a coordinate: the constants, or the trajectory carried on from its nearest scale."""
        if self.basis is None:
            return self.solution.theta
        near = int(np.abs(self.at - x).argmin())
        points = self.solution.points.reshape(len(self.at), -1)
        theta = self.solution.theta.reshape(points.shape[1], -1)
        return flowed(self.basis, theta, points[near : near + 1], np.array([x - self.at[near]]))[0][0]


@dataclass(frozen=True, eq=False)
class Fits:
    """Fits of groups of couplings over ranges of scales, each made once."""

    running: Running
    groups: tuple[tuple[str, ...], ...]
    generator: torch.Generator
    made: dict[tuple[tuple[int, ...], int, int], Model | None] = field(default_factory=dict)

    def accepted(self, scales: Sequence[int], threshold: float) -> tuple[Model, ...] | None:
        """Return for each group the least order that is not refused, or None if a group has none."""
        found = []
        for group in range(len(self.groups)):
            orders = range(MOST + 1)
            fits = (self.fit(scales, group, order) for order in orders)
            model = next((f for f in fits if f is not None and f.solution.p_value >= threshold), None)
            if model is None:
                return None
            found.append(model)
        return tuple(found)

    def fit(self, scales: Sequence[int], group: int, order: int, spare: int = SPARE) -> Model | None:
        """Return a fit of one order, None where it fails, or leaves too few steps."""
        key = tuple(scales), group, order
        if key not in self.made:
            data = self._data(scales, group)
            basis = Basis.of(data.points, order) if order else None
            if basis is not None and len(data.time) < len(basis.powers) + spare:
                return None
            one = fit_constant(data, self.generator) if basis is None else fit_order(data, basis, self.generator)
            at = self.coordinates[list(scales)]
            self.made[key] = None if one is None else Model(order, one, basis, at)
        return self.made[key]

    @property
    def coordinates(self) -> np.ndarray:
        """Along what the flow runs, from the first scale on, [scales]."""
        return np.concatenate([[0.0], np.cumsum(self._data(range(len(self.running)), 0).time)])

    def _data(self, scales: Sequence[int], group: int) -> Trajectories:
        return trajectories(self.running.select(names=self.groups[group], scales=list(scales)))


def cuts_of(fits: Fits, count: int, threshold: float) -> tuple[int, ...]:
    """Return the ends of the windows of least cost that all hold; none where that many do not."""
    S = len(fits.running)
    front: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for left in range(count - 1, -1, -1):
        reached: dict[int, tuple[float, tuple[int, ...]]] = {}
        for start, (cost, cuts) in front.items():
            for end in range(start + FEWEST, S - FEWEST * left + 1) if left else [S]:
                models = fits.accepted(range(start, end), threshold)
                if models is not None:
                    total = cost + sum(model.cost for model in models), (*cuts, end)
                    reached[end] = min(total, reached.get(end, (inf, ())))
        front = reached
    return front.get(S, (inf, ()))[1]
