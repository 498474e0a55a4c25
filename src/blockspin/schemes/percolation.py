"""Percolation: clusters of correlated sites, just before they join to one giant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from blockspin.claims import Claims, Semigroup
from blockspin.errors import NothingFoundError
from blockspin.geometry import Unordered
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._clusters import ClusterMeanMap, in_order
from blockspin.schemes._correlation import affinity_of, require_silent
from blockspin.schemes.base import Scheme


@register
@dataclass(frozen=True)
class Percolation(Scheme):
    r"""Join sites that correlate beyond a threshold, lowered until one giant cluster is about to appear.

    Bonds are the correlations that are positive and beyond chance. As the threshold falls, clusters grow and join; the
    percolation threshold is where the mean size of all clusters but the largest,

    .. math:: S = \frac{1}{N} \sum_{c \ne \max} s_c^2 ,

    is largest. There each cluster becomes one site, the mean over its members. The clusters of all thresholds are those
    of single linkage: they nest.

    Args:
        silent: Share of the largest variance up to which a site counts as silent, correlated with nothing; at 0 sites
            that do not vary are refused.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, clusters, components]

    Raises:
        ConfigError: If ``silent`` is no share.
        NothingFoundError: If no correlation is beyond chance, or clusters join at once, or one giant eats single sites.
        StepNotPossibleError: If there is only one site.
        ConstantUnitsError: If a site does not vary and ``silent`` is 0.

    Do not trust when:
        A few sites link groups that are otherwise apart: single linkage chains them. Correlations of noise percolate
        too (that is what the bound of chance keeps out).

    Tether:
        Planted groups are recovered, and noise has no threshold.

    Source:
        stauffer1994.

    Example:
        >>> from blockspin import GaussianLaw
        >>> C = torch.kron(torch.eye(3), torch.full((2, 2), 0.5)) + 0.5 * torch.eye(6) + 0.05
        >>> coarse = Percolation().fit(GaussianLaw.of(C, Unordered(6)), generator=torch.Generator())
        >>> coarse.cluster.tolist()
        [0, 0, 1, 1, 2, 2]
    """

    name = "percolation"
    source = "stauffer1994"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("sign", "scale", "rotation", "permutation"),
        gauge="permutation",
    )

    silent: float = 0.0

    def __post_init__(self):
        require_silent(self.silent)

    def fit(self, source: Source, *, generator: torch.Generator) -> ClusterMeanMap:
        """Return means over the clusters at the percolation threshold."""
        geometry = source.geometry
        cluster = in_order(percolating_clusters(affinity_of(source, self.silent)))
        count = int(cluster.max()) + 1
        return ClusterMeanMap(cluster, Unordered(count, geometry.spacing * geometry.sites / count))

    @classmethod
    def examples(cls) -> tuple[Percolation, ...]:
        """Return the one there is."""
        return (cls(),)


def percolating_clusters(affinity: np.ndarray) -> np.ndarray:
    """Return the cluster [N] of each site at the threshold where the mean size of all but the largest cluster peaks.

    Args:
        affinity: Strength of each bond [N, N], symmetric, from 0 (no bond) to 1.

    Raises:
        NothingFoundError: If clusters are nowhere larger than single sites beside the largest one.
    """
    i, j, height = _merges(affinity)
    sites = len(affinity)
    last = np.flatnonzero(np.append(np.diff(height) != 0, True))  # bonds of equal strength join at once
    sizes = _mean_sizes(i, j, sites)[last]
    best = int(sizes.argmax())
    if sizes[best] <= (sites - 1) / sites:  # that of single sites
        raise NothingFoundError(
            f"{sites} sites have no percolation threshold: one cluster eats single sites as bonds are added",
            "There may be no groups; another scheme may find other structure.",
        )
    joined = last[best] + 1
    bonds = coo_array((np.ones(joined), (i[:joined], j[:joined])), shape=(sites, sites))
    return connected_components(bonds, directed=False)[1]


def _merges(affinity: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bonds (ends and strength, strongest first) at which clusters join: a maximal spanning forest."""
    strength = np.round(affinity, 10)
    forest = minimum_spanning_tree(csr_array(np.where(strength > 0, 2 - strength, 0.0))).tocoo()
    order = np.lexsort((forest.col, forest.row, forest.data))
    return forest.row[order], forest.col[order], np.round(2 - forest.data[order], 9)


def _mean_sizes(i: np.ndarray, j: np.ndarray, sites: int) -> np.ndarray:
    """Return, after each merge, the sum of squared sizes of all clusters but the largest, over the number of sites."""
    parent, size = list(range(sites)), [1] * sites
    squares, largest, rows = sites, 1, []
    for a, b in zip(i.tolist(), j.tolist(), strict=True):
        a, b = _root(parent, a), _root(parent, b)
        parent[b] = a
        squares += 2 * size[a] * size[b]
        size[a] += size[b]
        largest = max(largest, size[a])
        rows.append((squares - largest**2) / sites)
    return np.array(rows)


def _root(parent: list[int], site: int) -> int:
    while parent[site] != site:
        parent[site] = parent[parent[site]]
        site = parent[site]
    return site
