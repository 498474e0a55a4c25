"""Data collapse: a planted scaling function, and the answer of the package that is usual for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.running.data_collapse import Curve, collapse
from blockspin.tethers.base import Row, Tether, sampled

CRITICAL, NU, ZETA = 2.269185, 1.0, -0.125
"""Of the planted curves: those of the magnetisation of Ising spins on the square lattice."""


@register
@dataclass(frozen=True)
class DataCollapseTether(Tether):
    """Collapse curves of four sizes and 21 temperatures with errors of one per cent."""

    name = "data-collapse"
    system = "planted finite-size scaling of a magnetisation"
    source = "houdayer2004"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield the planted numbers against ours, and what fssa 0.7.6 prints for the same data against our minimum."""
        found = collapse(planted(0), (2.26, 1.1, -0.1), generator=torch.Generator().manual_seed(0), resamples=20)
        yield sampled("T_c of a planted collapse", CRITICAL, found.critical)
        yield sampled("nu of a planted collapse", NU, found.nu)
        yield sampled("zeta of a planted collapse", ZETA, found.zeta)
        errors = [m.error for m in (found.critical, found.nu, found.zeta)]
        printed = {"T_c": 2.2698, "nu": 1.007, "zeta": -0.134}
        for (name, value), ours, error in zip(printed.items(), found.minimum, errors, strict=True):
            # its minimum stops early by up to an error: the quality is flat to 1 / N there
            yield Row(f"{name} at the least S, against fssa 0.7.6", value, Measurement(ours, 0.0), error)


def planted(seed: int) -> dict[float, Curve]:
    """Return curves of a scaling function with relative errors of 0.01."""
    rng = np.random.default_rng(seed)
    L, T = np.array([16, 32, 64, 128]), np.linspace(2.20, 2.34, 21)
    x = (T - CRITICAL) * L[:, None]
    y = L[:, None] ** ZETA * (1 / (1 + np.exp(1.2 * x)) + 0.15)
    noisy = y + 0.01 * y * rng.standard_normal(y.shape)
    return {float(size): Curve(T, noisy[k], 0.01 * y[k]) for k, size in enumerate(L)}
