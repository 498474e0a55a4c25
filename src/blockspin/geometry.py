"""Geometry: who is near whom among the sites of a field, and how blocks tile them."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from blockspin.errors import GeometryError, IndivisibleBlocksError


@dataclass(frozen=True, eq=False)
class Blocks:
    """A tiling of the sites by blocks of equal size.

    Args:
        members: int64 [blocks, size]; the sites of each block, in a fixed order that starts at its corner.
        coarse: The geometry whose sites are the blocks.
    """

    members: Tensor
    coarse: Geometry


@dataclass(frozen=True, eq=False)
class Sublattice:
    """Some of the sites, which are a coarser lattice of their own.

    Args:
        kept: int64 [coarse sites].
        coarse: The geometry of the kept sites.
    """

    kept: Tensor
    coarse: Geometry


class Geometry(abc.ABC):
    """What is near what. Frozen; lengths are in lattice spacings of the finest level."""

    sites: int
    spacing: float

    @abc.abstractmethod
    def blocks(self, b: int) -> Blocks:
        """Return the tiling by blocks of linear size ``b``; the coarse spacing is b times this one.

        Raises:
            IndivisibleBlocksError: If b does not divide the lattice.
            GeometryError: If there is no nearness to tile by.
        """

    def sublattice(self, b: int) -> Sublattice:
        """Return the sites that decimation by ``b`` keeps: the corner of each block, unless a geometry knows better.

        Raises:
            IndivisibleBlocksError: If b does not divide the lattice.
            GeometryError: If there is no nearness to go by.
        """
        blocks = self.blocks(b)
        return Sublattice(blocks.members[:, 0], blocks.coarse)

    @abc.abstractmethod
    def distances(self) -> Tensor:
        """Return the distance of every pair of sites, float64 [sites, sites], in spacings of the finest level.

        Raises:
            GeometryError: If sites have no distance.
        """

    @property
    @abc.abstractmethod
    def dimension(self) -> int | None:
        """The number of spatial dimensions, or None where length has no meaning."""

    def divisors(self) -> tuple[int, ...]:
        """Return the block sizes that tile this geometry, in increasing order."""
        return ()


@dataclass(frozen=True)
class Grid(Geometry):
    """A rectangular lattice; sites are numbered in row-major order.

    Args:
        shape: Number of sites along each axis.
        periodic: Whether opposite edges are neighbours.
        spacing: Lattice spacing.
    """

    shape: tuple[int, ...]
    periodic: bool = True
    spacing: float = 1.0

    @property
    def sites(self) -> int:  # type: ignore[override] # derived here, a field elsewhere
        """The number of sites."""
        return prod(self.shape)

    @property
    def dimension(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def divisors(self) -> tuple[int, ...]:
        """Return the block sizes that divide every axis."""
        return tuple(b for b in range(2, min(self.shape) + 1) if all(n % b == 0 for n in self.shape))

    def blocks(self, b: int) -> Blocks:
        """Return the tiling by cubes of side ``b``."""
        if b < 1 or any(n % b for n in self.shape):
            sizes = " x ".join(map(str, self.shape))
            allowed = ", ".join(map(str, self.divisors())) or "none"
            raise IndivisibleBlocksError(
                f"{sizes} sites do not divide into blocks of {b}", f"Block sizes that do: {allowed}."
            )
        coarse = replace(self, shape=tuple(n // b for n in self.shape), spacing=self.spacing * b)
        index = torch.arange(self.sites).reshape([k for n in coarse.shape for k in (n, b)])
        d = self.dimension
        members = index.permute(*range(0, 2 * d, 2), *range(1, 2 * d, 2)).reshape(coarse.sites, b**d)
        return Blocks(members, coarse)

    def coordinates(self) -> Tensor:
        """Return the lattice position of each site, int64 [sites, dimension]."""
        axes = torch.meshgrid(*(torch.arange(n) for n in self.shape), indexing="ij")
        return torch.stack([axis.reshape(-1) for axis in axes], dim=1)

    def distances(self) -> Tensor:
        """Return Euclidean distances, around the torus where the lattice is periodic."""
        position = self.coordinates().to(torch.float64)
        gap = (position[:, None] - position[None]).abs()
        if self.periodic:
            size = torch.tensor(self.shape, dtype=torch.float64)
            gap = torch.minimum(gap, size - gap)
        return gap.square().sum(-1).sqrt() * self.spacing


def Chain(sites: int, periodic: bool = True, spacing: float = 1.0) -> Grid:  # noqa: N802 - a geometry among geometries
    """Return the one-dimensional lattice: a ring, or an open line of sites such as the positions of a text window."""
    return Grid((sites,), periodic, spacing)


@dataclass(frozen=True)
class Tree(Geometry):
    """The leaves of a regular tree; two leaves are as far apart as the height at which their branches meet.

    Args:
        branching: Children of each node, at least 2.
        depth: Levels above the leaves; there are branching ** depth of them.
        spacing: Length of the lowest branches' blocks.
    """

    branching: int
    depth: int
    spacing: float = 1.0

    @property
    def sites(self) -> int:  # type: ignore[override] # derived here, a field elsewhere
        """The number of leaves."""
        return self.branching**self.depth

    @property
    def dimension(self) -> int:
        """One: a block of b leaves has length b (the ultrametric length of Dyson's hierarchical models)."""
        return 1

    def divisors(self) -> tuple[int, ...]:
        """Return the powers of the branching number."""
        return tuple(self.branching**k for k in range(1, self.depth + 1))

    def blocks(self, b: int) -> Blocks:
        """Return the subtrees with ``b`` leaves."""
        if b != 1 and b not in self.divisors():
            allowed = ", ".join(map(str, self.divisors())) or "none"
            raise IndivisibleBlocksError(
                f"{self.sites} leaves do not divide into subtrees of {b}", f"Sizes that do: {allowed}."
            )
        depth = self.depth - ((1, *self.divisors()).index(b))
        coarse = replace(self, depth=depth, spacing=self.spacing * b)
        return Blocks(torch.arange(self.sites).reshape(coarse.sites, b), coarse)

    def distances(self) -> Tensor:
        """Return branching ** (height at which two leaves meet), 0 for a leaf and itself."""
        leaf = torch.arange(self.sites)
        height = torch.zeros(self.sites, self.sites, dtype=torch.float64)
        for level in range(self.depth):
            block = leaf // self.branching**level
            height += (block[:, None] != block[None]).to(torch.float64)
        return torch.where(height > 0, float(self.branching) ** height, 0.0) * self.spacing


@dataclass(frozen=True, eq=False)
class Graph(Geometry):
    """Sites joined by edges; distance is the number of edges on the shortest path.

    Args:
        sites: Number of sites.
        edges: int64 [edges, 2], undirected.
        spacing: Length of an edge.
    """

    sites: int
    edges: Tensor
    spacing: float = 1.0

    @property
    def dimension(self) -> None:
        """None: a general graph has no number of dimensions (its spectral dimension is an observable)."""
        return None

    def blocks(self, b: int) -> Blocks:
        """Refuse: a general graph has no blocks of equal size."""
        raise GeometryError(
            "a general graph does not divide into blocks of equal size",
            "Use a scheme that needs none: correlation-pairing, principal-modes.",
        )

    def distances(self) -> Tensor:
        """Return shortest-path lengths; infinite between components."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import shortest_path

        i, j = self.edges.T.numpy()
        adjacency = coo_array((torch.ones(len(i)).numpy(), (i, j)), shape=(self.sites, self.sites))
        return torch.from_numpy(shortest_path(adjacency.tocsr(), directed=False, unweighted=True)) * self.spacing


@dataclass(frozen=True)
class Unordered(Geometry):
    """Sites without any given nearness: the units of a layer, the columns of a table.

    Args:
        sites: Number of sites.
        spacing: Ratio of site counts to the finest level; a count, not a length.
        parts: What is known to belong together: name and number of sites of each stretch of them, in order (attention
            heads, layers read side by side); empty where nothing is. Coarser sites have no parts.

    Raises:
        GeometryError: If the parts have another number of sites together.
    """

    sites: int
    spacing: float = 1.0
    parts: tuple[tuple[str, int], ...] = ()

    def __post_init__(self):
        if self.parts and sum(size for _, size in self.parts) != self.sites:
            raise GeometryError(
                f"parts of {[size for _, size in self.parts]} sites are not {self.sites}", "Give the sites of each."
            )

    @property
    def dimension(self) -> None:
        """None: length has no meaning here."""
        return None

    def blocks(self, b: int) -> Blocks:
        """Refuse: there is nothing to tile by."""
        raise GeometryError(
            "unordered sites have no neighbours to make blocks of",
            "Use a scheme that finds its own (correlation-pairing, principal-modes), or read what has neighbours: the "
            "representation windows is a chain of positions.",
        )

    def distances(self) -> Tensor:
        """Refuse: unordered sites have no distance."""
        raise GeometryError(
            "unordered sites have no distance", "Give the ensemble a Chain, Grid, Tree or Graph geometry."
        )

    def coarser(self, sites: int) -> Unordered:
        """Return the unordered geometry of fewer sites, its spacing grown by the ratio of the counts."""
        return Unordered(sites, self.spacing * self.sites / sites)
