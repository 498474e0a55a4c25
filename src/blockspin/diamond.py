"""Diamond: the hierarchical lattice on which decimation is exact in any number of dimensions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from blockspin.errors import GeometryError, IndivisibleBlocksError
from blockspin.geometry import Blocks, Geometry, Graph, Sublattice


@dataclass(frozen=True)
class Diamond(Geometry):
    """The diamond lattice: one edge, each edge of which is replaced, again and again, by branches of edges in a row.

    Sites are numbered in the order in which they arise, so that the first ones are the coarser lattice. What depends on
    neighbours alone, such as Migdal and Kadanoff's recursion, is exact on it.

    Args:
        generations: How often every edge was replaced.
        branches: Branches of one edge side by side; b^(d-1) of them stand for d dimensions.
        b: Edges in a row of a branch, the ratio of one generation's spacing to the next one's; at least 2.
        spacing: Length of an edge.
    """

    generations: int
    branches: int = 2
    b: int = 2
    spacing: float = 1.0

    @property
    def sites(self) -> int:  # type: ignore[override] # derived here, a field elsewhere
        """The number of sites: those of each generation and the two ends of the first edge."""
        each = self.branches * (self.b - 1)
        return 2 + each * sum((self.branches * self.b) ** k for k in range(self.generations))

    @property
    def dimension(self) -> None:
        """None: 1 + ln(branches) / ln(b) need not be whole."""
        return None

    def divisors(self) -> tuple[int, ...]:
        """Return the powers of ``b``, one a generation."""
        return tuple(self.b**k for k in range(1, self.generations + 1))

    def edges(self) -> Tensor:
        """Return the edges, int64 [(branches * b)^generations, 2]; those of one branch stand in a row."""
        edges, sites = torch.tensor([[0, 1]]), 2
        for _ in range(self.generations):
            count = len(edges) * self.branches * (self.b - 1)
            inner = torch.arange(sites, sites + count).reshape(len(edges), self.branches, self.b - 1)
            ends = edges[:, None, :, None].expand(-1, self.branches, -1, -1)
            path = torch.cat([ends[:, :, 0], inner, ends[:, :, 1]], dim=2)
            edges, sites = torch.stack([path[..., :-1], path[..., 1:]], dim=-1).reshape(-1, 2), sites + count
        return edges

    def blocks(self, b: int) -> Blocks:
        """Refuse: the sites of a generation are not a multiple of those of the one before."""
        raise GeometryError("a diamond lattice does not divide into blocks of equal size", "Use decimation.")

    def sublattice(self, b: int) -> Sublattice:
        """Return the sites of the generations that remain when edges of length ``b`` are put back."""
        if b not in self.divisors():
            allowed = ", ".join(map(str, self.divisors())) or "none"
            raise IndivisibleBlocksError(
                f"a diamond lattice of {self.generations} generations is not decimated by {b}", f"Ratios: {allowed}."
            )
        left = self.generations - 1 - self.divisors().index(b)
        coarse = replace(self, generations=left, spacing=self.spacing * b)
        return Sublattice(torch.arange(coarse.sites), coarse)

    def distances(self) -> Tensor:
        """Return shortest-path lengths."""
        return Graph(self.sites, self.edges(), self.spacing).distances()
