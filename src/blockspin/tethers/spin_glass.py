"""Spin glass: random couplings under Migdal and Kadanoff's recursion, pools of bonds against their density."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import spin_glass as theory

BONDS, POOLS = 20_000, 16


@register
@dataclass(frozen=True)
class SpinGlassTether(Tether):
    """Follow pools of random bonds and compare with the density of couplings, and with what the literature has."""

    name = "spin-glass"
    system = "Edwards-Anderson spin glass on diamond lattices, b = 2"
    source = "southern1977"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield widths of couplings, the stiffness exponent in two and three dimensions, and T_c in three."""
        for temperature in (0.6, 1.2):
            measured = _measure(partial(_width, temperature))
            expected = float(theory.density_widths(temperature, 3, 4, 800)[4])
            yield sampled(f"width of the couplings after four steps (d = 3, T = {temperature})", expected, measured)
        for dimension, name in ((2, "two"), (3, "three")):
            expected = theory.stiffness_exponent(dimension)
            for start in (theory.gaussian_pool, theory.plus_minus_pool):
                kind = start.__name__.removesuffix("_pool").replace("_", "-")
                if start is theory.plus_minus_pool and dimension == 2:
                    continue  # whole couplings at zero temperature flow to another, discrete, fixed distribution
                measured = _measure(partial(_stiffness, start, dimension))
                yield sampled(f"theta in {name} dimensions, {kind} pools", expected, measured)
        yield exact("theta in two dimensions, about -0.27: no phase", -0.27, theory.stiffness_exponent(2), 0.01)
        yield exact("theta in three dimensions, about 0.26: a phase", 0.26, theory.stiffness_exponent(3), 0.01)
        critical = theory.critical_temperature(3)
        yield exact("T_c in three dimensions, about 0.88", 0.88, critical, 0.03 * 0.88, "width of couplings")
        for factor, grows in ((0.97, 1.0), (1.03, 0.0)):
            share = np.mean([_grows(critical * factor, np.random.default_rng(seed)) for seed in range(4)])
            yield exact(f"share of pools that grow at {factor} T_c in three dimensions", grows, float(share), 0.0)


Start = Callable[[int, np.random.Generator], theory.Pool]


def _measure(number: Callable[[np.random.Generator], float]) -> Measurement:
    """Return the mean over independent pools."""
    values = np.array([number(np.random.default_rng(seed)) for seed in range(POOLS)])
    error = values.std(ddof=1) / POOLS**0.5
    return Measurement(values.mean(), error, n_eff=POOLS, how=f"{POOLS} pools of {BONDS} bonds", dof=POOLS - 1)


def _widths(temperature: float, steps: int, rng: np.random.Generator) -> np.ndarray:
    return theory.pool_widths(theory.gaussian_pool(BONDS, rng) / temperature, 3, steps, rng)


def _width(temperature: float, rng: np.random.Generator) -> float:
    return float(_widths(temperature, 4, rng)[4])


def _stiffness(start: Start, dimension: int, rng: np.random.Generator) -> float:
    """Return the growth a step from the tenth step on, at zero temperature."""
    widths = theory.pool_widths(start(BONDS, rng), dimension, 20, rng, theory.weaker)
    return float(np.log2(widths[20] / widths[10]) / 10)


def _grows(temperature: float, rng: np.random.Generator) -> bool:
    widths = _widths(temperature, 12, rng)
    return bool(widths[12] > widths[11])
