"""Percolation: points on critical clusters of mean-field percolation, with the tree of splits that made them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from blockspin.ensemble import Ensemble
from blockspin.errors import check_between, check_whole
from blockspin.geometry import Unordered
from blockspin.registry import register
from blockspin.sources._random import numpy_generator
from blockspin.sources.base import PlantedModel, Truth

SPLIT = 0.2096414
"""Chance that a neighbour stays with the first child at a split, for which the clusters' trees are critical."""


@register
@dataclass(frozen=True)
class Percolation(PlantedModel):
    r"""Points grown one at a time: a new cluster, or a point that splits into two linked ones.

    With probability 1/3 a point begins a cluster; otherwise a random point is replaced by two that are linked, and each
    of its neighbours goes to the first with probability 0.2096414. Cluster sizes follow the Yule-Simon law
    :math:`p(s) = \frac32 B(s, \frac52) \sim s^{-5/2}` of mean-field percolation. Each cluster is laid out by a random
    walk along its links, with steps of unit mean square, from an origin of its own.

    Time grows in proportion to the points, about a second for 10^5. Points of a cluster are not
    independent: a unit is a cluster. Samples come in random order. The truth holds "cluster" and "node", int64
    [samples], and the shared latent tree: "parent", int64 [nodes], -1 at roots; a sample's features at every scale are
    the ancestors of its node. "links", int64 [links, 2], joins samples.

    Args:
        dimension: Numbers a point.
        spread: Root mean square of the clusters' origins.
        new: Probability of a new cluster; 1/3 is critical percolation.
        split: Chance that a neighbour stays with the first of two.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        Points are taken one by one as independent: clusters are. The law of cluster sizes is that of infinitely many
        points; the largest clusters of n of them fall short.

    Source:
        brill2025; stauffer1994 for mean-field percolation.

    Example:
        >>> points, truth = Percolation(dimension=4).sample_with_truth(50, generator=torch.Generator().manual_seed(0))
        >>> points.values.shape, len(truth.samples["cluster"])
        (torch.Size([50, 4, 1]), 50)
    """

    name = "percolation"
    source = "brill2025"
    dimension: int = 100
    spread: float = 10.0
    new: float = 1 / 3
    split: float = SPLIT

    def __post_init__(self):
        check_whole("dimension", self.dimension, 1)
        check_between("new", self.new, 0, 1)
        check_between("split", self.split, 0, 1)

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Grow ``samples`` points and lay them out."""
        rng = numpy_generator(generator)
        node, parent, cluster, links = _grow(samples, self.new, self.split, rng)
        points = self._laid_out(cluster, links, rng)
        order = rng.permutation(samples)
        place = np.empty(samples, dtype=np.int64)
        place[order] = np.arange(samples)
        values = torch.from_numpy(points[order].astype(np.float32))
        clusters = torch.from_numpy(cluster[order])
        ensemble = Ensemble.of(values, Unordered(self.dimension), units=clusters)
        shared = {"parent": torch.from_numpy(parent), "links": torch.from_numpy(place[links])}
        return ensemble, Truth({"cluster": clusters, "node": torch.from_numpy(node[order])}, shared)

    def _laid_out(self, cluster: np.ndarray, links: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return positions [points, dimension], from each cluster's first point along its links."""
        count = len(cluster)
        first = np.unique(cluster, return_index=True)[1]
        ends = np.concatenate(
            [links, np.stack([np.full(len(first), count), first], axis=1)]
        )  # a hub joins all clusters
        graph = coo_array((np.ones(len(ends), dtype=np.int8), ends.T), shape=(count + 1,) * 2).tocsr()
        order, before = breadth_first_order(graph, count, directed=False)
        step = rng.standard_normal((count + 1, self.dimension)) / self.dimension**0.5
        step[first] *= self.spread
        step[count] = 0.0
        depth = [0] * (count + 1)
        for i, b in zip(order[1:].tolist(), before[order[1:]].tolist(), strict=True):
            depth[i] = depth[b] + 1
        shells = np.flatnonzero(np.diff(np.array(depth)[order])) + 1  # the order is by depth
        for shell in np.split(order, shells)[1:]:
            step[shell] += step[before[shell]]
        return step[:count]


def _grow(
    points: int, new: float, split: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return node and cluster of each point, the parent of each node, and the links [links, 2].

    A link has two ends, 2k and 2k + 1, each owned by a point; the ends of a point form a list from its newest. A
    point that splits hands ends over without its neighbours having to know.
    """
    begins, which = (rng.random(points) < new).tolist(), rng.random(points).tolist()
    coins = _coins(split, rng)
    node, cluster, parent, clusters = [0], [0], [-1], 1
    newest = [-1] * points  # the newest end of each point
    after: list[int] = []  # the point's end before that one
    owner: list[int] = []
    for i in range(1, points):
        if begins[i]:
            node.append(len(parent))
            parent.append(-1)
            cluster.append(clusters)
            clusters += 1
            continue
        p = int(which[i] * i)  # keeps its place as the first child; the second is point i
        above = node[p]
        node[p] = len(parent)
        node.append(len(parent) + 1)
        parent += (above, above)
        cluster.append(cluster[p])
        end, newest[p] = newest[p], -1
        while end >= 0:
            rest = after[end]
            child = p if next(coins) else i
            owner[end], after[end], newest[child] = child, newest[child], end
            end = rest
        after += (newest[p], newest[i])
        newest[p], newest[i] = len(owner), len(owner) + 1
        owner += (p, i)
    links = np.array(owner, dtype=np.int64).reshape(-1, 2)
    return np.array(node), np.array(parent), np.array(cluster), links


def _coins(chance: float, rng: np.random.Generator) -> Iterator[bool]:
    while True:
        yield from (rng.random(4096) < chance).tolist()
