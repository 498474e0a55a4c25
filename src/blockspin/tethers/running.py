"""Running: beta functions, fixed points and exponents read off exact flows, against the recursions that they obey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log, pi

import torch

from blockspin.answer import Verdict
from blockspin.diamond import Diamond
from blockspin.flow import Axis, Direction
from blockspin.flows.iterate import iterate
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.running.base import Running
from blockspin.running.beta_function import BetaFunction, fit_beta
from blockspin.running.fixed_points import fixed_points
from blockspin.running.scaling import stability
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.tethers.ising_ring import ring_couplings
from blockspin.tethers.migdal_kadanoff import decimated
from blockspin.theory import migdal_kadanoff as theory


@register
@dataclass(frozen=True)
class RunningTether(Tether):
    """Describe exact flows to a stated precision, and find what their recursions say in closed form."""

    name = "running"
    system = "beta functions of exact flows: Gaussian mass, Ising ring, diamond lattice"
    source = "wilson1974"
    schemes = ("momentum-shell", "decimation")

    def rows(self) -> Iterator[Row]:
        """Yield beta of the mass and of the ring, which has no fixed point, and K* and y_t of the diamond."""
        yield from _mass()
        yield from _ring()
        yield from _diamond()


def _described(values: Sequence[float], precision: Sequence[float], lengths: Sequence[float]) -> Running:
    """Return an exact flow of one coupling as if it were measured to a precision."""
    g = torch.tensor(values, dtype=torch.float64)
    n = len(g)
    axis, labels = Axis("steps", "steps", Direction.COARSENING), tuple(map(str, range(n)))
    C = torch.diag(torch.tensor(precision, dtype=torch.float64) ** 2)
    where = (axis, labels, torch.arange(n), torch.tensor(lengths))
    return Running(*where, ("g",), ("1",), g[:, None], C, inf, (None,) * n, (), "exact, described to a precision")


def _beta(runs: Sequence[Running], order: int | None = None) -> BetaFunction:
    return fit_beta(runs, generator=torch.Generator().manual_seed(0), order=order)


def _at(beta: BetaFunction, g: float) -> Measurement:
    value, C = beta.at([g])
    return Measurement(value[0], C[0, 0] ** 0.5, how=f"fit of order {beta.order}")


def _mass() -> Iterator[Row]:
    """Integrate out momentum shells of an exact Gaussian law and read r off its slowest mode."""
    law = member("sources", "gaussian-field")(shape=(128,), mass=0.002).law()
    flow = iterate(law, member("schemes", "momentum-shell")(b=2), generator=torch.Generator(), steps=4)
    masses = []
    for scale in flow:
        spectrum = torch.fft.fft(scale.ensemble.covariance[0]).real
        ratio, k = float(spectrum[1] / spectrum[0]), 2 * pi / scale.ensemble.geometry.sites
        masses.append(k**2 * ratio / (1 - ratio))
    beta = _beta([_described(masses, [1e-4 * r for r in masses], [float(s.log_length or 0) for s in flow])])
    yield exact("order of the beta function of the Gaussian mass", 1, beta.order, 0)
    for r in (0.01, 0.3):
        yield sampled(f"beta of the Gaussian mass at r = {r}, momentum shells", 2 * r, _at(beta, r))


def _ring() -> Iterator[Row]:
    """Decimate enumerated rings of 12 spins twice and read K off the laws."""
    runs = []
    for K in (0.5, 0.7, 0.9, 1.1, 1.3):
        ring = member("sources", "ising-ring")(sites=12, coupling=K).law()
        flow = iterate(ring, member("schemes", "decimation")(b=2), generator=torch.Generator(), steps=2)
        couplings = [ring_couplings(scale.ensemble)[0] for scale in flow]
        runs.append(_described(couplings, [2e-3] * 3, [float(s.log_length or 0) for s in flow]))
    beta = _beta(runs)
    for K in (0.4, 0.7, 1.0):
        expected = theory.infinitesimal_flow(K, 1)
        yield sampled(f"beta of the Ising ring at K = {K}: sinh(2K) ln(tanh K) / 2", expected, _at(beta, K))
    found = fixed_points(beta, generator=torch.Generator().manual_seed(0))
    yield exact("fixed points of the Ising ring between 0.1 and 1.3", 0, len(found.points), 0)
    yield exact("whether none is said to be there", 1, found.verdict is Verdict.NO, 0)


def _diamond() -> Iterator[Row]:
    """Decimate diamond lattices on both sides of their critical point."""
    runs = []
    for K in (0.57, 0.59, 0.60, 0.62, 0.63, 0.65):
        couplings = [K]
        for _ in range(2):
            bonds = torch.full((len(Diamond(1).edges()),), couplings[-1], dtype=torch.float64)
            couplings.append(float(decimated(Diamond(1), bonds, 2)[0][0]))
        runs.append(_described(couplings, [1e-4] * 3, [k * log(2) for k in range(3)]))
    beta = _beta(runs)
    (point,) = fixed_points(beta, generator=torch.Generator().manual_seed(0)).points
    expected = theory.fixed_point(2, moved_first=False)
    yield sampled("K* of the diamond lattice by its beta function", expected.coupling, point.measurement("g"))
    (exponent,) = stability(beta, point)
    yield sampled("y_t of the diamond lattice by its beta function", expected.thermal_exponent, exponent.rate)
