"""Merging: second moments of a part, and those of two parts together by the formula of Chan, Golub and LeVeque."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import TooFewSamplesError

LAW = 1e-9
"""The weights of a law are probabilities: they sum to 1 but for rounding."""
Moments = Mapping[str, Tensor]
"""At least "weight" [], "squares" [] (sum of squared weights), "mean" [..., D] and "scatter" [..., D, D]."""


def weights_of(batch: Batch) -> dict[str, Tensor]:
    """Return "weight" [] and "squares" [], the sums of the weights of a batch and of their squares, float64."""
    return {"weight": batch.weights.sum(), "squares": batch.weights.square().sum()}


def is_law(state: Mapping[str, Tensor]) -> bool:
    """Return whether a state with "weight" is that of a law."""
    return abs(float(state["weight"]) - 1) < LAW


def effective_samples(state: Mapping[str, Tensor]) -> float:
    """Return the effective number of samples (Kish) of a state with "weight" and "squares"; infinite for a law.

    Raises:
        TooFewSamplesError: If there are fewer than two samples.
    """
    if not state or float(state["squares"]) >= float(state["weight"]) ** 2:
        raise TooFewSamplesError("second moments need at least two samples", "Give more samples.")
    return inf if is_law(state) else float(state["weight"]) ** 2 / float(state["squares"])


def moments_of(x: Tensor, weights: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the moments of samples, and the samples less their mean.

    Args:
        x: float64 [n, D].
        weights: float64 [n].
    """
    weight = weights.sum()
    mean = (weights @ x) / weight
    d = x - mean
    scatter = (d * weights[:, None]).T @ d
    return {"weight": weight, "squares": weights.square().sum(), "mean": mean, "scatter": scatter}, d


def merged_means(first: Moments, second: Moments) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return weight, squares and mean of both parts, the gap between their means, and the weight of its square.

    The scatter of both is the sum of theirs and that weight times the product of the gap with itself.
    """
    weight = first["weight"] + second["weight"]
    gap, share = second["mean"] - first["mean"], second["weight"] / weight
    merged = {"weight": weight, "squares": first["squares"] + second["squares"], "mean": first["mean"] + share * gap}
    return merged, gap, first["weight"] * share


def merged_moments(first: Moments, second: Moments) -> dict[str, Tensor]:
    """Return the moments of both parts together."""
    merged, gap, factor = merged_means(first, second)
    scatter = first["scatter"] + second["scatter"] + factor * (gap[..., :, None] * gap[..., None, :])
    return {**merged, "scatter": scatter}


def third_scale(second: Tensor, fourth: Tensor) -> Tensor:
    """Return the most that a sum of third powers can be, given those of second and fourth powers (Cauchy, Schwarz).

    Third powers cancel: their sum is far smaller than its terms wherever a field is nearly symmetric.
    """
    return (second.clamp(min=0) * fourth.clamp(min=0)).sqrt().max()
