"""Lattice basis: operators summed over the sites of a geometry, by their gradients and Laplacians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import factorial
from typing import ClassVar

import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from blockspin.couplings._displacements import apart, shells
from blockspin.couplings._frame import Frame
from blockspin.couplings.gaussian_precision import distance_classes
from blockspin.errors import ConfigError, GeometryError, ShapeError
from blockspin.geometry import Geometry, Grid

POWERS = {"linear": 1, "mass": 2, "cubic": 3, "quartic": 4, "sextic": 6}
"""Operators of single sites: the field to this power over its factorial."""

MOST_PAIRS = 32
"""The furthest class of pairs that has a name."""

UNITS: Mapping[str, str] = {
    **{name: f"field^-{power}" for name, power in POWERS.items()},
    "gradient": "field^-2",
    "derivative": "field^-2",
    **{f"pair[{k}]": "field^-2" for k in range(1, MOST_PAIRS + 1)},
}

DENSE = 1 / 8
"""Share of non-zero entries from which a matrix is multiplied as a dense one."""


@dataclass(frozen=True)
class LatticeBasis:
    """Operators of a field of one component.

    Args:
        geometry: The sites.
        names: Operators, in order.
        frame: The support; None where every direction varies.
        about_mean: Whether operators are of the field less its mean (of the frame), or of the field itself.
        directed: Whether directions are told apart: ``pair[k]`` is then of the pairs at the k-th displacement up to
            sign, nearest first, and not at the k-th distance. Of a ``Grid``.
        whitened: Whether gradients and Laplacians are those in principal coordinates in units of their deviations (of
            the frame), so that every mode counts alike however far it varies.
    """

    in_modes: ClassVar[bool] = False
    geometry: Geometry
    names: tuple[str, ...]
    frame: Frame | None = None
    about_mean: bool = False
    directed: bool = False
    whitened: bool = False

    def __post_init__(self):
        unknown = [name for name in self.names if name not in UNITS]
        if unknown or len(set(self.names)) < len(self.names):
            known = f"{', '.join(list(UNITS)[:7])}, ..., pair[{MOST_PAIRS}], each once."
            raise ConfigError("operators", self.names, known)
        if self.frame is not None and len(self.frame.mean) != self.geometry.sites:
            raise ShapeError(
                f"a frame of {len(self.frame.mean)} numbers does not fit {self.geometry.sites} sites",
                "Fit the frame to the same field; it has one component a site.",
            )
        if self.whitened and self.frame is None:
            raise ConfigError("whitened", True, "False without a frame, which holds the deviations.")

    @property
    def steps(self) -> dict[str, list[int]]:
        """The quantities, each with the places of its couplings."""
        return {name: [place] for place, name in enumerate(self.names)}

    @property
    def rank(self) -> int:
        """Dimension of the space in which gradients are taken."""
        return self.geometry.sites if self.frame is None else self.frame.rank

    def field(self, values: Tensor) -> Tensor:
        """Return the field as [sites, n], in its own dtype.

        Raises:
            ShapeError: If values [n, sites, components] are not one number a site of the geometry.
        """
        if values.shape[1] != self.geometry.sites or values.shape[2] != 1:
            raise ShapeError(
                f"a field of shape {tuple(values.shape)} does not fit {self.geometry.sites} sites of one component",
                "Give one component at a time, or project on one; or leave out the geometry to use principal modes.",
            )
        return values[:, :, 0].T.contiguous()

    def judged(self, values: Tensor, field: Tensor) -> Tensor:
        """Return what is looked at for atoms and edges: the field itself."""
        return field

    def coordinates(self, field: Tensor) -> Tensor:
        """Return what the operators are powers of; of a whitened basis in float64, since small modes are divided by."""
        field = field.to(torch.float64) if self.whitened else field
        if not self.about_mean or self.frame is None:
            return field
        return field - self.frame.mean.to(field.dtype)[:, None]

    def gradients(self, field: Tensor) -> Tensor:
        """Return the gradient of every operator, [operators, sites, n], for coordinates [sites, n]."""
        G = field.new_empty(len(self.names), *field.shape)
        for place, name in enumerate(self.names):
            if name in POWERS:
                G[place] = _power(field, POWERS[name] - 1)
        for place, matrix in self._dense.items():
            G[place] = matrix.to(field.dtype) @ field
        places, stacked = self._sparse
        if places:
            near = torch.from_numpy(stacked.astype(field.numpy().dtype, copy=False) @ field.numpy())
            G[places] = near.reshape(len(places), *field.shape)
        return G

    def laplacians(self, field: Tensor) -> Tensor:
        """Return the Laplacian of every operator within the support, [operators, n]."""
        weight = self.metric.diagonal().to(field.dtype)
        rows = []
        for place, name in enumerate(self.names):
            if name in POWERS:
                power = POWERS[name] - 2
                rows.append(weight @ _power(field, power) if power >= 0 else field.new_zeros(field.shape[1]))
            else:
                rows.append(field.new_full((field.shape[1],), float(self.traces[place])))
        return torch.stack(rows)

    def outside(self, field: Tensor) -> Tensor | None:
        """Return the directions [sites, lost] along which gradients do not count, or None."""
        if self.frame is None or self.frame.rank == self.geometry.sites:
            return None
        return self.frame.complement.to(field.dtype)

    def products(self, G: Tensor) -> Tensor:
        """Return the products of gradients [operators, sites, n] by the metric, summed over samples, float64 [K, K]."""
        along = self.scaled
        flat = (G if along is None else along.to(G.dtype).T @ G).flatten(1)
        found = (flat @ flat.T).to(torch.float64)
        lost = None if self.whitened else self.outside(G)
        if lost is not None:
            away = (lost.T @ G).flatten(1)
            found -= (away @ away.T).to(torch.float64)
        return found

    # --- matrices ----------------------------------------------------------------------------------------------------

    @property
    def scaled(self) -> Tensor | None:
        """Of a whitened basis the directions of the support times their deviations, [sites, rank]."""
        return self.frame.modes * self.frame.deviations if self.whitened and self.frame is not None else None

    @cached_property
    def metric(self) -> Tensor:
        """What gradients are multiplied by: the projector on the support, or the covariance; float64 [sites, sites]."""
        if self.scaled is not None:
            return self.scaled @ self.scaled.T
        eye = torch.eye(self.geometry.sites, dtype=torch.float64)
        return eye if self.frame is None else eye - self.frame.complement @ self.frame.complement.T

    def matrix(self, name: str) -> Tensor:
        """Return M, float64 [sites, sites], of an operator phi M phi / 2.

        Raises:
            GeometryError: If the geometry has no such operator.
        """
        if name == "derivative":
            return _second_derivative(self.geometry)
        wanted = 1 if name == "gradient" else int(name[5:-1])
        masks = distance_classes(self.geometry, 1) if name == "gradient" else self._pairs
        if len(masks) < wanted:
            kind = "displacements" if self.directed else "distances"
            raise GeometryError(
                f"{self.geometry} has {len(masks)} {kind}, and no operator {name!r}", f"Ask for fewer {kind}."
            )
        near = masks[wanted - 1].to(torch.float64)
        return near if name != "gradient" else near.sum(1).diag() - near

    @cached_property
    def _pairs(self) -> list[Tensor]:
        """The pairs of sites of every class up to the furthest that is named, masks [sites, sites]."""
        most = max(int(name[5:-1]) for name in self.names if name.startswith("pair"))
        if not self.directed:
            return distance_classes(self.geometry, most)
        steps = [step for shell in shells(self.geometry, most, signed=False) for step in shell]
        return [apart(self.geometry, step, signed=False) for step in steps[:most]]

    @cached_property
    def traces(self) -> Tensor:
        """The Laplacians of quadratic operators within the support, float64 [operators]."""
        quadratic = [name not in POWERS for name in self.names]
        traces = [
            float((self.metric * self.matrix(n)).sum()) if q else 0.0
            for n, q in zip(self.names, quadratic, strict=True)
        ]
        return torch.tensor(traces, dtype=torch.float64)

    @cached_property
    def _dense(self) -> dict[int, Tensor]:
        """Return the matrices with many entries, by the place of the operator."""
        found = {}
        for place, name in enumerate(self.names):
            if name not in POWERS and int((M := self.matrix(name)).count_nonzero()) > DENSE * M.numel():
                found[place] = M
        return found

    @cached_property
    def _sparse(self) -> tuple[list[int], csr_array]:
        """Return the places of the other quadratic operators, and their matrices stacked [operators * sites, sites]."""
        places = [place for place, name in enumerate(self.names) if name not in POWERS and place not in self._dense]
        rows = [csr_array(self.matrix(self.names[place]).to(torch.float32).numpy()) for place in places]
        return places, csr_array(vstack(rows)) if rows else csr_array((0, self.geometry.sites), dtype="float32")


def class_counts(geometry: Geometry, reach: int, *, directed: bool) -> list[int]:
    """Return how many classes of pairs lie within the first, second, ... distance, as far as all of them have names.

    Raises:
        GeometryError: If directions are to be told apart, of sites that have no displacement from each other.
    """
    if not directed:
        return list(range(1, len(distance_classes(geometry, reach)) + 1))
    counts = accumulate(map(len, shells(geometry, reach, signed=False)))
    return [count for count in counts if count <= MOST_PAIRS]


def _power(field: Tensor, power: int) -> Tensor:
    """Return field^power / power!."""
    if power == 0:
        return torch.ones_like(field)
    found = field
    if power > 1:
        square = field * field
        found = square if power % 2 == 0 else field * square
        for _ in range((power - 2) // 2 if power % 2 == 0 else (power - 3) // 2):
            found = found * square
    return found / factorial(power) if power > 1 else found


def _second_derivative(geometry: Geometry) -> Tensor:
    """Return the matrix of k^2, k in inverse spacings of the lattice itself, float64 [sites, sites]."""
    if not isinstance(geometry, Grid) or not geometry.periodic:
        raise GeometryError(
            f"{type(geometry).__name__} is no periodic lattice and has no wave numbers", "Use 'gradient' there."
        )
    k = [2 * torch.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in geometry.shape]
    square = torch.stack(torch.meshgrid(*k, indexing="ij")).square().sum(0)
    row, place = torch.fft.ifftn(square).real, geometry.coordinates()
    gap = [(place[:, None, axis] - place[None, :, axis]) % n for axis, n in enumerate(geometry.shape)]
    return row[tuple(gap)]
