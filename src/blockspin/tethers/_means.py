"""Means over the units of an ensemble, with errors that group neighbouring stretches of a chain."""

from __future__ import annotations

from torch import Tensor

from blockspin.ensemble import Ensemble, group_of
from blockspin.measurement import Measurement

GROUPS = 20


def mean_over_units(numbers: Tensor, ensemble: Ensemble, unit: str = "1") -> Measurement:
    """Return the mean of one number a sample, its error from the spread of 20 groups of units.

    Args:
        numbers: [samples], aligned with the ensemble.
        ensemble: Where the units are read from.
        unit: The unit of the number.
    """
    group = group_of(ensemble.units, GROUPS, chain=ensemble.chain)
    return mean_of_parts([numbers[group == g] for g in range(GROUPS)], unit)


def mean_of_parts(parts: list[Tensor], unit: str = "1") -> Measurement:
    """Return the mean over independent parts of about equal size, its error from the spread of their means."""
    whole = sum(float(part.double().sum()) for part in parts) / sum(part.numel() for part in parts)
    without = [
        (sum(float(p.double().sum()) for p in parts) - float(part.double().sum()))
        / (sum(p.numel() for p in parts) - part.numel())
        for part in parts
    ]
    n, middle = len(parts), sum(without) / len(parts)
    error = ((n - 1) / n * sum((x - middle) ** 2 for x in without)) ** 0.5
    return Measurement(whole, error, unit, n, f"jackknife over {n} independent parts", n - 1)
