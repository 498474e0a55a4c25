"""Laplacian: plateaus of the heat capacity of graphs of known spectral dimension, none of random graphs; modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.ensemble import Ensemble
from blockspin.geometry import Graph, Grid, Tree
from blockspin.observables.heat_capacity import heat_capacity, plateau_of
from blockspin.registry import member, register
from blockspin.schemes._diffusion import adjacency, adjacency_of, laplacian
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import graph_laplacian as theory


@register
@dataclass(frozen=True)
class LaplacianTether(Tether):
    """Diagonalise Laplacians of lattices, trees, gaskets and random graphs; coarse-grain planted modules and trees."""

    name = "laplacian"
    system = "diffusion on lattices, trees, the Sierpinski gasket and random graphs"
    source = "villegas2023"
    schemes = ("laplacian",)

    def rows(self) -> Iterator[Row]:
        """Yield spectra (exact), plateaus (tolerance of finite size), controls without a plateau, and supernodes."""
        for shape in ((24,), (6, 8), (3, 4, 5)):
            found = np.linalg.eigvalsh(laplacian(adjacency_of(Grid(shape))).toarray())
            gap = float(np.abs(found - np.sort(theory.torus_spectrum(shape))).max())
            yield exact(f"spectrum of the torus {shape}: largest deviation from its closed form", 0.0, gap, 1e-12)
        for shape, low, high, tolerance in (
            ((4096,), 10, 1e4, 0.01),
            ((128, 128), 5, 100, 0.03),
            ((40,) * 3, 3, 15, 0.1),
        ):
            measured = _mean_capacity(theory.torus_spectrum(shape), low, high)
            yield exact(f"plateau of C on the torus {shape}", theory.plateau(len(shape)), measured, tolerance)
        yield from _gaskets()
        yield from _grown()
        yield from _supernodes()


def _gaskets() -> Iterator[Row]:
    """Average C, which is periodic in ln tau of period ln 5, over whole periods in the middle of the spectrum."""
    A = adjacency(*sierpinski(5)).toarray()
    root = np.sqrt(A.sum(axis=0))
    found = np.linalg.eigvalsh(4 * (np.eye(len(A)) - A / root[:, None] / root))
    gap = float(np.abs(found - np.repeat(*theory.sierpinski_spectrum(4))).max())
    yield exact("spectrum of the walk on the Sierpinski gasket: largest deviation from decimation", 0.0, gap, 1e-12)
    expected = theory.plateau(theory.SIERPINSKI_DIMENSION)
    values, counts = theory.sierpinski_spectrum(12)
    for periods in (1, 2):
        mean = _middle_capacity(values, counts, periods)
        yield exact(f"mean of C on a gasket of 797163 nodes, {periods} period(s) of ln 5", expected, mean, 1e-3)
    small = np.linalg.eigvalsh(laplacian(adjacency(*sierpinski(7))).toarray())
    mean = _middle_capacity(small, np.ones(len(small)), 1)
    yield exact("mean of C on a gasket of 1095 nodes, its Laplacian D - A, one period", expected, mean, 0.01)


def _middle_capacity(values: np.ndarray, counts: np.ndarray, periods: int) -> float:
    """Return the mean of C over periods of ln 5 about the geometric mean of the longest and the shortest time."""
    middle = (values[values > 1e-9].min() * values.max()) ** -0.5
    tau = np.geomspace(middle / 5 ** (periods / 2), middle * 5 ** (periods / 2), 32 * periods + 1)[:-1, None]
    weight = counts * np.exp(-tau * values.clip(min=0))
    share = weight / weight.sum(1, keepdims=True)
    mean = (share @ values)[:, None]
    return float((tau[:, 0] ** 2 * (share * (values - mean) ** 2).sum(1)).mean())


def _grown() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    trees = [_mean_capacity(_spectrum(uniform_tree(1000, rng), 1000), 5, 200) for _ in range(4)]
    yield exact(
        "plateau of C on uniform random trees of 1000",
        theory.plateau(theory.TREE_DIMENSION),
        float(np.mean(trees)),
        0.03,
    )
    grown = _mean_capacity(_spectrum(preferential(1000, 1, rng), 1000), 3, 60)
    yield exact("plateau of C, preferential attachment, m = 1", theory.plateau(theory.GROWN_TREE_DIMENSION), grown, 0.1)
    tau = np.geomspace(0.1, 1000, 65)
    for name, edges in (
        ("Erdos-Renyi graph", random_graph(1000, 6.0, rng)),
        ("attachment, m = 2", preferential(1000, 2, rng)),
    ):
        found = plateau_of(tau, heat_capacity(_spectrum(edges, 1000), tau))
        yield exact(f"plateaus of C on an {name} (control: none)", 0.0, float(found is not None), 0.0)
    ring = plateau_of(tau, heat_capacity(_spectrum(np.stack([np.arange(999), np.arange(1, 1000)], 1), 1000), tau))
    yield exact("plateaus of C on a line of 1000 (the rule finds one)", 1.0, float(ring is not None), 0.0)


def _supernodes() -> Iterator[Row]:
    scheme = member("schemes", "laplacian")(tau=1.0)
    tree = Tree(2, 5)
    law = member("sources", "hierarchical-tree")(branching=2, depth=5).law()
    coarse = scheme.fit(law, generator=torch.Generator()).coarse(tree)
    yield exact("leaves of a binary tree after one step, tau = 1", 16, coarse.sites, 0)
    edges, module = planted(6, 8)
    noise = Ensemble.of(
        torch.randn(8, 48, generator=torch.Generator().manual_seed(0)), Graph(48, torch.from_numpy(edges))
    )
    found = scheme.fit(noise, generator=torch.Generator()).cluster.numpy()
    same = (found[:, None] == found[None]) == (module[:, None] == module[None])
    yield exact("ring of six cliques of eight: pairs of nodes that are wrongly joined or parted", 0, (~same).sum(), 0)


def _spectrum(edges: np.ndarray, nodes: int) -> np.ndarray:
    return np.linalg.eigvalsh(laplacian(adjacency(edges, nodes)).toarray())


def _mean_capacity(eigenvalues: np.ndarray, low: float, high: float) -> float:
    return float(heat_capacity(eigenvalues.clip(min=0), np.geomspace(low, high, 33)[:-1]).mean())


def sierpinski(level: int) -> tuple[np.ndarray, int]:
    """Return edges and number of nodes of the Sierpinski gasket: three copies of the level before, at the corners."""
    points = [(0, 0), (1, 0), (0, 1)]
    edges = [(points[0], points[1]), (points[1], points[2]), (points[0], points[2])]
    for k in range(level - 1):
        moves = ((0, 0), (2**k, 0), (0, 2**k))
        edges = [((a + dx, b + dy), (c + dx, d + dy)) for dx, dy in moves for (a, b), (c, d) in edges]
    nodes = {point: i for i, point in enumerate(sorted({point for edge in edges for point in edge}))}
    return np.array([[nodes[a], nodes[b]] for a, b in edges]), len(nodes)


def uniform_tree(nodes: int, rng: np.random.Generator) -> np.ndarray:
    """Return the edges of a uniform random labelled tree: first visits of a random walk on the complete graph."""
    edges: list[tuple[int, int]] = []
    seen, here = np.zeros(nodes, dtype=bool), 0
    seen[0] = True
    while len(edges) < nodes - 1:
        there = int(rng.integers(nodes))
        if not seen[there]:
            edges.append((here, there))
            seen[there] = True
        here = there
    return np.array(edges)


def preferential(nodes: int, m: int, rng: np.random.Generator) -> np.ndarray:
    """Return the edges of a graph grown by attaching each node to m others, drawn in proportion to their degree."""
    edges: list[tuple[int, int]] = []
    ends = list(range(m + 1))
    for new in range(m + 1, nodes):
        chosen: set[int] = set()
        while len(chosen) < m:
            chosen.add(ends[int(rng.integers(len(ends)))])
        edges += [(new, old) for old in chosen]
        ends += [*chosen, *[new] * m]
    start = [(i, j) for i in range(m + 1) for j in range(i)]
    return np.array(start + edges)


def random_graph(nodes: int, degree: float, rng: np.random.Generator) -> np.ndarray:
    """Return the edges of a graph of independent edges with a mean degree."""
    i, j = np.triu_indices(nodes, 1)
    return np.stack([i, j], axis=1)[rng.random(len(i)) < degree / (nodes - 1)]


def planted(modules: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of a ring of cliques, joined by single edges, and the module of each node."""
    rows = []
    for k in range(modules):
        first = k * size
        rows += [(first + i, first + j) for i in range(size) for j in range(i)]
        rows.append((first, ((k + 1) % modules) * size + size // 2))
    return np.array(rows), np.arange(modules * size) // size
