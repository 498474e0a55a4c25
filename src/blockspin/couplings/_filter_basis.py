"""Filter basis: a plain basis and, beside it, soft steps of the field seen through filters that were learned."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from math import log

import torch
from torch import Tensor

from blockspin.couplings._displacements import apart, shells
from blockspin.couplings._frame import Frame
from blockspin.couplings._lattice_basis import LatticeBasis
from blockspin.couplings._mode_basis import ModeBasis
from blockspin.couplings.gaussian_precision import distance_classes
from blockspin.geometry import Geometry

FEATURE = "feature"


def log_cosh(z: Tensor) -> Tensor:
    """Return ln cosh z, what a step of a filter is, without overflow."""
    return torch.logaddexp(z, -z) - log(2)


@dataclass(frozen=True, eq=False)
class Filters:
    """Filters with their offsets, and who has seen the data: equal when their numbers are.

    Args:
        weights: float64 [filters, taps]; on sites with distances what the site itself and those at the first, second,
            ... distance (or displacement) are multiplied by; else one number a principal coordinate. In inverse units
            of the field.
        offsets: float64 [filters].
        seen: int64, the units that the filters were learned from, sorted.
    """

    weights: Tensor
    offsets: Tensor
    seen: Tensor

    @cached_property
    def key(self) -> str:
        """A hash of the numbers."""
        rows = (self.weights, self.offsets, self.seen)
        return hashlib.sha256(b"".join(row.contiguous().numpy().tobytes() for row in rows)).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Filters({len(self.weights)} of {self.weights.shape[1]}, {len(self.seen)} units, {self.key})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filters) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def neighbours(geometry: Geometry, span: int, *, directed: bool) -> int:
    """Return how many taps beside its own site a filter has that reaches the ``span`` nearest distances."""
    if directed:
        return sum(map(len, shells(geometry, span, signed=True)))
    return len(distance_classes(geometry, span))


def taps_of(plain: LatticeBasis | ModeBasis, reach: int) -> Tensor:
    """Return the matrices [taps, rows, D] that a filter is a combination of.

    On sites with distances a filter is laid around every site. It is the same in every direction, the taps being the
    identity and the neighbours at each of ``reach`` distances; or, where the basis is directed, they are the identity
    and the site at each of ``reach`` displacements. Otherwise it is one row over the coordinates.
    """
    if isinstance(plain, ModeBasis):
        return torch.eye(plain.modes, dtype=torch.float64)[:, None, :]
    near: list[Tensor] = []
    if reach and plain.directed:
        steps = [step for shell in shells(plain.geometry, reach, signed=True) for step in shell]
        near = [apart(plain.geometry, step, signed=True) for step in steps[:reach]]
    elif reach:
        near = distance_classes(plain.geometry, reach)
    return torch.stack([torch.eye(plain.geometry.sites), *near]).to(torch.float64)


@dataclass(frozen=True)
class FilterBasis:
    r"""The operators of a plain basis, and last :math:`\sum_x \ln \cosh((w \star \phi)_x + b)`, one a filter.

    The gradient is :math:`w^t \tanh`, the Laplacian :math:`\sum_x |w_x|^2 / \cosh^2` within the support: both closed.

    Args:
        plain: The other operators.
        filters: w and b.
    """

    plain: LatticeBasis | ModeBasis
    filters: Filters

    @property
    def in_modes(self) -> bool:
        """Whether the coordinates are principal ones."""
        return self.plain.in_modes

    @property
    def frame(self) -> Frame | None:
        """The support."""
        return self.plain.frame

    @property
    def rank(self) -> int:
        """Dimension of the space in which gradients are taken."""
        return self.plain.rank

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return self.maps.shape[2]

    @cached_property
    def steps(self) -> dict[str, list[int]]:
        """The quantities, each with the places of its couplings."""
        steps = self.plain.steps
        first = sum(map(len, steps.values()))
        return {**steps, FEATURE: list(range(first, first + len(self.filters.weights)))}

    def field(self, values: Tensor) -> Tensor:
        """Return the field as columns, in its own dtype."""
        return self.plain.field(values)

    def judged(self, values: Tensor, field: Tensor) -> Tensor:
        """Return what is looked at for atoms and edges."""
        return self.plain.judged(values, field)

    def coordinates(self, field: Tensor) -> Tensor:
        """Return what the operators are functions of."""
        return self.plain.coordinates(field)

    def products(self, G: Tensor) -> Tensor:
        """Return the products of gradients by the metric, summed over samples."""
        return self.plain.products(G)

    def outside(self, field: Tensor) -> Tensor | None:
        """Return the directions along which gradients do not count, or None."""
        return self.plain.outside(field)

    @cached_property
    def maps(self) -> Tensor:
        """The filters as matrices, float64 [filters, rows, D]."""
        w = self.filters.weights
        return torch.einsum("ft,trd->frd", w, taps_of(self.plain, w.shape[1] - 1))

    @cached_property
    def sizes(self) -> Tensor:
        """The squared length of every row by the metric, float64 [filters, rows]."""
        inside = self.maps if isinstance(self.plain, ModeBasis) else self.maps @ self.plain.metric
        return (inside * self.maps).sum(2)

    def seen(self, x: Tensor) -> Tensor:
        """Return coordinates [D, n] through the filters, [filters, rows, n]."""
        return self.maps.to(x.dtype) @ x + self.filters.offsets.to(x.dtype)[:, None, None]

    def gradients(self, x: Tensor) -> Tensor:
        """Return the gradient of every operator, [operators, D, n], for coordinates [D, n]."""
        steps = self.maps.to(x.dtype).transpose(1, 2) @ self.seen(x).tanh()
        return torch.cat([self.plain.gradients(x), steps])

    def laplacians(self, x: Tensor) -> Tensor:
        """Return the Laplacian of every operator within the support, [operators, n]."""
        slopes = 1 - self.seen(x).tanh().square()
        return torch.cat([self.plain.laplacians(x), torch.einsum("fr,frn->fn", self.sizes.to(x.dtype), slopes)])

    def features(self, x: Tensor) -> Tensor:
        """Return the features themselves, [filters, n]."""
        z = self.seen(x)
        return log_cosh(z).sum(1)
