"""Geometry: distances and tilings, against what a ruler gives."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspin import Chain, Diamond, Graph, Grid, Tree, Unordered
from blockspin.errors import GeometryError, IndivisibleBlocksError

LATTICES = [
    Chain(12),
    Chain(12, periodic=False),
    Grid((4, 6)),
    Grid((4, 6), periodic=False),
    Grid((2, 4, 6)),
    Tree(2, 4),
]


@pytest.mark.parametrize("geometry", LATTICES, ids=repr)
def test_blocks_tile_the_sites(geometry):
    for b in geometry.divisors():
        blocks = geometry.blocks(b)
        assert blocks.members.flatten().sort().values.tolist() == list(range(geometry.sites))
        assert len(blocks.members) == blocks.coarse.sites
        assert blocks.members.shape[1] == b**geometry.dimension
        assert blocks.coarse.spacing == geometry.spacing * b


@pytest.mark.parametrize("geometry", LATTICES, ids=repr)
def test_a_block_of_one_is_the_site_itself(geometry):
    blocks = geometry.blocks(1)
    assert blocks.members.flatten().tolist() == list(range(geometry.sites))
    assert blocks.coarse == geometry


@pytest.mark.parametrize("geometry", LATTICES, ids=repr)
def test_blocks_hold_neighbours(geometry):
    """No two sites of a block are further apart than its diagonal."""
    distance = geometry.distances()
    for b in geometry.divisors():
        for members in geometry.blocks(b).members:
            largest = float(distance[members][:, members].max())
            reach = b if isinstance(geometry, Tree) else (b - 1) * geometry.dimension**0.5
            assert largest <= reach + 1e-12


@pytest.mark.parametrize("geometry", [*LATTICES, Graph(4, torch.tensor([[0, 1], [1, 2], [2, 3]]))], ids=repr)
def test_distances_are_a_metric(geometry):
    d = geometry.distances()
    assert torch.equal(d, d.T)
    assert float(d.diagonal().abs().max()) == 0
    assert float((d + torch.eye(len(d))).min()) > 0
    assert bool((d[:, None, :] <= d[:, :, None] + d[None, :, :] + 1e-12).all())


def test_distances_around_the_torus():
    grid, size = Grid((4, 6)), (4, 6)
    for i, j in product(range(24), repeat=2):
        gaps = [abs(a - b) for a, b in zip(divmod(i, 6), divmod(j, 6), strict=True)]
        shortest = [min(gap, n - gap) for gap, n in zip(gaps, size, strict=True)]
        assert float(grid.distances()[i, j]) == pytest.approx(sum(g**2 for g in shortest) ** 0.5)


def test_leaves_are_as_far_apart_as_their_branches_meet():
    assert Tree(2, 3).distances()[0].tolist() == [0, 2, 4, 4, 8, 8, 8, 8]


def test_a_graph_counts_edges():
    d = Graph(4, torch.tensor([[0, 1], [1, 2]])).distances()
    assert d[0].tolist() == [0, 1, 2, float("inf")]


def test_lengths_are_in_spacings_of_the_finest_level():
    assert float(Chain(12).blocks(3).coarse.distances()[0, 1]) == 3


@given(st.integers(2, 6), st.integers(2, 6), st.integers(2, 3))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_blocking_twice_is_blocking_by_the_square(n, m, b):
    grid = Grid((n * b * b, m * b * b))
    assert grid.blocks(b).coarse.blocks(b).coarse == grid.blocks(b * b).coarse


def test_what_does_not_divide_is_refused_with_what_does():
    with pytest.raises(IndivisibleBlocksError, match="2, 3, 4, 6, 12"):
        Chain(12).blocks(5)
    with pytest.raises(IndivisibleBlocksError, match="2, 4, 8"):
        Tree(2, 3).blocks(3)


@pytest.mark.parametrize("geometry", [Unordered(4), Graph(4, torch.tensor([[0, 1]]))])
def test_what_has_no_blocks_says_so(geometry):
    with pytest.raises(GeometryError, match="correlation-pairing"):
        geometry.blocks(2)


def test_unordered_sites_have_no_distance():
    with pytest.raises(GeometryError, match="no distance"):
        Unordered(4).distances()


def test_unordered_spacing_is_the_ratio_of_counts():
    assert Unordered(12).coarser(6).coarser(2) == Unordered(2, 6.0)


# --- diamond lattices -------------------------------------------------------------------------------------------------

DIAMONDS = [Diamond(0), Diamond(1), Diamond(2), Diamond(2, 3, 2), Diamond(2, 2, 3)]


def drawn_diamond(lattice: Diamond) -> tuple[int, set[frozenset[int]]]:
    """Draw it edge by edge: the slow twin."""
    edges, sites = [(0, 1)], 2
    for _ in range(lattice.generations):
        fresh = []
        for u, v in edges:
            for _ in range(lattice.branches):
                path = [u, *range(sites, sites + lattice.b - 1), v]
                sites += lattice.b - 1
                fresh += list(pairwise(path))
        edges = fresh
    return sites, {frozenset(edge) for edge in edges}


@pytest.mark.parametrize("lattice", DIAMONDS, ids=repr)
def test_a_diamond_is_drawn_edge_by_edge(lattice):
    sites, edges = drawn_diamond(lattice)
    assert lattice.sites == sites
    assert {frozenset(edge) for edge in lattice.edges().tolist()} == edges
    assert len(lattice.edges()) == len(edges) == (lattice.branches * lattice.b) ** lattice.generations


@pytest.mark.parametrize("lattice", DIAMONDS[1:], ids=repr)
def test_a_sublattice_of_a_diamond_keeps_its_distances(lattice):
    for b in lattice.divisors():
        kept = lattice.sublattice(b)
        assert torch.equal(kept.coarse.distances(), lattice.distances()[kept.kept][:, kept.kept])


def test_a_diamond_refuses_blocks_and_other_ratios_by_name():
    with pytest.raises(GeometryError, match="decimation"):
        Diamond(2).blocks(2)
    with pytest.raises(IndivisibleBlocksError, match="Ratios: 2, 4"):
        Diamond(2).sublattice(3)


@pytest.mark.parametrize("geometry", LATTICES, ids=repr)
def test_a_sublattice_holds_the_corners_of_blocks(geometry):
    for b in geometry.divisors():
        assert torch.equal(geometry.sublattice(b).kept, geometry.blocks(b).members[:, 0])
