"""Baselines: what a prediction must beat: no running, the nearest scale, a power law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blockspin.errors import FitFailedError
from blockspin.running.curves import Curve, Fixed, Scaling

FREE = "free fit"
"""The coupling fitted to half of the held-out scale's own data: not a prediction, but what data of that size allow."""


@dataclass(frozen=True)
class NoRunning(Fixed):
    """The coupling does not run: the weighted mean over the scales that are fitted."""

    name = "no running"


@dataclass(frozen=True)
class NearestScale(Curve):
    """The coupling is what it is at the nearest scale that is fitted."""

    name = "nearest scale"
    parameters = 1

    def predict(self, x, y, weight, at):
        """Return the coupling at the nearest scale."""
        gain = np.eye(len(x))[np.abs(at[:, None] - x).argmin(1)]
        return gain @ y, gain


@dataclass(frozen=True)
class PowerLaw(Curve):
    """A power of the position, g = A (x - origin)^p.

    Args:
        origin: Where positions are counted from; None where the coordinate is a logarithm already.
    """

    name = "power law"
    parameters = 2
    origin: float | None = None

    def predict(self, x, y, weight, at):
        """Fit amplitude and exponent.

        Raises:
            FitFailedError: If the coupling changes its sign, or a position lies at or before the origin.
        """
        if np.ptp(np.sign(y)):
            raise FitFailedError("the coupling changes its sign, which no power law does", "Compare with the others.")
        if self.origin is None:
            return Scaling().predict(x, y, weight, at)
        if min(x.min(), at.min()) <= self.origin:
            raise FitFailedError(f"a scale lies at or before {self.origin:g}", "Compare with the others.")
        return Scaling().predict(np.log(x - self.origin), y, weight, np.log(at - self.origin))


def baselines(origin: float | None) -> tuple[Curve, ...]:
    """Return what predictions are compared with.

    Args:
        origin: See ``PowerLaw``.
    """
    return NoRunning(), NearestScale(), PowerLaw(origin)
