"""Maze: whether the centre of a site-percolation maze is reached from its rim, by breadth-first search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

SITE_THRESHOLD = 0.592746
"""Share of open cells of the square lattice at which an infinite cluster appears. Source: stauffer1994."""


@dataclass(frozen=True)
class Exponents:
    """Those of two-dimensional percolation.

    Args:
        cluster_dimension: Mass of the critical cluster by length, 91/48, exact.
        size_exponent: tau of the number of clusters by size, 187/91, exact.
        shortest_path: Length of the shortest path by distance, numerical.
    """

    cluster_dimension: float = 91 / 48
    size_exponent: float = 187 / 91
    shortest_path: float = 1.1306


def depth_to_centre(open_cells: np.ndarray) -> int | None:
    """Return how many steps from the open cells of the rim reach the centre, or None where no path does.

    As many layers, each of which spreads to the four open neighbours, decide the maze; fewer call it closed.

    Args:
        open_cells: [side, side], boolean; the centre is cell (side // 2, side // 2).

    Source:
        ringel2018.
    """
    side = len(open_cells)
    index = np.arange(side * side).reshape(side, side)
    across = open_cells[:, 1:] & open_cells[:, :-1]
    down = open_cells[1:] & open_cells[:-1]
    i = np.concatenate([index[:, 1:][across], index[1:][down]])
    j = np.concatenate([index[:, :-1][across], index[:-1][down]])
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(side * side,) * 2)
    centre = index[side // 2, side // 2]
    steps = dijkstra(graph.tocsr(), directed=False, indices=centre, unweighted=True).reshape(side, side)
    rim = open_cells.copy()
    rim[1:-1, 1:-1] = False
    reached = steps[rim & open_cells[side // 2, side // 2]]
    least = reached.min(initial=np.inf)
    return int(least) if np.isfinite(least) else None
