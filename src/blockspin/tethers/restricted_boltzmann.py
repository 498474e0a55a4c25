"""Restricted Boltzmann machine: a ring as a machine, steps that keep the free energy, and a machine that is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cosh, log

import numpy as np
import torch

from blockspin.registry import member, register
from blockspin.schemes.restricted_boltzmann import RestrictedBoltzmannMap
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import ising_ring
from blockspin.theory import restricted_boltzmann as theory

ROUNDING = 1e-12
"""Probabilities of at most 2^16 pairs of configurations."""


@register
@dataclass(frozen=True)
class RestrictedBoltzmannTether(Tether):
    """Enumerate machines whose marginals are known, and score a trained one against the exact conditional law."""

    name = "restricted-boltzmann"
    system = "Ising ring as a restricted Boltzmann machine, and as what one is trained on"
    source = "mehta2014"
    schemes = ("restricted-boltzmann", "decimation")

    def rows(self) -> Iterator[Row]:
        """Yield marginals, free energies, conditional means and held-out scores."""
        yield from _decimation(4, 0.6)
        yield from _blocks(3)
        yield from _machine(6, 0.6)
        yield from _trained(12, 0.6)


def _decimation(hidden: int, K: float) -> Iterator[Row]:
    """Sum over every second spin of a ring of 8, in three ways."""
    coarse_K = ising_ring.zero_field_coupling(K)
    yield exact(f"K' of the ring at K = {K}", 0.2968444858, coarse_K, 5e-11)
    spins, ring = ising_ring.ring_probabilities(hidden, coarse_K)
    order = np.lexsort(spins.T[::-1])
    ring = ring[order]
    _, marginal = theory.marginals(theory.decimation_weights(hidden, K))
    where = f"ring of {2 * hidden}, K = {K}"
    yield exact(f"hidden spins of the machine, {where}, against the ring of K'", 0.0, _gap(marginal, ring), ROUNDING)
    fine = member("sources", "ising-ring")(sites=2 * hidden, coupling=K).law()
    keep = member("schemes", "decimation")(b=2).fit(fine, generator=torch.Generator())
    kept = keep.values(fine.values)[:, :, 0].numpy()
    operator = (kept[:, None] == theory.spins(hidden)[None]).all(axis=2).astype(float)  # e^T, a delta function
    law, change = theory.step_probabilities(fine.weights.numpy(), operator)
    yield exact(f"decimation as a step T, {where}, against the ring of K'", 0.0, _gap(law, ring), ROUNDING)
    yield exact(f"free energy lost by decimation as a step T, {where}", 0.0, change, ROUNDING, "k_B T")


def _blocks(pairs: int) -> Iterator[Row]:
    """Block pairs of a ring, and of free spins, by soft spins."""
    ring = member("sources", "ising-ring")(sites=2 * pairs, coupling=0.6).law().weights.numpy()
    free = np.full(4**pairs, 0.25**pairs)
    for strength in (0.3, 1.0, 3.0):
        normalised, plain = theory.soft_blocks(pairs, strength)
        change = theory.step_probabilities(ring, normalised)[1]
        yield exact(f"free energy lost by normalised soft blocks, lambda = {strength}", 0.0, change, ROUNDING, "k_B T")
        expected = -pairs * log(1 + cosh(2 * strength))
        change = theory.step_probabilities(free, plain)[1]
        quantity = f"free energy lost by soft blocks of free spins that are not normalised, lambda = {strength}"
        yield exact(quantity, expected, change, ROUNDING, "k_B T")


def _machine(visible: int, K: float) -> Iterator[Row]:
    """Ask the map of the exact machine for conditional means and conditional probabilities."""
    W = theory.decimation_weights(visible, K)
    weights = torch.from_numpy(4 * W)  # in units of 0 and 1
    half = -weights.sum(1) / 2
    machine = RestrictedBoltzmannMap(weights, half, -weights.sum(0) / 2, torch.zeros_like(half), -1.0)
    v = theory.spins(visible)
    joint = np.exp(v @ W.T @ v.T)  # [visible, hidden]; both layers have as many spins
    enumerated = joint @ v / joint.sum(axis=1, keepdims=True)
    found = machine.hidden_mean(torch.from_numpy(v)[:, :, None])[:, :, 0].numpy()
    yield exact("mean hidden spin given the visible ones, largest deviation", 0.0, _gap(found, enumerated), ROUNDING)
    found = machine.visible_mean(torch.from_numpy(v)[:, :, None])[:, :, 0].numpy()
    enumerated = joint.T @ v / joint.T.sum(axis=1, keepdims=True)
    yield exact("mean visible spin given the hidden ones, largest deviation", 0.0, _gap(found, enumerated), ROUNDING)
    p = theory.marginals(W)[0]
    expected = _known_of_first_spin(p)
    conditionals = machine.log_conditionals(torch.from_numpy(v)[:, :, None])[:, 0]
    yield exact("mean of ln p(v_0 | all others)", expected, float(p @ conditionals.numpy()), ROUNDING, "nat")


def _known_of_first_spin(p: np.ndarray) -> float:
    """Return the mean of ln p(s_0 | all others) of a law over 2^n configurations of spins, in nats."""
    together, others = p, p.reshape(2, -1).sum(axis=0)
    return float((together * np.log(together)).sum() - (others * np.log(others)).sum())


def _trained(sites: int, K: float) -> Iterator[Row]:
    """Train on a ring, hold out a fifth: it learns much of what there is to know, and cannot know more."""
    law = member("sources", "ising-ring")(sites=sites, coupling=K).law()
    known = _known_of_first_spin(law.weights.numpy())
    finite = sites * np.tanh(K) ** sites
    yield exact(
        f"mean of ln p(s | all others), ring of {sites}, K = {K}", theory.pseudo_likelihood(K), known, finite, "nat"
    )
    machine = member("schemes", "restricted-boltzmann")(b=2, epochs=60).fit(
        law, generator=torch.Generator().manual_seed(0)
    )
    truth = float(law.weights @ machine.log_conditionals(law.values).mean(1))  # of this very machine, by enumeration
    yield sampled("held-out score of a trained machine, against its exact one", truth, machine.pseudo_likelihood)
    above = max(0.0, truth - known)
    yield exact("score of a trained machine beyond that of the true law", 0.0, above, ROUNDING, "nat")
    share = (truth + log(2)) / (known + log(2))
    yield exact("share of the knowable that a trained machine knows, at least half", 1.0, share, 0.5)


def _gap(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one - two).max())
