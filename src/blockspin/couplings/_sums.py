"""Power sums: second moments of a field and the third and fourth of each site, merged without cancellation."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.law import GaussianLaw
from blockspin.observables.base import PartMonoid, State, effective_samples, merged_moments, moments_of, third_scale


@dataclass(frozen=True)
class PowerSums(PartMonoid):
    """Weight, mean, centred scatter, and per-site sums of third and fourth powers of deviations from the mean.

    State: "weight" [], "squares" [] (sum of squared weights), "mean" [D], "scatter" [D, D], "third" [D], "fourth" [D],
    all float64, with D = sites * components; merged by the formulas of Chan, Golub and LeVeque and their extension to
    higher powers.
    """

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        w = batch.weights
        part, d = moments_of(batch.values.flatten(1).to(torch.float64), w)
        return {**part, "third": w @ d**3, "fourth": w @ d**4}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        merged, gap = merged_moments(first, second), second["mean"] - first["mean"]
        n = merged["weight"]
        third, fourth = _moved(first, -second["weight"] / n * gap)
        more = _moved(second, first["weight"] / n * gap)
        return {**merged, "third": third + more[0], "fourth": fourth + more[1]}

    def scale(self, state: State, key: str) -> Tensor:
        """Return the largest entry; of third powers, which cancel, the most that they can be."""
        cancels = key == "third"
        return third_scale(state["scatter"].diagonal(), state["fourth"]) if cancels else super().scale(state, key)


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
    return effective_samples(state) - 1


def covariance_of(state: State) -> tuple[Tensor, float]:
    """Return the unbiased covariance [D, D] (exact on a law) and its degrees of freedom."""
    dof = degrees_of_freedom(state)
    shrink = 1.0 if dof == inf else dof / (dof + 1)
    return state["scatter"] / (state["weight"] * shrink), dof


def support(covariance: Tensor, tolerance: float) -> Tensor:
    """Return an orthonormal basis [D, rank] of the directions whose variance exceeds tolerance times the largest."""
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    return vectors[:, eigenvalues > tolerance * eigenvalues[-1]].flip(1)
