"""Relative entropy flow: how far decimated Ising models and a network's layers move from where they began."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import atanh, cosh, log, sqrt, tanh

import numpy as np
import torch

from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import kaufman, mean_field
from blockspin.theory import relative_entropy as theory

PLATEAUS = {0.5: 0.1109440717, 1.0: 0.3278133255, 2.0: 0.6030524128}
SEQUENCE = (0.028316, 0.121268, 0.247688, 0.318138, 0.327688, 0.327813)
LAYERS = {1.0: 0.417796, 1.76: 0.066262, 4.0: 0.204543}


@register
@dataclass(frozen=True)
class RelativeEntropyFlowTether(Tether):
    """Follow the relative entropy between a model and its renormalised self, and between layers of a network."""

    name = "relative-entropy-flow"
    system = "relative entropy along decimation and along the layers of wide networks"
    source = "erdmenger2022"

    def rows(self) -> Iterator[Row]:
        """Yield plateaus of the chain, the plane and of tanh networks, each approached from below."""
        for K, plateau in PLATEAUS.items():
            path = _chain(K)
            yield exact(f"plateau of D, Ising chain from K = {K}", plateau, path[-1], 1e-9, "nat")
            closed = K * tanh(K) - log(cosh(K))
            yield exact(f"the same in closed form, K = {K}", closed, theory.ising_chain(K, 0.0), 1e-12, "nat")
            yield exact(f"fall of D along the chain, K = {K}", 0.0, max(0.0, float(-np.diff(path).min())), 1e-12, "nat")
        for step, known in enumerate(SEQUENCE, 1):
            yield exact(f"D of the Ising chain from K = 1 after {step} steps", known, _chain(1.0)[step], 6e-7, "nat")
        yield from _enumerated(10, 0.7)
        yield from _plane()
        for weight, plateau in LAYERS.items():
            yield from _layers(weight, plateau)


def _chain(K: float, steps: int = 14) -> list[float]:
    """Return D a spin between the chain of coupling K and that of its decimated couplings."""
    path, running = [], K
    for _ in range(steps):
        path.append(theory.ising_chain(K, running))
        running = atanh(tanh(running) ** 2)
    return path


def _enumerated(sites: int, K: float) -> Iterator[Row]:
    """Sum over all configurations of a ring, for two steps of the coupling on the same ring."""
    ring = member("sources", "ising-ring")
    first, running = ring(sites=sites, coupling=K).law(), K
    for step in (1, 2):
        running = atanh(tanh(running) ** 2)
        second = ring(sites=sites, coupling=running).law()
        assert torch.equal(first.values, second.values)
        D = float(first.weights @ (first.weights / second.weights).log())
        quantity = f"D of a ring of {sites} spins from K = {K} after {step} steps"
        yield exact(quantity, theory.ising_ring(K, running, sites), D, 1e-11, "nat")


def _plane() -> Iterator[Row]:
    """Move couplings of the square lattice by the recursion that decimates half of the spins and keeps one coupling."""
    critical = 0.506981
    yield exact("fixed point of K' = (3/8) ln cosh 4K", critical, 3 / 8 * log(cosh(4 * critical)), 1e-6)
    yield exact("its nu", 0.934614, log(sqrt(2)) / log(1.5 * tanh(4 * critical)), 1e-5)
    yield exact("energy of the plane at K_c: sqrt(2)", sqrt(2), theory.plane_energy(kaufman.CRITICAL_COUPLING), 1e-12)
    for K in (0.25, 0.6):
        torus = kaufman.energy(K, 64, 64) / 64**2
        yield exact(f"energy of the plane against a torus of 64 x 64 (K = {K})", torus, theory.plane_energy(K), 1e-9)
    for K, plateau in ((0.3, 0.11394), (0.44, 0.38140)):
        path, running = [0.0], K
        for _ in range(16):
            running = 3 / 8 * log(cosh(4 * running))
            path.append(theory.ising_plane(K, max(running, 1e-9)))
        yield exact(f"plateau of D, Ising plane from K = {K}", plateau, path[-1], 1e-5, "nat")
        yield exact(f"fall of D along the plane, K = {K}", 0.0, max(0.0, float(-np.diff(path).min())), 1e-9, "nat")


def _layers(weight: float, plateau: float) -> Iterator[Row]:
    """Iterate the variance of tanh networks; the last layer's D once more as an integral over both densities."""
    bias, q, path = 0.05, 1.0, [0.0]
    for _ in range(60):
        q = mean_field.variance_map(torch.tanh, q, weight, bias)
        path.append(theory.network_layer(q, 1.0))
    where = f"tanh, sigma_w^2 = {weight}, sigma_b^2 = {bias}"
    yield exact(f"plateau of D a neuron ({where})", plateau, path[-1], 1e-6, "nat")
    fixed = mean_field.propagation(torch.tanh, weight, bias).variance
    yield exact(f"the same at the fixed point ({where})", theory.network_layer(fixed, 1.0), path[-1], 1e-9, "nat")
    yield exact(f"fall of D along the layers ({where})", 0.0, max(0.0, float(-np.diff(path).min())), 1e-12, "nat")
    z = np.linspace(-15, 15, 3001) * sqrt(q)
    log_p, log_r = -(z**2) / (2 * q) - log(q) / 2, -(z**2) / 2
    D = float(np.exp(log_p) @ (log_p - log_r)) * (z[1] - z[0]) / sqrt(2 * np.pi)
    yield exact(f"D a neuron as an integral ({where})", D, path[-1], 1e-9, "nat")
