"""Asymmetric SK: critical line, order parameters and entropy production of the kinetic model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi, sqrt

import torch

from blockspin.registry import member, register
from blockspin.tethers._means import mean_of_parts
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import asymmetric_sk as theory

SPINS, STEPS, INSTANCES = 1000, 400, 8


@register
@dataclass(frozen=True)
class AsymmetricSKTether(Tether):
    """Solve the self-consistent equations, and run the chains with couplings of their own each."""

    name = "asymmetric-sk"
    system = "asymmetric Sherrington-Kirkpatrick model, synchronous kinetics without field"
    source = "aguilera2023"
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield the critical line to the authors' digits, then sampled numbers against theory for many spins."""
        yield exact("beta_c at Delta J = 0.6, authors' constant", 1.6281474038842, theory.critical_beta(0.6), 1e-8)
        # at beta = 1e4 the line is 5e-9 from its end, by the next order of the expansion in temperature
        line = theory.critical_deviation(1e4)
        yield exact("Delta J_c as temperature falls to 0, sqrt(2 / pi)", sqrt(2 / pi), line, 1e-8)
        yield exact(
            "entropy production at beta = 1, Delta J = 1", 0.60571, theory.entropy_production(1, 1), 5e-6, "nats"
        )
        yield from _simulated(1.0, 1.0, ordered=False)
        yield from _simulated(3.0, 0.5, ordered=True)


def _simulated(beta: float, deviation: float, *, ordered: bool) -> Iterator[Row]:
    """Yield sampled numbers; deviations of order 1 / N are below the errors, disorder is averaged over instances."""
    make = member("sources", "asymmetric-sk")
    m, q, sigma = [], [], []
    for instance in range(INSTANCES):
        model = make(sites=SPINS, beta=beta, deviation=deviation, chains=1, burn_in=50, instance=instance)
        spins, truth = model.sample_with_truth(STEPS, generator=torch.Generator().manual_seed(instance))
        s = spins.values[:, :, 0].double()
        h = beta * s @ truth.shared["couplings"].T
        # ln P(s'|s) - ln P(s|s') a spin; the normalisations cancel in the steady state
        sigma.append((s[1:] * h[:-1] - s[:-1] * h[1:]).mean(1))
        q.append((s[1:] * s[:-1]).mean(1))
        m.append(s.mean(1))
    where = f"beta = {beta:g}, Delta J = {deviation:g}, {SPINS} spins"
    yield sampled(
        f"entropy production a spin ({where})", theory.entropy_production(beta, deviation), mean_of_parts(sigma, "nats")
    )
    if ordered:
        yield sampled(f"m ({where})", theory.magnetisation(beta, deviation), mean_of_parts(m))
        yield sampled(f"q ({where})", theory.lagged_overlap(beta, deviation), mean_of_parts(q))
