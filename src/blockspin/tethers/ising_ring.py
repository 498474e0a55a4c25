"""Ising ring: decimation of the exact law against the recursion of its couplings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.law import EnumeratedLaw
from blockspin.observables.base import accumulate
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import ising_ring as theory

ROUNDING = 1e-11
"""Sums over 2^16 configurations, logarithms of probabilities down to 1e-9."""


@register
@dataclass(frozen=True)
class IsingRingTether(Tether):
    """Decimate the enumerated ring, read the couplings off the coarse law, and compare with transfer matrices."""

    name = "ising-ring"
    system = "Ising ring under decimation"
    source = "nelson1975"
    schemes = ("decimation",)

    def rows(self) -> Iterator[Row]:
        """Yield couplings, free energy, correlations, exponents and the Fisher information that is kept."""
        yield from _couplings(12, 0.7, 0.3, 2, {"K'": 0.3657339723, "h'": 0.5638725753})
        yield from _couplings(12, 0.9, 0.0, 3, {})
        yield from _correlations(12, 0.6)
        yield from _exponents(12, 0.9)
        yield from _fisher(12, 0.6)


def _decimated(sites: int, K: float, h: float, b: int) -> tuple[EnumeratedLaw, EnumeratedLaw]:
    fine = member("sources", "ising-ring")(sites=sites, coupling=K, field=h).law()
    return fine, fine.push(member("schemes", "decimation")(b=b).fit(fine, generator=torch.Generator()))


def ring_couplings(law: EnumeratedLaw) -> tuple[float, float, float, float]:
    """Return (K, h, ln Z, largest misfit) of a law over spins, by least squares of its log-probabilities."""
    s = law.values[:, :, 0]
    design = torch.stack([(s * s.roll(-1, 1)).sum(1), s.sum(1), torch.ones(len(s), dtype=torch.float64)], dim=1)
    log_p = law.weights.log()
    solution = torch.linalg.lstsq(design, log_p[:, None]).solution[:, 0]
    misfit = (design @ solution - log_p).abs().max()
    return float(solution[0]), float(solution[1]), -float(solution[2]), float(misfit)


def _couplings(sites: int, K: float, h: float, b: int, known: dict[str, float]) -> Iterator[Row]:
    fine, coarse = _decimated(sites, K, h, b)
    expected = theory.decimated_coupling(K, h, b)
    got_K, got_h, log_Z, misfit = ring_couplings(coarse)
    where = f"K = {K}, h = {h}, b = {b}, {sites} spins"
    for quantity, value, got in (("K'", expected.coupling, got_K), ("h'", expected.field, got_h)):
        yield exact(f"{quantity} ({where})", value, got, ROUNDING, "k_B T")
        if quantity in known:
            yield exact(
                f"{quantity} to the ten digits of an independent script ({where})", known[quantity], got, 1e-10, "k_B T"
            )
    constant = (ring_couplings(fine)[2] - log_Z) * b / sites
    yield exact(f"free energy of the forgotten spins ({where})", expected.constant, constant, ROUNDING, "k_B T")
    yield exact(f"couplings of any other form ({where})", 0.0, misfit, ROUNDING, "k_B T")
    ratio = theory.eigenvalue_ratio(got_K, got_h)
    yield exact(f"ratio of transfer eigenvalues ({where})", theory.eigenvalue_ratio(K, h) ** b, ratio, ROUNDING)


def _correlations(sites: int, K: float) -> Iterator[Row]:
    fine, coarse = _decimated(sites, K, 0.0, 2)
    for law, step in ((fine, 1), (coarse, 2)):
        s = law.values[:, :, 0]
        measured = float(law.weights @ (s[:, 0] * s[:, 2]))
        quantity = f"<s_0 s_2> with {law.geometry.sites} spins left of {sites} (K = {K})"
        yield exact(quantity, theory.correlation(2 * step, sites, K), measured, ROUNDING)


def _operators(sites: int, K: float) -> dict[str, Tensor]:
    """Return Swendsen's quantities and moments for the pair (decimated ring, ring), exact on the law."""
    fine = member("sources", "ising-ring")(sites=sites, coupling=K).law()
    coarsen = member("schemes", "decimation")(b=2).fit(fine, generator=torch.Generator())
    coupling = member("couplings", "swendsen")(shape=(sites,), b=2, even=1, odd=1)
    state = accumulate(coupling.monoid, coarsen(fine.ensemble), fine.ensemble)
    return {**coupling.value(state), "scatter": state["scatter"]}


def _exponents(sites: int, K: float) -> Iterator[Row]:
    found = _operators(sites, K)
    for sector, eigenvalue in zip(("even", "odd"), theory.linearised_decimation(K), strict=True):
        quantity = f"y of the {sector} sector by Swendsen's matrix (K = {K}, {sites} spins)"
        yield exact(quantity, log(eigenvalue) / log(2), float(found[f"y_{sector}"]), ROUNDING)


def _fisher(sites: int, K: float) -> Iterator[Row]:
    # one operator a sector carries all of the score, so that what is kept is a squared correlation
    scatter = _operators(sites, K)["scatter"]
    for i, (name, expected) in enumerate(zip(("coupling", "field"), theory.fisher_retained(K, sites), strict=True)):
        kept = float(scatter[i, i + 2] ** 2 / (scatter[i, i] * scatter[i + 2, i + 2]))
        quantity = f"Fisher information kept, {name} (K = {K}, {sites} spins)"
        yield exact(quantity, expected, kept, ROUNDING)
