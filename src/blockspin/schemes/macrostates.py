"""Macrostates: fuzzy groups of sites, as many as the spectral gap of their correlation graph tells."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import NothingFoundError, check_between
from blockspin.geometry import Geometry, Unordered
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._correlation import affinity_of, require_silent
from blockspin.schemes._markov import galerkin, memberships, walk_modes
from blockspin.schemes.base import LiftingMap, Scheme


@dataclass(frozen=True, eq=False)
class MacrostatesMap(LiftingMap):
    """Means weighted by fuzzy memberships.

    Args:
        memberships: float64 [sites, macrostates]; each row adds up to one.
        operator: float64 [macrostates, macrostates]; the random walk between macrostates (Galerkin), its rows add up to
            one.
        eigenvalues: float64 [sites]; of the random walk between sites, in descending order.
    """

    memberships: Tensor
    operator: Tensor
    eigenvalues: Tensor
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of site counts."""
        return log(self.memberships.shape[0] / self.memberships.shape[1])

    @property
    def _weights(self) -> Tensor:
        return (self.memberships / self.memberships.sum(0)).T

    @property
    def crispness(self) -> float:
        """Mean over macrostates of the membership in them, weighted by itself: 1 where every site is in one alone."""
        return float((self.memberships.square().sum(0) / self.memberships.sum(0)).mean())

    def values(self, values: Tensor) -> Tensor:
        """Average over each macrostate."""
        return torch.einsum("ms,nsc->nmc", self._weights.to(values.dtype), values)

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return as many unordered sites as there are macrostates."""
        count = self.memberships.shape[1]
        return Unordered(count, geometry.spacing * geometry.sites / count)

    def lift(self, values: Tensor) -> Tensor:
        """Return the smallest field whose weighted means these are."""
        inverse = torch.linalg.pinv(self._weights)
        return torch.einsum("sm,nmc->nsc", inverse.to(values.dtype), values)


@register
@dataclass(frozen=True)
class Macrostates(Scheme):
    r"""Group sites into fuzzy macrostates, as many as the spectral gap of their correlation graph tells.

    A random walk steps from site to site in proportion to their correlation (positive and beyond chance, plus one for
    staying); where m groups are tightly knit and loosely tied to each other, its eigenvalues have a gap after the m-th.
    The finest such gap that at least halves the number of sites is taken, so that a ladder climbs level by level
    (sites that correlate with no other are left alone and not counted).
    Memberships chi are non-negative combinations of the m slow modes, add up to one for every site (so do those of a
    whole ladder, which are their products), and the field of a macrostate is

    .. math:: \phi'_a = \sum_i \chi_{ia} \phi_i \Big/ \sum_i \chi_{ia} .

    The map keeps the walk between the macrostates, whose eigenvalues are the m largest of the walk between sites.

    Args:
        gap: Least relative difference of neighbouring eigenvalues that counts as a gap, between 0 and 1. The default is
            a judgement, not a test of a stated level: it finds groups in no sample of white noise and in few of equally
            correlated sites, but in most of a smooth chain with a correlation length of some sites (see below).
        silent: Share of the largest variance up to which a site counts as silent, correlated with nothing; at 0 sites
            that do not vary are refused.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, macrostates, components]

    Raises:
        ConfigError: If an option cannot be used.
        NothingFoundError: If no correlation is beyond chance, or the spectrum has no gap.
        StepNotPossibleError: If there is only one site.
        ConstantUnitsError: If a site does not vary and ``silent`` is 0.

    Do not trust when:
        The map's ``crispness`` is far from 1. Sites along a chain whose correlations reach over several of them have
        slow modes with gaps between, though nothing separates them: they are cut into overlapping arcs of crispness
        0.5 and less, where separate groups have 1 (and a tree of weakly tied groups, on samples, 0.2 to 0.9). So is, on
        200 samples, one common factor of unequal loadings. Groups overlap or are of very unequal size: eigenvalues then
        fall without a clear gap. Anticorrelated sites count as strangers.

    Tether:
        theory.markov: planted groups and trees are recovered, and lumpable chains keep their powers.

    Source:
        roblitz2013.

    Example:
        >>> from blockspin import GaussianLaw
        >>> C = torch.kron(torch.eye(3), torch.full((4, 4), 0.5)) + 0.5 * torch.eye(12) + 0.05
        >>> coarse = Macrostates().fit(GaussianLaw.of(C, Unordered(12)), generator=torch.Generator())
        >>> coarse.memberships.argmax(1).tolist()
        [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    """

    name = "macrostates"
    source = "roblitz2013"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("sign", "scale", "rotation", "permutation"),
        gauge="permutation",
    )
    gap: float = 0.3
    silent: float = 0.0

    def __post_init__(self):
        require_silent(self.silent)
        check_between("gap", self.gap, 0, 1)

    def fit(self, source: Source, *, generator: torch.Generator) -> MacrostatesMap:
        """Return means over the macrostates of the source's correlation graph."""
        W = affinity_of(source, self.silent) + np.eye(source.geometry.sites)
        eigenvalues, modes, stationary = walk_modes(W)
        alone = int((W.sum(axis=1) == 1).sum())
        count = self._count(eigenvalues, alone)
        chi = memberships(modes[:, :count])
        operator = galerkin(W / W.sum(axis=1, keepdims=True), stationary, chi)
        return MacrostatesMap(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (chi, operator, eigenvalues)))

    def _count(self, eigenvalues: np.ndarray, alone: int) -> int:
        """Return the largest number of macrostates, at least two, with a gap behind it.

        At most half of the sites that are joined to others; each that stands alone is a macrostate of its own.
        """
        sites = len(eigenvalues)
        slow = eigenvalues[1 : alone + (sites - alone) // 2]  # the second, third, ...
        slow = slow[slow > 2 * abs(eigenvalues[-1])]  # nearer to zero noise alone makes relative gaps
        gaps = 1 - eigenvalues[2 : 2 + len(slow)] / slow
        found = np.flatnonzero(gaps >= self.gap)
        if not len(found):
            widest = f"the widest is {gaps.max():.2g}" if len(gaps) else "there are too few"
            raise NothingFoundError(
                f"the spectrum of {sites} sites has no gap of {self.gap:g} that tells how many groups ({widest})",
                "Lower ``gap``, or take it that there are no separate groups.",
            )
        return int(found[-1]) + 2

    @classmethod
    def examples(cls) -> tuple[Macrostates, ...]:
        """Return a strict and a lax reading of the gap."""
        return cls(), cls(gap=0.2)
