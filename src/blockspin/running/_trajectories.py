"""Trajectories: the points of one or several runnings, and how long each step between them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from scipy.stats import t as student

from blockspin.errors import FitFailedError, ShapeError, TooFewSamplesError
from blockspin.flow import Axis, Direction
from blockspin.running.base import Running

EDGE = 1e-6
"""Distance from the measured range, in half-widths of it, at which a point still counts as inside."""


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Points along independent runnings of the same couplings.

    Args:
        names: The couplings.
        units: Their units.
        points: [points, couplings], one running after the other.
        covariance: Of all of them, block-diagonal, [points * couplings, points * couplings].
        dof: Degrees of freedom of the covariance.
        before: Index of the point before each step, [steps]; the point after it is the next one.
        time: Length of each step, [steps]: in ln of the length, or along the axis where there is no length.
        per: What rates are per: "ln length", or the unit of the axis.
        coarsening: Whether steps coarse-grain and lengths are known.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    points: np.ndarray
    covariance: np.ndarray
    dof: float
    before: np.ndarray
    time: np.ndarray
    per: str
    coarsening: bool

    def corners(self, level: float = 0.95) -> np.ndarray:
        """Return the points that span the measured range: all, and the ends of their intervals, [..., couplings]."""
        q = float(student.ppf(0.5 + level / 2, self.dof))
        errors = np.sqrt(np.diag(self.covariance)).reshape(self.points.shape)
        steps = (q * errors)[:, None] * np.eye(len(self.names))
        ends = np.concatenate([self.points[:, None] + steps, self.points[:, None] - steps], 1)
        return np.concatenate([self.points, ends.reshape(-1, len(self.names))])


def inside(corners: np.ndarray, g: np.ndarray) -> bool:
    """Return whether couplings lie in the convex hull of the corners."""
    width = np.ptp(corners, axis=0) / 2
    unit = np.where(width > 0, width, 1.0)
    heavy = 1e3  # shares add up to one
    system = np.concatenate([(corners - g).T / unit[:, None], np.full((1, len(corners)), heavy)])
    return bool(nnls(system, np.append(np.zeros(len(unit)), heavy))[1] <= EDGE)


def trajectories(runs: Running | Sequence[Running], names: Sequence[str] | None = None) -> Trajectories:
    """Return the points of independent runnings.

    Raises:
        ShapeError: If runnings differ in couplings or axis, or a coupling is missing at some scale.
        TooFewSamplesError: If no running has two scales.
        FitFailedError: If a coupling has no error.
    """
    parts = [run.select(names=names) for run in ([runs] if isinstance(runs, Running) else runs)]
    if not parts or any(p.names != parts[0].names or p.axis != parts[0].axis for p in parts):
        raise ShapeError("runnings differ in couplings or axis", "Select the couplings that they share.")
    for part in parts:
        _check_whole(part)
    if max(len(part) for part in parts) < 2:
        raise TooFewSamplesError("no running has two scales", "One scale does not run.")
    lengths = torch.cat([part.log_lengths for part in parts])
    with_length = bool(lengths.isfinite().all()) and all(bool((p.log_lengths.diff() > 0).all()) for p in parts)
    clocks = [part.log_lengths if with_length else part.positions for part in parts]
    first = np.cumsum([0, *(len(part) for part in parts)])
    axis = parts[0].axis
    return Trajectories(
        parts[0].names,
        parts[0].units,
        torch.cat([part.values for part in parts]).numpy(),
        torch.block_diag(*[part.covariance for part in parts]).numpy(),
        min(part.dof for part in parts),
        np.concatenate([first[k] + np.arange(len(part) - 1) for k, part in enumerate(parts)]),
        torch.cat([clock.diff() for clock in clocks]).numpy(),
        "ln length" if with_length else _one_of(axis),
        with_length and axis.direction is Direction.COARSENING,
    )


def _one_of(axis: Axis) -> str:
    """Return the unit of an axis as one of it: units that are words are plural."""
    if axis.unit == "1":
        return axis.name
    return axis.unit.removesuffix("s") if axis.unit.isalpha() and not axis.unit.endswith("ss") else axis.unit


def _check_whole(part: Running) -> None:
    known = part.known()
    if not bool(known.all()):
        scale, column = (int(i) for i in (~known).nonzero()[0])
        raise ShapeError(
            f"{part.names[column]} does not exist, or has no error, at {part.labels[scale]}",
            "Select the couplings and scales that exist throughout.",
        )
    if bool((part.errors == 0).any()):
        column = int((part.errors == 0).nonzero()[0, 1])
        raise FitFailedError(
            f"{part.names[column]} is exact: a fit cannot weigh it", "Give the error to which it is to be described."
        )
