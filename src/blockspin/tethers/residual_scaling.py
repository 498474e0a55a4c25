"""Residual scaling: the best scale of residual branches by depth, and the response against finite differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import residual_scaling as theory

START = theory.Pair(1.0, 0.2, 1.0)
KNOWN = {
    0.8: (0.516, 0.350, 0.217, 0.153),
    1.2: (0.464, 0.315, 0.195, 0.137),
    1.6: (0.420, 0.285, 0.177, 0.123),
    2.0: (0.386, 0.263, 0.163, 0.113),
}
"""By weight variance: rho* at 10, 20, 50 and 100 blocks."""


@register
@dataclass(frozen=True)
class ResidualScalingTether(Tether):
    """Maximise the response of the outputs' covariance to that of the inputs."""

    name = "residual-scaling"
    system = "residual networks of erf units"
    source = "fischer2023"

    def rows(self) -> Iterator[Row]:
        """Yield the best scales, and derivatives of the propagated covariance by differences."""
        for variance, known in KNOWN.items():
            for depth, best in zip((10, 20, 50, 100), known, strict=True):
                network = theory.ResidualNetwork(depth, variance, 0.05)
                found = theory.optimal_scale(network, START)
                yield exact(f"rho* of {depth} blocks (sigma_w^2 = {variance})", best, found, 0.002)
        network, h = theory.ResidualNetwork(20, 1.2, 0.05), 1e-4
        for scale in (0.1, 0.3):
            ends = [theory.propagated(network, scale, theory.Pair(1.0, 0.2 + s * h, 1.0))[-1] for s in (1, -1)]
            slope = (theory.erf_average(ends[0]) - theory.erf_average(ends[1])) / (2 * h)
            yield exact(f"response at rho = {scale}", slope, theory.response(network, scale, START), 1e-6)
