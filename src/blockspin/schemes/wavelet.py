"""Wavelet: keep the coarse part of an orthogonal wavelet transform and forget the details."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import ConfigError, GeometryError, MissingDependencyError
from blockspin.geometry import Geometry, Grid
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes.base import LiftingMap, Scheme, require_ratio


@dataclass(frozen=True, eq=False)
class WaveletMap(LiftingMap):
    """Some levels of a periodic orthogonal wavelet transform.

    Args:
        wavelet: Name of the wavelet.
        shape: The fine lattice.
        levels: How often the lattice is halved.
    """

    wavelet: str
    shape: tuple[int, ...]
    levels: int
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of spacings."""
        return self.levels * log(2)

    def values(self, values: Tensor) -> Tensor:
        """Return the coarse field."""
        field = self._on_lattice(values, 0)
        for _ in range(self.levels):
            field = self._split(field)[self._coarse]
        return self._flat(field, values)

    def details(self, values: Tensor) -> list[dict[str, Tensor]]:
        """Return what ``values`` forgets: the details of each level in turn, by name.

        Each is [samples, coarse sites, components]. Each letter of a name stands for an axis, "a" for coarse
        (approximation) and "d" for detail.
        """
        field, rows = self._on_lattice(values, 0), []
        for _ in range(self.levels):
            parts = self._split(field)
            field = parts.pop(self._coarse)
            rows.append({key: self._flat(part, values) for key, part in parts.items()})
        return rows

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of fewer sites along each axis."""
        return geometry.blocks(2**self.levels).coarse

    def lift(self, values: Tensor) -> Tensor:
        """Return the fine field with this coarse part and no details."""
        field = self._on_lattice(values, self.levels)
        for _ in range(self.levels):
            field = pywavelets().idwtn({self._coarse: field}, self.wavelet, "periodization", axes=self._axes)
        return self._flat(field, values)

    def _split(self, field: Any) -> dict[str, Any]:
        return pywavelets().dwtn(field, self.wavelet, "periodization", axes=self._axes)

    def _on_lattice(self, values: Tensor, level: int) -> Any:
        sizes = (n // 2**level for n in self.shape)
        return values.detach().numpy().reshape(len(values), *sizes, values.shape[2])

    @staticmethod
    def _flat(field: Any, like: Tensor) -> Tensor:
        return torch.from_numpy(field).reshape(len(like), -1, like.shape[2])

    @property
    def _coarse(self) -> str:
        return "a" * len(self.shape)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.shape) + 1))


@register
@dataclass(frozen=True)
class Wavelet(Scheme):
    r"""Keep the coarse part of an orthogonal wavelet transform and forget the details.

    The step of the wavelet-conditional renormalization group: an orthogonal transform W splits the field into a coarse
    field on every second site and details,

    .. math:: W \phi_j = (\phi_{j+1}, \bar\phi_{j+1}),

    and the law of a field is that of the coarsest one times the conditional laws of the details given the coarse field,
    which stay well conditioned where the law itself does not (observable ``wavelet-conditioning``). The map's
    ``details`` returns them, and ``lift`` sets them to zero. Haar's wavelet is the block average times b^(d/2).

    Args:
        wavelet: Name of an orthogonal wavelet of PyWavelets: haar, db2 ... db38, sym2 ... sym20, coif1 ... coif17.
        b: Ratio of new to old lattice spacing, a power of two. Dimensionless.

    Shapes:
        in:  [samples, sites, components], every axis of the periodic lattice divisible by b
        out: [samples, sites / b^d, components]

    Raises:
        ConfigError: If there is no orthogonal wavelet of that name, or b is not a power of two.
        MissingDependencyError: If PyWavelets is not installed.
        GeometryError: If sites lie on no periodic lattice.
        IndivisibleBlocksError: If b does not divide an axis.

    Do not trust when:
        The wavelet is longer than the lattice: it then wraps around it more than once.

    Tether:
        theory.wavelet: condition numbers of the 1/k^2 field, which do not depend on the size of the lattice.

    Source:
        marchand2022.

    Example:
        >>> from blockspin import Chain, Ensemble
        >>> field = Ensemble.of(torch.tensor([[1.0, 3.0, 5.0, 7.0], [0.0, 2.0, 4.0, 6.0]]), Chain(4))
        >>> coarse = Wavelet("haar").fit(field, generator=torch.Generator())
        >>> (coarse(field).values[0, :, 0] / 2**0.5).round(decimals=4).tolist()
        [2.0, 6.0]
    """

    name = "wavelet"
    source = "marchand2022"
    claims = Claims(
        semigroup=Semigroup.EXACT,
        linear=True,
        symmetries=("translation", "sign", "scale", "rotation"),
        fixed_points=("white-noise",),
    )
    wavelet: str = "db2"
    b: int = 2

    def __post_init__(self):
        require_ratio(self.b)
        if self.b & (self.b - 1):
            raise ConfigError("b", self.b, "a power of two.")
        if not isinstance(self.wavelet, str) or not self.wavelet.isalnum():
            raise ConfigError("wavelet", self.wavelet, "the name of an orthogonal wavelet, such as haar or db2.")

    def fit(self, source: Source, *, generator: torch.Generator) -> WaveletMap:
        """Return the transform of the geometry's lattice; nothing is learned."""
        geometry = source.geometry
        if self.wavelet not in orthogonal_wavelets():
            raise ConfigError("wavelet", self.wavelet, f"one of {', '.join(orthogonal_wavelets())}.")
        if not (isinstance(geometry, Grid) and geometry.periodic):
            raise GeometryError(
                f"wavelets need a periodic lattice, not {type(geometry).__name__} sites or open edges",
                "Use block-average on open lattices, principal-modes on unordered sites.",
            )
        geometry.blocks(self.b)  # refuses what does not divide
        return WaveletMap(self.wavelet, geometry.shape, self.b.bit_length() - 1)

    @classmethod
    def examples(cls) -> tuple[Wavelet, ...]:
        """Return the shortest wavelet and a smoother one."""
        return cls("haar"), cls("db2")


def pywavelets() -> Any:
    """Return the module pywt.

    Raises:
        MissingDependencyError: If PyWavelets is not installed.
    """
    try:
        import pywt
    except ImportError:
        raise MissingDependencyError(
            "the wavelet scheme needs PyWavelets, which is not installed", "pip install 'blockspin[wavelets]'"
        ) from None
    return pywt


def orthogonal_wavelets() -> list[str]:
    """Return the names of the orthogonal wavelets that there are."""
    pywt = pywavelets()
    return [name for name in pywt.wavelist(kind="discrete") if pywt.Wavelet(name).orthogonal and name.isalnum()]
