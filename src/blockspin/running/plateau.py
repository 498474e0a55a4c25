"""Plateau: couplings that stay where they are along a running, with the chance of so much movement if they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.errors import FitFailedError
from blockspin.measurement import Measurement
from blockspin.running._constrained import Constraints, Solution, solve
from blockspin.running._trajectories import Trajectories, trajectories
from blockspin.running.base import Running


@dataclass(frozen=True, eq=False)
class Plateau:
    """Constants fitted to couplings along one running.

    Args:
        values: Each coupling's constant, by name.
        p_value: Probability of a larger misfit if couplings did not move. A large one does not show that they do not:
            look at the errors.
    """

    values: dict[str, Measurement]
    p_value: float


def plateau(running: Running, names: Sequence[str] | None = None, *, generator: torch.Generator) -> Plateau:
    """Fit couplings that stay where they are, by their joint covariance over all scales.

    Args:
        running: Over two scales or more.
        names: The couplings; by default all.
        generator: Randomness of the simulated data sets that calibrate errors and p-value.

    Raises:
        FitFailedError: If a coupling is exact, or the fit does not converge.
        TooFewSamplesError: If there is only one scale.
        ShapeError: If a coupling is missing at some scale.

    Source:
        britt1973 for the fit with errors in all variables.
    """
    data = trajectories(running, names)
    found = fit_constant(data, generator)
    if found is None:
        raise FitFailedError(f"no constant could be fitted to {', '.join(data.names)}", "Take other scales.")
    how = f"constant fitted to {len(running)} scales by their joint covariance; {running.how}"
    rows = zip(data.names, data.units, found.theta, np.sqrt(np.diag(found.covariance)), strict=True)
    values = {
        name: Measurement(float(value), float(error), unit, data.dof + 1, how, data.dof)
        for name, unit, value, error in rows
    }
    return Plateau(values, found.p_value)


def fit_constant(data: Trajectories, generator: torch.Generator) -> Solution | None:
    """Fit couplings that stay where they are along each running, [runnings * couplings]; None if that fails."""
    return solve(data.points.ravel(), data.covariance, data.dof, *_constant(data), generator=generator)


def _constant(data: Trajectories) -> tuple[Constraints, np.ndarray]:
    """Return that points are where their running starts, and where that is at first."""
    P, K = data.points.shape
    starts = np.setdiff1d(np.arange(P), data.before + 1)
    member = np.searchsorted(starts, np.arange(P), side="right") - 1
    F = -np.kron(np.eye(len(starts))[member], np.eye(K))

    def constraints(y: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return y + F @ theta, np.eye(P * K), F

    return constraints, data.points[starts].ravel()
