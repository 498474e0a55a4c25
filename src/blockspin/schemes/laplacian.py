"""Laplacian: join the sites of a graph that diffusion has mixed, and average over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array

from blockspin.claims import Claims, Semigroup
from blockspin.errors import ConfigError, NothingFoundError, StepNotPossibleError, check_whole
from blockspin.geometry import Geometry, Graph, Tree
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._clusters import ClusterMeanMap, in_order
from blockspin.schemes._correlation import affinity_of, require_silent
from blockspin.schemes._diffusion import adjacency_of, coarse_edges, learned_adjacency, mixed_clusters
from blockspin.schemes.base import Scheme


@register
@dataclass(frozen=True)
class Laplacian(Scheme):
    r"""Join the sites of a graph that diffusion has mixed, and average over them.

    The Laplacian renormalization group: with the heat kernel of the graph's Laplacian L, two sites are linked where

    .. math:: \rho_{ij} \ge \min(\rho_{ii}, \rho_{jj}), \qquad \rho = e^{-\tau L},

    and each connected component of the links becomes a supernode, joined to another where an edge joins their members.
    The field of a supernode is the mean over its members. A graph, lattice or tree is used as it is, without its
    field; for unordered sites the graph is learned on the fit half: every site is joined with those that it is most
    correlated with, as far as the correlation is positive and beyond chance.

    Args:
        tau: Diffusion time, in units of the inverse weight of an edge; positive.
        neighbours: Most sites that an unordered one is joined with, at least 1 (more may choose it).
        silent: Share of the largest variance up to which a site counts as silent, correlated with nothing; at 0 sites
            that do not vary are refused.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, supernodes, components]

    Raises:
        ConfigError: If an option cannot be used.
        StepNotPossibleError: If diffusion has mixed no two sites up to tau, as on a regular lattice whose sites are all
            alike.
        NothingFoundError: If unordered sites show no correlation beyond chance.
        ConstantUnitsError: If an unordered site does not vary and ``silent`` is 0.

    Do not trust when:
        The graph was learned from few samples: thresholded correlations of noise make a random graph, whose heat
        capacity has a peak and no plateau (``heat-capacity`` shows it). Or on open lattices, where only the edges
        differ from the rest.

    Tether:
        theory.graph_laplacian: plateaus of the heat capacity of lattices, trees and the Sierpinski gasket; planted
        modules are recovered.

    Source:
        villegas2023.

    Example:
        >>> from blockspin import Ensemble
        >>> triangles = Graph(6, torch.tensor([[0, 1], [1, 2], [0, 2], [3, 4], [4, 5], [3, 5], [2, 3]]))
        >>> field = Ensemble.of(torch.arange(12.0).reshape(2, 6), triangles)
        >>> Laplacian(tau=1.0).fit(field, generator=torch.Generator()).cluster.tolist()
        [0, 0, 0, 1, 1, 1]
    """

    name = "laplacian"
    source = "villegas2023"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("sign", "scale", "rotation", "permutation"),
        gauge="permutation",
    )
    tau: float = 1.0
    neighbours: int = 4
    silent: float = 0.0

    def __post_init__(self):
        require_silent(self.silent)
        if isinstance(self.tau, bool) or not isinstance(self.tau, int | float) or not 0 < self.tau < float("inf"):
            raise ConfigError("tau", self.tau, "a positive number.")
        check_whole("neighbours", self.neighbours, 1)

    def fit(self, source: Source, *, generator: torch.Generator) -> ClusterMeanMap:
        """Return means over the sites that diffusion has mixed."""
        geometry, sites = source.geometry, source.geometry.sites
        if sites < 2:
            raise StepNotPossibleError("a single site is left, which has nothing to mix with")
        A = adjacency_of(geometry)
        learned = A is None
        if A is None:
            A = learned_adjacency(affinity_of(source, self.silent), self.neighbours)
        nodes = mixed_clusters(A, self.tau)
        cluster = in_order(nodes[:sites])
        count = int(cluster.max()) + 1
        if count == sites:
            wrong = NothingFoundError if learned else StepNotPossibleError
            raise wrong(
                f"diffusion up to tau = {self.tau:g} mixes no two of {sites} sites",
                "Use a larger tau; on a regular lattice, whose sites are all alike, a scheme with blocks.",
            )
        return ClusterMeanMap(cluster, _coarse(geometry, A, nodes, cluster, count))

    @classmethod
    def examples(cls) -> tuple[Laplacian, ...]:
        """Return two times of diffusion."""
        return cls(tau=1.0), cls(tau=2.0, neighbours=2)


def _coarse(geometry: Geometry, A: csr_array, nodes: np.ndarray, cluster: torch.Tensor, count: int) -> Geometry:
    """Return the tree of the subtrees where they are that, the contracted graph otherwise."""
    ratio = geometry.sites / count
    if isinstance(geometry, Tree):
        for b in geometry.divisors():
            if b == ratio and torch.equal(cluster, torch.arange(geometry.sites) // b):
                return geometry.blocks(b).coarse
    label = nodes.copy()
    label[: len(cluster)] = cluster.numpy()
    return Graph(count, coarse_edges(A, label), geometry.spacing * ratio)
