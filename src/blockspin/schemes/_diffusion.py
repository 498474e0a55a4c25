"""Diffusion: the graph of a geometry, its Laplacian, and which nodes heat has mixed after some time."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import expm_multiply

from blockspin.geometry import Geometry, Graph, Grid, Tree

DENSE = 1500
"""Up to so many nodes heat is propagated by diagonalising; beyond it column by column, never holding all of them."""
COLUMNS = 128
"""Columns that are propagated at a time on large graphs."""
SLACK = 1e-3
"""Share by which two probabilities may differ and count as equal: nodes that are all alike, as those of a clique, come
exponentially near and never there."""


def adjacency_of(geometry: Geometry) -> csr_array | None:
    """Return the adjacency matrix of a geometry's graph, or None where sites have no neighbours.

    Sites come first: a tree's inner nodes follow its leaves.
    """
    if isinstance(geometry, Graph):
        return adjacency(geometry.edges.numpy(), geometry.sites)
    if isinstance(geometry, Grid):
        return adjacency(_lattice_edges(geometry), geometry.sites)
    if isinstance(geometry, Tree):
        return adjacency(*_tree_edges(geometry))
    return None


def adjacency(edges: np.ndarray, nodes: int) -> csr_array:
    """Return the symmetric adjacency matrix of edges [edges, 2]; repeated ones count once, loops not at all."""
    i, j = edges[edges[:, 0] != edges[:, 1]].T
    both = coo_array((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), shape=(nodes, nodes)).tocsr()
    both.data[:] = 1.0
    return both


def learned_adjacency(affinity: np.ndarray, neighbours: int) -> csr_array:
    """Return the graph that joins every site with those of its largest positive affinities [sites, sites].

    Ties go to the smaller number, after rounding.
    """
    affinity = np.round(affinity, 10)
    order = np.argsort(-affinity, axis=1, kind="stable")[:, :neighbours]
    site = np.repeat(np.arange(len(affinity)), order.shape[1])
    edges = np.stack([site, order.reshape(-1)], axis=1)
    return adjacency(edges[affinity[edges[:, 0], edges[:, 1]] > 0], len(affinity))


def laplacian(A: csr_array) -> csr_array:
    """Return the combinatorial Laplacian D - A."""
    return csr_array(diags_array(A.sum(axis=0)) - A)


def mixed_clusters(A: csr_array, tau: float) -> np.ndarray:
    r"""Return the cluster [nodes] of each node: those that diffusion up to ``tau`` has mixed are joined.

    Nodes i and j are linked where the heat kernel has rho_ij >= min(rho_ii, rho_jj): heat that started at one is as
    likely to be found at the other. Clusters are the connected components of the links.
    """
    L, nodes = laplacian(A), A.shape[0]
    if nodes <= DENSE:
        eigenvalues, vectors = np.linalg.eigh(L.toarray())
        i, j = _links((vectors * np.exp(-tau * eigenvalues)) @ vectors.T, np.arange(nodes))
    else:
        found = []
        for columns in np.split(np.arange(nodes), range(COLUMNS, nodes, COLUMNS)):
            start = np.zeros((nodes, len(columns)))
            start[columns, np.arange(len(columns))] = 1.0
            found.append(_links(expm_multiply(-tau * L, start, traceA=-tau * L.trace()), columns))
        i, j = (np.concatenate(side) for side in zip(*found, strict=True))
    links = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(nodes, nodes))
    return connected_components(links, directed=False)[1]


def _links(rho: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the links of some columns: a row's value against the column's own; the other way round is another's."""
    own = rho[columns, np.arange(len(columns))]
    row, column = np.nonzero(rho >= own * (1 - SLACK))
    return row, columns[column]


def coarse_edges(A: csr_array, cluster: np.ndarray) -> torch.Tensor:
    """Return the edges int64 [edges, 2] between clusters that are joined by an edge."""
    i, j = A.nonzero()
    ends = np.stack([cluster[i], cluster[j]], axis=1)
    return torch.from_numpy(np.unique(ends[ends[:, 0] < ends[:, 1]], axis=0).astype(np.int64))


def _lattice_edges(grid: Grid) -> np.ndarray:
    site = np.arange(grid.sites).reshape(grid.shape)
    rows = []
    for axis, size in enumerate(grid.shape):
        ahead = np.roll(site, -1, axis)
        inner = site if grid.periodic else np.take(site, range(size - 1), axis)
        rows.append(np.stack([inner.reshape(-1), np.take(ahead, range(inner.shape[axis]), axis).reshape(-1)], axis=1))
    return np.concatenate(rows)


def _tree_edges(tree: Tree) -> tuple[np.ndarray, int]:
    """Return the edges between the nodes of each level and their parents, and the number of nodes."""
    rows, first = [], 0
    for level in range(tree.depth):
        count = tree.branching ** (tree.depth - level)
        node = np.arange(count)
        rows.append(np.stack([first + node, first + count + node // tree.branching], axis=1))
        first += count
    return np.concatenate(rows), first + 1
