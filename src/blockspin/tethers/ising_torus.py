"""Ising torus: exact free energy, energy and scaling dimensions against enumeration, transfer matrices and samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, pi

import numpy as np
import torch
from torch import Tensor

from blockspin.ensemble import group_of
from blockspin.geometry import Grid
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import cylinder, kaufman

ROUNDING = 1e-10
"""Sums over 2^16 configurations, and logarithms of the probabilities of single ones."""
CATALAN = 0.915965594177219


@register
@dataclass(frozen=True)
class IsingTorusTether(Tether):
    """Compare Kaufman's and Onsager's formulas with brute force, printed values and sampled energies."""

    name = "ising-torus"
    system = "Ising model on finite tori and cylinders"
    source = "kaufman1949"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield free energies, energies and scaling dimensions."""
        for shape, K in (((4, 4), kaufman.CRITICAL_COUPLING), ((3, 5), 0.3), ((5, 3), 0.7), ((3, 4), 0.6)):
            yield from _enumerated(shape, K)
        yield from _printed()
        yield _sampled_energy(16, 4000)
        yield from _dimensions(8)


def bonds(s: Tensor) -> Tensor:
    """Return the sum of s s' over all bonds of a torus, for spins [n, rows, columns]."""
    return (s * s.roll(-1, 1) + s * s.roll(-1, 2)).sum((1, 2))


def torus(shape: tuple[int, int], K: float) -> EnumeratedLaw:
    """Return the exact law of a small torus."""
    return enumerate_law(Grid(shape), (-1.0, 1.0), lambda s: K * bonds(s.reshape(-1, *shape)))


def _enumerated(shape: tuple[int, int], K: float) -> Iterator[Row]:
    law = torus(shape, K)
    spins = law.values.reshape(-1, *shape)
    where = f"{shape[0]} x {shape[1]}, K = {K:.4f}"
    log_Z = 2 * spins[0].numel() * K - float(law.weights[-1].log())  # the last configuration has all spins up
    yield exact(f"ln Z by enumeration ({where})", kaufman.log_partition(K, *shape), log_Z, ROUNDING)
    mean = float(law.weights @ bonds(spins))
    yield exact(f"energy by enumeration ({where})", kaufman.energy(K, *shape), mean, ROUNDING, "coupling")


def _printed() -> Iterator[Row]:
    K = kaufman.CRITICAL_COUPLING
    for side, known in ((8, 60.1417807891), (16, 238.642256635), (32, 952.6480795485)):
        yield exact(f"ln Z as tabulated elsewhere (L = {side}, K_c)", known, kaufman.log_partition(K, side, side), 1e-8)
    for side, known in ((32, -1.433658), (64, -1.423938)):
        yield exact(
            f"energy a site as tabulated elsewhere (L = {side}, K_c)",
            known,
            -kaufman.energy(K, side, side) / side**2,
            1e-6,
            "coupling",
        )
    limit = log(2) / 2 + 2 * CATALAN / pi
    yield exact("Onsager's ln Z a site at K_c", limit, kaufman.onsager_log_partition(K), 1e-11)
    for K in (0.3, 0.6):
        large = kaufman.log_partition(K, 256, 256) / 256**2
        expected = kaufman.onsager_log_partition(K) + (log(2) / 256**2 if K > kaufman.CRITICAL_COUPLING else 0.0)
        yield exact(f"Onsager's ln Z a site against 256 x 256 (K = {K})", expected, large, 1e-11)


def _sampled_energy(side: int, samples: int, groups: int = 20) -> Row:
    spins = member("sources", "ising-square")(side=side).sample(samples, generator=torch.Generator().manual_seed(3))
    energy = bonds(spins.values.reshape(-1, side, side)).to(torch.float64)
    group = group_of(spins.units, groups, chain=spins.chain)
    means = torch.stack([energy[group == g].mean() for g in range(groups)])
    measured = Measurement(
        float(energy.mean()), float(means.std()) / groups**0.5, "coupling", groups, "means of groups", groups - 1
    )
    expected = kaufman.energy(kaufman.CRITICAL_COUPLING, side, side)
    return sampled(f"energy of sampled spins (L = {side}, K_c)", expected, measured)


def _dimensions(size: int) -> Iterator[Row]:
    """Diagonalise the transfer matrix between rows of spins."""
    K = kaufman.CRITICAL_COUPLING
    row = 1 - 2 * ((np.arange(2**size)[:, None] >> np.arange(size)) & 1).astype(float)
    inside = K / 2 * (row * np.roll(row, 1, axis=1)).sum(1)
    T = np.exp(K * row @ row.T + inside[:, None] + inside[None])
    half = len(row) // 2
    same, turned = T[:half, :half], T[:half, half:][:, ::-1]  # the mirror image of a row has all its spins turned
    even, odd = np.linalg.eigvalsh(same + turned), np.linalg.eigvalsh(same - turned)
    scale, expected = size / (2 * pi), cylinder.scaling_dimensions(size)
    for name, known, eigenvalue in (("spin", expected.spin, odd[-1]), ("energy", expected.energy, even[-2])):
        measured = scale * log(even[-1] / eigenvalue)
        yield exact(f"Delta of the {name}, {len(row)} x {len(row)} transfer matrix", known, measured, ROUNDING)
    yield exact("Delta of the spin, L = 8, as printed", 0.1258396, expected.spin, 1e-7)
    yield exact("Delta of the energy, L = 8, as printed", 0.9873897, expected.energy, 1e-7)
    for length in (64, 1024):
        found = cylinder.scaling_dimensions(length)
        yield exact(f"Delta of the spin, L = {length}: 1/8", 1 / 8, found.spin, 0.06 / length**2)
        yield exact(f"Delta of the energy, L = {length}: 1", 1.0, found.energy, 0.9 / length**2)
