"""Depth to width: coefficients of the series behind the optimal ratio, against the information of the whole law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log1p

import numpy as np
from scipy.optimize import minimize_scalar

from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import depth_to_width as theory

STEP = 0.005
"""Of the couplings at which the series is fitted; the first left-out term then adds 3e-4 to the second coefficient."""


@register
@dataclass(frozen=True)
class DepthToWidthTether(Tether):
    """Fit the mutual information of a law of log-normal scale at small couplings, and follow it to large ones."""

    name = "depth-to-width"
    system = "mutual information of two blocks of neurons of one deep layer"
    source = "roberts2022"

    def rows(self) -> Iterator[Row]:
        """Yield coefficients, the place of the truncated maximum, and the absence of one in the whole."""
        w = STEP * np.arange(1, 7)
        for m in (1, 2, 3):
            scaled = [theory.mutual_information(m, log1p(x)) / x**2 for x in w]
            c = np.polynomial.polynomial.polyfit(w / STEP, scaled, 5)
            yield exact(f"coefficient of w^2, blocks of {m}: m^2 / 8", m**2 / 8, c[0], 1e-5)
            yield exact(f"coefficient of -w^3 over it, blocks of {m}: m + 10/3", m + 10 / 3, -c[1] / STEP / c[0], 1e-3)
            for growth in (2 / 3, 2.0, 5.0):
                top = minimize_scalar(lambda x, m=m: -theory.information_series(m, x), bounds=(0, 1), method="bounded")
                quantity = f"optimal L / n, {2 * m} outputs, nu = {growth:.4g}: 4 / ((20 + 3 n_L) nu)"
                yield exact(quantity, theory.optimal_ratio(2 * m, growth), top.x / growth, 1e-5)
            whole = np.array([theory.mutual_information(m, v) for v in np.arange(0.1, 8.05, 0.5)])
            fall = max(0.0, float(-np.diff(whole).min()))
            yield exact(f"largest fall of the whole information up to v = 8, blocks of {m}", 0.0, fall, 0.0, "nat")
