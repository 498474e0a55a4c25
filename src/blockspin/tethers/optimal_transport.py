"""Optimal transport: heat flow of exact Gaussian fields, and the relative entropy that a flow descends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.law import GaussianLaw
from blockspin.registry import member, register
from blockspin.testing.worlds import gaussian_field
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import optimal_transport as theory
from blockspin.theory import relative_entropy

ROUNDING = 1e-12
"""Products of matrices of some tens of rows, entries of order one."""
STEP = 1e-3
"""Of central differences in t; an error of order n is a power n of STEP times the fastest rate, 2 / smallest Q."""


@register
@dataclass(frozen=True)
class OptimalTransportTether(Tether):
    """Smooth exact fields and invert it; follow the entropy of a field that diffuses to a reference."""

    name = "optimal-transport"
    system = "Gaussian fields under heat flow, and under the exact renormalization group as optimal transport"
    source = "cotler2023"
    schemes = ("heat-flow",)

    def rows(self) -> Iterator[Row]:
        """Yield spectra, posterior variances and rates of entropy."""
        for shape, b, time in (((36,), 2, 0.25), ((36,), 3, 0.5), ((12, 12), 2, 0.25)):
            yield from _smoothed(shape, b, time)
        yield from _noise()
        ring = _inverse_ring(16, 0.1), _inverse_ring(16, 0.5)
        yield exact(
            "dD/dt of a ring of 16, masses 0.1 to 0.5, t = 0.37",
            -1.79116564,
            -theory.relative_fisher_information(theory.diffused(*ring, 0.37), ring[1]),
            5e-9,
            "nat",
        )
        yield from _descent("a ring of 16", *ring)
        rng = np.random.default_rng(0)
        pair = [x @ x.T / 12 + 0.3 * np.eye(6) for x in rng.standard_normal((2, 6, 12))]
        yield from _descent("matrices that do not commute", *pair)


def _inverse_ring(sites: int, mass: float) -> np.ndarray:
    return gaussian_field((sites,), mass).covariance.numpy()


def _smoothed(shape: tuple[int, ...], b: int, time: float) -> Iterator[Row]:
    law = gaussian_field(shape, 0.3)
    coarsen = member("schemes", "heat-flow")(b=b, time=time).fit(law, generator=torch.Generator())
    coarse = law.push(coarsen)
    where = f"{' x '.join(map(str, shape))}, b = {b}, t = {time}"
    spectrum = _spectrum(coarse, [n // b for n in shape])
    gap = np.abs(spectrum - theory.smoothed_spectrum(_spectrum(law, shape), b, time)).max()
    yield exact(f"spectrum after heat flow ({where}), largest deviation", 0.0, gap, ROUNDING * spectrum.max())
    eye = torch.eye(law.geometry.sites, dtype=torch.float64)[:, :, None]
    T = coarsen.values(eye)[:, :, 0].T.numpy()
    left = np.eye(len(eye)) - coarsen.lift(coarsen.values(eye))[:, :, 0].T.numpy()
    C = law.covariance.numpy()
    error = float(np.trace(left @ C @ left.T)) / len(C)
    yield exact(f"mean squared error of the lift ({where})", theory.posterior_variance(C, T), error, 1e-9)


def _spectrum(law: GaussianLaw, shape: Sequence[int]) -> np.ndarray:
    return np.fft.fftn(law.covariance[0].numpy().reshape(shape)).real


def _noise() -> Iterator[Row]:
    law = GaussianLaw.of(torch.eye(48), gaussian_field((48,), 1.0).geometry)
    coarse = law.push(member("schemes", "heat-flow")(b=2, time=0.25).fit(law, generator=torch.Generator()))
    for distance in (0, 1, 2):
        expected = theory.smoothed_noise(2, 0.25, 1, distance)
        yield exact(
            f"covariance of smoothed noise {distance} sites apart",
            expected,
            float(coarse.covariance[0, distance]),
            1e-12,
        )


def _descent(where: str, C: np.ndarray, Q: np.ndarray, t: float = 0.37) -> Iterator[Row]:
    """Compare the rate of entropy and the speed in the metric of transport, by differences, with the closed form."""
    law = {n: theory.diffused(C, Q, t + n * STEP) for n in (-2, -1, 1, 2)}
    D = {n: relative_entropy.gaussian(covariance, Q) for n, covariance in law.items()}
    rate = theory.relative_fisher_information(theory.diffused(C, Q, t), Q)
    small = STEP * 2 / float(np.linalg.eigvalsh(Q)[0])
    slope = (8 * (D[1] - D[-1]) - (D[2] - D[-2])) / (12 * STEP)
    yield exact(f"dD/dt = -Fisher, {where}", -rate, slope, rate * small**4 + 1e-14 / STEP, "nat")
    speed = theory.wasserstein_squared(law[-1], law[1]) / (2 * STEP) ** 2
    yield exact(f"squared speed = Fisher, {where}", rate, speed, rate * small**2, "nat")
    carried = _carried(C, Q, t, 200)
    gap = np.abs(carried - theory.diffused(C, Q, t)).max()
    yield exact(f"carried by the gradient against diffused, {where}, largest deviation", 0.0, gap, 1e-10)
    yield exact(f"dD/dt at the reference, {where}", 0.0, theory.relative_fisher_information(Q, Q), ROUNDING, "nat")


def _carried(C: np.ndarray, Q: np.ndarray, t: float, steps: int) -> np.ndarray:
    """Carry every point by the velocity, dA/dt = V(A C A^t) A, with Runge and Kutta's method of fourth order."""

    def slope(A: np.ndarray) -> np.ndarray:
        return theory.velocity(A @ C @ A.T, Q) @ A

    A, h = np.eye(len(C)), t / steps
    for _ in range(steps):
        k1 = slope(A)
        k2 = slope(A + h / 2 * k1)
        k3 = slope(A + h / 2 * k2)
        A = A + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(A + h * k3))
    return A @ C @ A.T
