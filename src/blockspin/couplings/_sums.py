"""Power sums: second moments of a field and the third and fourth of each site, merged without cancellation."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import TooFewSamplesError
from blockspin.law import GaussianLaw
from blockspin.observables.base import Monoid, State


@dataclass(frozen=True)
class PowerSums(Monoid):
    """Weight, mean, centred scatter, and per-site sums of third and fourth powers of deviations from the mean.

    State: "weight" [], "squares" [] (sum of squared weights), "mean" [D], "scatter" [D, D], "third" [D], "fourth" [D],
    all float64, with D = sites * components; merged by the formulas of Chan, Golub and LeVeque and their extension to
    higher powers.
    """

    def start(self) -> State:
        """Return the empty state."""
        return {}

    def add(self, state: State, *batches: Batch) -> State:
        """Add one batch."""
        (batch,) = batches
        if not len(batch):
            return state
        x, w = batch.values.flatten(1).to(torch.float64), batch.weights
        mean = (w @ x) / w.sum()
        d = x - mean
        part = {"weight": w.sum(), "squares": w.square().sum(), "mean": mean, "scatter": (d * w[:, None]).T @ d}
        return self.merge(state, {**part, "third": w @ d**3, "fourth": w @ d**4})

    def merge(self, first: State, second: State) -> State:
        """Merge two parts."""
        if not first or not second:
            return first or second
        a, b = first["weight"], second["weight"]
        n = a + b
        gap = second["mean"] - first["mean"]
        to_first, to_second = -b / n * gap, a / n * gap  # centre of the union less that of each part, reversed
        merged = {"weight": n, "squares": first["squares"] + second["squares"], "mean": first["mean"] - to_first}
        merged["scatter"] = first["scatter"] + second["scatter"] + a * b / n * torch.outer(gap, gap)
        parts = [_moved(first, to_first), _moved(second, to_second)]
        merged["third"], merged["fourth"] = (sum(column) for column in zip(*parts, strict=True))
        return merged


def _moved(part: State, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return third and fourth power sums about a centre that lies ``shift`` below the part's mean."""
    n, m2, m3, m4 = part["weight"], part["scatter"].diagonal(), part["third"], part["fourth"]
    third = m3 + 3 * shift * m2 + n * shift**3
    return third, m4 + 4 * shift * m3 + 6 * shift**2 * m2 + n * shift**4


def sums_of_law(law: GaussianLaw) -> State:
    """Return the state that infinitely many samples of a Gaussian law would leave, at weight 1."""
    mean, C = law.mean.reshape(-1), law.covariance
    one, none = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    cubes, fourth = torch.zeros_like(mean), 3 * C.diagonal() ** 2
    return {"weight": one, "squares": none, "mean": mean, "scatter": C, "third": cubes, "fourth": fourth}


def degrees_of_freedom(state: State) -> float:
    """Return the effective number of samples less one; infinite for a law, whose weights sum to 1.

    Raises:
        TooFewSamplesError: If there are fewer than two samples.
    """
    if not state or float(state["squares"]) >= float(state["weight"]) ** 2:
        raise TooFewSamplesError("a covariance needs at least two samples", "Give more samples.")
    if abs(float(state["weight"]) - 1) < 1e-9:
        return inf
    return float(state["weight"] ** 2 / state["squares"]) - 1


def covariance_of(state: State) -> tuple[Tensor, float]:
    """Return the unbiased covariance [D, D] (exact on a law) and its degrees of freedom."""
    dof = degrees_of_freedom(state)
    shrink = 1.0 if dof == inf else dof / (dof + 1)
    return state["scatter"] / (state["weight"] * shrink), dof


def support(covariance: Tensor, tolerance: float) -> Tensor:
    """Return an orthonormal basis [D, rank] of the directions whose variance exceeds tolerance times the largest."""
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    return vectors[:, eigenvalues > tolerance * eigenvalues[-1]].flip(1)
