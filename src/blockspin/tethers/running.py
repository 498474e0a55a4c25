"""Running: beta functions, fixed points and exponents read off exact flows, against the recursions that they obey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, log, pi

import torch
from torch import Tensor

from blockspin.answer import Verdict
from blockspin.diamond import Diamond
from blockspin.ensemble import group_of
from blockspin.flow import Axis, Direction
from blockspin.flows.iterate import iterate
from blockspin.flows.rescaling import PowerRescaling
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate
from blockspin.registry import member, register
from blockspin.running.base import Running
from blockspin.running.beta_function import BetaFunction, fit_beta
from blockspin.running.fixed_points import fixed_points
from blockspin.running.scaling import agreement, stability, step_exponents
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.tethers.ising_ring import ring_couplings
from blockspin.tethers.migdal_kadanoff import decimated
from blockspin.theory import migdal_kadanoff as theory

GROUPS = 20


@register
@dataclass(frozen=True)
class RunningTether(Tether):
    """Describe exact flows to a stated precision, and find what their recursions say in closed form."""

    name = "running"
    system = "beta functions of exact flows: Gaussian mass, Ising ring, diamond lattice"
    source = "wilson1974"
    schemes = ("momentum-shell", "decimation")

    def rows(self) -> Iterator[Row]:
        """Yield beta of the mass and of the ring, which has no fixed point, and K* and y_t of the diamond.

        The exponent of the mass is taken from samples as well, by its beta function and by Swendsen's matrix.
        """
        yield from _mass()
        yield from _sampled_mass()
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


def _sampled_mass() -> Iterator[Row]:
    """Integrate out shells of a sampled field and take y = 2 from how its mass runs, and from one step's matrix."""
    field = member("sources", "gaussian-field")(shape=(128,), mass=0.02)
    drawn = field.sample(2000, generator=torch.Generator().manual_seed(0))
    shell = member("schemes", "momentum-shell")(b=2)
    fixed = PowerRescaling(2, -0.5)  # keeps the coefficient of k^2 in one dimension
    flow = iterate((drawn, drawn), shell, generator=torch.Generator(), steps=4, rescaling=fixed)
    group = group_of(drawn.units, GROUPS)
    parts = [(group == g).nonzero().flatten() for g in range(GROUPS)]
    power = [
        torch.fft.rfft(s.ensemble.values[..., 0].double()).abs().square() / s.ensemble.geometry.sites for s in flow
    ]
    means = [torch.stack([p[part].mean(0) for part in parts]) for p in power]
    rest = [torch.arange(GROUPS) != g for g in range(GROUPS)]
    replicas = torch.stack([torch.stack([_mass_of(m[kept].mean(0)) for m in means]) for kept in rest])
    masses = torch.stack([_mass_of(m.mean(0)) for m in means])
    lengths = [float(scale.log_length or 0) for scale in flow]
    C = replicas.T.cov() * (GROUPS - 1) ** 2 / GROUPS
    running = replace(_described(masses.tolist(), [1.0] * len(flow), lengths), covariance=C, dof=GROUPS - 1)
    beta = _beta([running], order=1)
    slope = beta.basis.slopes(masses[:1].numpy())[:, 0]
    error = float(slope @ beta.covariance @ slope) ** 0.5
    by_beta = Measurement(float(beta.jacobian(masses[:1].numpy())[0, 0]), error, dof=beta.dof, how="beta function")
    fine, coarse = flow[1].ensemble, flow[2].ensemble
    matrix = member("couplings", "swendsen").between(fine.geometry, coarse.geometry, even=1, odd=1, real=True)
    states = [accumulate(matrix.monoid, coarse.select(part), fine.select(part)) for part in parts]
    by_matrix = next(e.rate for e in step_exponents(matrix, states, 2) if e.sector == "even")
    yield sampled("y of the mass of a sampled field, by its beta function", 2.0, by_beta)
    yield sampled("y of the mass of a sampled field, by Swendsen's matrix of phi^2", 2.0, by_matrix)
    difference = agreement(by_beta, by_matrix, margin=0.1).difference
    yield sampled("y by the beta function less y by the matrix", 0.0, difference)


def _mass_of(spectrum: Tensor) -> Tensor:
    """Return r of the spectrum 1 / (k^2 + r) below the zone boundary, where the shell forgot the mode."""
    S = spectrum[:-1]
    k = 2 * pi * torch.arange(len(S)) / (2 * (len(spectrum) - 1))
    weight = (k**2 + 1 / S[0]) ** -2
    return (weight * (1 / S - k**2)).sum() / weight.sum()


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
