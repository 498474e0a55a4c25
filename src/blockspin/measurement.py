"""Measurement: a value with its error, unit, effective sample size, and how it was obtained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf, isnan, log10, nan
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student


@dataclass(frozen=True, eq=False)
class Measurement:
    """A number (or an array of numbers) that never goes without its error.

    Args:
        value: The estimate; a float or an array.
        error: One standard error, of the same shape. Zero only where the value is exact.
        unit: The unit, "1" for a pure number; information is in nats, lengths in lattice spacings.
        n_eff: Number of independent units that the estimate rests on; infinite where it is exact.
        how: How value and error were obtained, in a few words ("delete-group jackknife, 20 groups").
        dof: Degrees of freedom of the error, for Student's t; infinite for a normal interval.
    """

    value: Any
    error: Any
    unit: str = "1"
    n_eff: float = inf
    how: str = "exact"
    dof: float = inf

    def __post_init__(self):
        value, error = np.asarray(self.value, dtype=float), np.asarray(self.error, dtype=float)
        if value.shape != error.shape:
            error = np.broadcast_to(error, value.shape).copy()
        object.__setattr__(self, "value", value if value.ndim else float(value))
        object.__setattr__(self, "error", error if error.ndim else float(error))

    def interval(self, level: float = 0.95) -> tuple[Any, Any]:
        """Return the two-sided interval of the given level, by Student's t where the degrees of freedom are finite."""
        half = self.quantile(0.5 + level / 2) * np.asarray(self.error)
        return self.value - half, self.value + half

    def quantile(self, probability: float) -> float:
        """Return the quantile of the standardised error: Student's t, or normal for infinite degrees of freedom."""
        return float(norm.ppf(probability) if np.isinf(self.dof) else student.ppf(probability, self.dof))

    def __format__(self, spec: str) -> str:
        if np.ndim(self.value):
            return f"array{np.shape(self.value)}"
        unit = "" if self.unit == "1" else f" {self.unit}"
        digits = ".2g"
        if not spec and 1e-4 <= self.error < 1e4:  # two digits of the error, and as many of the value
            spec = digits = f".{max(0, 1 - floor(log10(self.error)))}f"
        return f"{self.value:{spec or '.4g'}} ± {self.error:{digits}}{unit}"

    def __str__(self) -> str:
        return format(self, "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON; what is not finite becomes None."""
        return {
            "value": _plain(self.value),
            "error": _plain(self.error),
            "unit": self.unit,
            "n_eff": _plain(self.n_eff),
            "how": self.how,
            "dof": _plain(self.dof),
        }

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Measurement:
        """Return the measurement that ``to_dict`` wrote; a missing number becomes NaN, a missing count infinity."""
        count = {key: inf if row[key] is None else row[key] for key in ("n_eff", "dof")}
        value, error = (np.array(row[key], dtype=float) for key in ("value", "error"))
        return cls(value, error, row["unit"], count["n_eff"], row["how"], count["dof"])


def holm(chances: Sequence[float], looks: int = 0) -> list[float]:
    """Return p-values corrected for their number, whatever their dependence; NaN stays, and counts as a look.

    Args:
        chances: The p-values.
        looks: How many things were looked at in all, where more than those given.

    Source:
        holm1979.
    """
    total = max(looks, len(chances))
    order = sorted((p, k) for k, p in enumerate(chances) if not isnan(p))
    adjusted, largest = [nan] * len(chances), 0.0
    for rank, (p, k) in enumerate(order):
        largest = max(largest, min(1.0, p * (total - rank)))
        adjusted[k] = largest
    return adjusted


def _plain(x: Any) -> Any:
    array = np.asarray(x, dtype=float)
    if array.ndim:
        return [_plain(item) for item in array]
    return float(array) if np.isfinite(array) else None
