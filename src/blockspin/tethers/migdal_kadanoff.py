"""Migdal-Kadanoff: decimation of enumerated diamond lattices against the recursion of their couplings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import torch
from torch import Tensor

from blockspin.diamond import Diamond
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import migdal_kadanoff as theory
from blockspin.theory.spin_glass import in_series

ROUNDING = 1e-11
"""Sums over 2^16 configurations, logarithms of probabilities down to 1e-9."""
CONSISTENCY = 1e-9
"""Derivatives by differences of fourth order."""


@register
@dataclass(frozen=True)
class MigdalKadanoffTether(Tether):
    """Decimate spins on diamond lattices, read the couplings off the coarse law, and find where they stay."""

    name = "migdal-kadanoff"
    system = "Ising model on diamond lattices under decimation"
    source = "berker1979"
    schemes = ("decimation",)

    def rows(self) -> Iterator[Row]:
        """Yield couplings after decimation, fixed points and exponents, and printed values of several schemes."""
        for generations, branches, b, K in ((2, 2, 2, 0.5), (1, 4, 2, 0.4), (1, 3, 3, 0.7), (1, 4, 4, 0.9)):
            yield from _coupling(Diamond(generations, branches, b), K)
        yield from _twice(0.7)
        yield from _random_bonds()
        yield from _critical_point(2, 2)
        yield from _critical_point(3, 2)
        yield from _printed()


def ising(lattice: Diamond, couplings: Tensor) -> EnumeratedLaw:
    """Return the law of spins with one coupling an edge, float64 [edges]."""
    i, j = lattice.edges().T
    return enumerate_law(lattice, (-1.0, 1.0), lambda s: (s[:, i] * s[:, j]) @ couplings)


def edge_couplings(law: EnumeratedLaw) -> tuple[Tensor, float]:
    """Return the couplings of the edges [edges] and the largest misfit, by least squares of the log-probabilities."""
    lattice = law.geometry
    assert isinstance(lattice, Diamond)
    i, j = lattice.edges().T
    s = law.values[:, :, 0]
    design = torch.cat([s[:, i] * s[:, j], torch.ones(len(s), 1, dtype=torch.float64)], dim=1)
    log_p = law.weights.log()[:, None]
    solution = torch.linalg.lstsq(design, log_p).solution
    return solution[:-1, 0], float((design @ solution - log_p).abs().max())


def decimated(lattice: Diamond, couplings: Tensor, b: int) -> tuple[Tensor, float]:
    """Return couplings and misfit after the decimation scheme was applied to the exact law."""
    law = ising(lattice, couplings)
    return edge_couplings(law.push(member("schemes", "decimation")(b=b).fit(law, generator=torch.Generator())))


def _uniform(lattice: Diamond, K: float) -> Tensor:
    return torch.full((len(lattice.edges()),), K, dtype=torch.float64)


def _dimension(lattice: Diamond) -> float:
    return 1 + log(lattice.branches) / log(lattice.b)


def _coupling(lattice: Diamond, K: float) -> Iterator[Row]:
    found, misfit = decimated(lattice, _uniform(lattice, K), lattice.b)
    expected = theory.decimated_then_moved(K, _dimension(lattice), lattice.b)
    where = f"K = {K}, {lattice.branches} branches of {lattice.b} bonds, {lattice.sites} spins"
    yield exact(f"K' ({where})", expected, float(found.mean()), ROUNDING, "k_B T")
    yield exact(f"couplings of any other form ({where})", 0.0, misfit, ROUNDING, "k_B T")


def _twice(K: float) -> Iterator[Row]:
    """Decimate two generations at once: the recursion twice."""
    lattice = Diamond(2)
    found, _ = decimated(lattice, _uniform(lattice, K), 4)
    expected = theory.decimated_then_moved(theory.decimated_then_moved(K, 2), 2)
    yield exact(f"K'' by decimation of 12 spins to 2 (K = {K})", expected, float(found[0]), ROUNDING, "k_B T")


def _random_bonds() -> Iterator[Row]:
    """Decimate 16 random bonds: every coarse one is a sum over branches of bonds in a row."""
    lattice = Diamond(2)
    bonds = torch.randn(16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, _ = decimated(lattice, bonds, 2)
    paths = bonds.reshape(4, 2, 2).numpy()
    expected = in_series(paths[..., 0], paths[..., 1]).sum(1)
    for edge in range(4):
        quantity = f"coupling of edge {edge} after decimation of 16 Gaussian bonds"
        yield exact(quantity, float(expected[edge]), float(found[edge]), ROUNDING, "k_B T")


def _critical_point(dimension: int, b: int) -> Iterator[Row]:
    """Find K* and y_t from exact laws alone: where K' = K, and how fast K' moves there."""
    lattice = Diamond(1, b ** (dimension - 1), b)

    def renormalised(K: float) -> float:
        return float(decimated(lattice, _uniform(lattice, K), b)[0][0])

    low, high = 0.1, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if renormalised(middle) < middle else (low, middle)
    K, step = (low + high) / 2, 1e-2
    near, far = ((renormalised(K + s) - renormalised(K - s)) / (2 * s) for s in (step, 2 * step))
    nearer = (renormalised(K + step / 2) - renormalised(K - step / 2)) / step
    slope = (64 * nearer - 20 * near + far) / 45  # differences of three steps, extrapolated twice
    expected = theory.fixed_point(dimension, b, moved_first=False)
    yield exact(f"K* of exact laws (d = {dimension}, b = {b})", expected.coupling, K, ROUNDING * 10, "k_B T")
    y = log(slope) / log(b)
    yield exact(f"y_t of exact laws (d = {dimension}, b = {b})", expected.thermal_exponent, y, CONSISTENCY)


def _printed() -> Iterator[Row]:
    """Compare with numbers computed by an independent script, six or seven digits."""
    known = {(2, 2): (0.3046889, 0.7472357), (2, 3): (0.2406059, 0.7381405), (3, 2): (0.0652663, 0.9391289)}
    for (d, b), (coupling, exponent) in known.items():
        found = theory.fixed_point(d, b)
        yield exact(f"K* (d = {d}, b = {b}, bonds moved first)", coupling, found.coupling, 1e-7, "k_B T")
        yield exact(f"y_t (d = {d}, b = {b})", exponent, found.thermal_exponent, 1e-7)
        reverse = theory.fixed_point(d, b, moved_first=False)
        ratio = reverse.coupling / found.coupling
        yield exact(f"K* of one order over that of the other (d = {d}, b = {b})", b ** (d - 1), ratio, 1e-12)
    onsager = log(1 + sqrt(2)) / 2
    flow = theory.infinitesimal_fixed_point(2)
    yield exact("K* for b -> 1 in two dimensions: Onsager's", onsager, flow.coupling, 1e-12, "k_B T")
    near = theory.fixed_point(2, 1.001).thermal_exponent
    yield exact("y_t for b -> 1 in two dimensions, from b = 1.001", flow.thermal_exponent, near, 1e-6)
