"""Kernel adaptation: fixed points of a linear network's hidden weights against its exact posterior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.tethers.linear_features import INPUTS, NOISE, TARGETS, TESTED, task
from blockspin.theory import kernel_adaptation as theory
from blockspin.theory.gaussian_average import hermite_rule
from blockspin.theory.linear_features import weight_covariance

KNOWN = {5: (1.844883, 2.412219), 20: (1.291370, 2.249115), 100: (1.067428, 2.133453), 1000: (1.007023, 2.093466)}
"""By width: d Sigma_00 of the fixed point, and the mean output of the kernel that it makes."""


@register
@dataclass(frozen=True)
class KernelAdaptationTether(Tether):
    """Iterate the law of the hidden weights and the kernel that they make until both agree."""

    name = "kernel-adaptation"
    system = "data-aware kernels of trained networks"
    source = "seroussi2023"
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield fixed points of four widths, their mean output, and what separates them from the exact posterior."""
        rule = hermite_rule(4, 3)
        x, p = np.vstack([INPUTS, TESTED]), len(TARGETS)
        for width, (weight, output) in KNOWN.items():
            network = theory.TwoLayers(x, TARGETS, NOISE, width, lambda z: z)
            Sigma = theory.adapted(network, rule)
            yield exact(f"d Sigma_00 of {width} units", weight, 4 * Sigma[0, 0], 1e-5)
            K = theory.kernel(network, Sigma, rule)
            mean = K[p, :p] @ np.linalg.solve(K[:p, :p] + NOISE * np.eye(p), TARGETS)
            yield exact(f"mean output of the adapted kernel, {width} units", output, float(mean), 1e-5)
            if width in (20, 100):
                gap = 4 * (weight_covariance(task(width))[0, 0] - Sigma[0, 0]) * width**2
                yield exact(f"gap to the exact posterior times N^2, {width} units (5 to 7)", 6.0, gap, 1.0)
