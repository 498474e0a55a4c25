"""Power-law field: the spectrum of a scale-free Gaussian field falls with rank as rank^-(2 - eta)/d."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import gaussian_model as theory

FIRST, LAST = 10, 10_000
"""Ranks: beyond the lowest modes, of which few are equal, and before the corners of the Brillouin zone."""


@register
@dataclass(frozen=True)
class PowerLawFieldTether(Tether):
    """Rank the modes of 256 x 256 sites and fit a line to their logarithms."""

    name = "power-law-field"
    system = "scale-free Gaussian field on 256 x 256 sites"
    source = "wilson1974"

    def rows(self) -> Iterator[Row]:
        """Yield the rank exponent mu for two anomalous dimensions; the tolerance covers the finite lattice."""
        rank = np.arange(FIRST, LAST + 1)
        for eta in (1.0, 0.25):
            spectrum = member("sources", "gaussian-field")(shape=(256, 256), mass=0.0, eta=eta).spectrum()
            largest = spectrum.flatten().sort(descending=True).values[FIRST - 1 : LAST].numpy()
            slope = -float(np.polyfit(np.log(rank), np.log(largest), 1)[0])
            yield exact(f"exponent of the spectrum by rank, eta = {eta}", theory.rank_exponent(2, eta), slope, 0.02)
