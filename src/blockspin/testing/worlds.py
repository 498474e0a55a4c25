"""Worlds: exact laws on which a scheme's promises can be held to rounding, and where there is nothing to find."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.geometry import Chain, Geometry, Grid, Tree, Unordered
from blockspin.law import EnumeratedLaw, GaussianLaw, enumerate_law


@dataclass(frozen=True, eq=False)
class World:
    """An exact law.

    Args:
        name: What it is.
        law: The law.
        generic: Whether no two variances or correlations are equal, so that nothing that is ranked is a tie.
        null: Whether sites are independent: nothing to find.
    """

    name: str
    law: EnumeratedLaw | GaussianLaw
    generic: bool = False
    null: bool = False

    def fields(self, samples: int = 64, *, seed: int = 0) -> Ensemble:
        """Draw samples, float64, with a fixed generator."""
        generator = torch.Generator().manual_seed(seed)
        if isinstance(self.law, GaussianLaw):
            drawn = self.law.sample(samples, generator=generator)
            return drawn.with_values(drawn.values.to(torch.float64))
        rows = torch.multinomial(self.law.weights, samples, replacement=True, generator=generator)
        return Ensemble.of(self.law.values[rows], self.law.geometry, units=torch.arange(samples))


def worlds() -> list[World]:
    """Return exact worlds of every kind of geometry; small, so that all checks of a scheme take seconds."""
    return [
        World("Ising ring of 12 at K = 0.5", ising_ring(12, 0.5)),
        World("coin flips on a ring of 12", ising_ring(12, 0.0), null=True),
        World("massive Gaussian field on a ring of 36", gaussian_field((36,), 0.3)),
        World("massive Gaussian field on a torus of 12 x 12", gaussian_field((12, 12), 0.5)),
        World("white noise on a ring of 36", GaussianLaw.of(torch.eye(36), Chain(36)), null=True),
        World("white noise on 36 unordered sites", GaussianLaw.of(torch.eye(36), Unordered(36)), null=True),
        World("a tree of 16 leaves", GaussianLaw.of(tree_covariance(Tree(2, 4)), Tree(2, 4))),
        World("a tree of 9 leaves", GaussianLaw.of(tree_covariance(Tree(3, 2)), Tree(3, 2))),
        World("36 unordered sites of generic covariance", generic_law(Unordered(36)), generic=True),
        World("a ring of 36 of generic covariance", generic_law(Chain(36)), generic=True),
        World("three groups of four unordered sites", grouped_law(3, 4), generic=True),
    ]


def ising_ring(sites: int, coupling: float) -> EnumeratedLaw:
    """Return the nearest-neighbour Ising ring, enumerated, in memory of its own: a broken scheme may write into it."""
    whole = _ising_ring(sites, coupling).ensemble
    return EnumeratedLaw(whole.with_values(whole.values.clone()))


@cache  # of thousands of configurations, and asked for by every check of every scheme
def _ising_ring(sites: int, coupling: float) -> EnumeratedLaw:
    return enumerate_law(Chain(sites), (-1.0, 1.0), lambda s: coupling * (s * s.roll(1, 1)).sum(1))


def gaussian_field(shape: tuple[int, ...], mass: float) -> GaussianLaw:
    """Return the Gaussian lattice field of spectrum 1 / (2 sum(1 - cos k) + mass), from its circulant covariance."""
    waves = torch.meshgrid(*(2 * torch.pi * torch.arange(n, dtype=torch.float64) / n for n in shape), indexing="ij")
    spectrum = 1 / (sum(2 - 2 * torch.cos(k) for k in waves) + mass)
    two_point = torch.fft.ifftn(spectrum).real
    grid = Grid(shape)
    position = grid.coordinates()
    gap = (position[:, None] - position[None]) % torch.tensor(shape)
    return GaussianLaw.of(two_point[tuple(gap.unbind(-1))], grid)


def tree_covariance(tree: Tree) -> Tensor:
    """Return a covariance that falls by a half with every level at which two leaves part."""
    distance = tree.distances()
    height = torch.where(
        distance > 0, distance.clamp(min=1).log() / torch.log(torch.tensor(float(tree.branching))), 0.0
    )
    return 0.5**height + 0.1 * torch.eye(tree.sites, dtype=torch.float64)


def generic_law(geometry: Geometry) -> GaussianLaw:
    """Return a Gaussian law without ties: a fixed random covariance with a spectrum that falls by a tenth a mode."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.linalg.qr(
        torch.randn(geometry.sites, geometry.sites, dtype=torch.float64, generator=generator)
    ).Q
    spectrum = 0.9 ** torch.arange(geometry.sites, dtype=torch.float64)
    return GaussianLaw.of((directions * spectrum) @ directions.T, geometry)


def grouped_law(groups: int, size: int) -> GaussianLaw:
    """Return a Gaussian law without ties of groups of sites: a tenth of a generic covariance on top of equal ones."""
    together = torch.kron(torch.eye(groups, dtype=torch.float64), torch.ones(size, size, dtype=torch.float64))
    generic = generic_law(Unordered(groups * size)).covariance
    return GaussianLaw.of(together + 0.1 * generic, Unordered(groups * size))
