"""Frames: modes in which the covariance of a field is diagonal, by Fourier transform or fitted on other samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.couplings._frame import Frame
from blockspin.couplings._spectral_mixture import Modes
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import ConstantUnitsError, GeometryError, ShapeError, TooFewSamplesError
from blockspin.geometry import Geometry, Grid

PER_MODE = 10
"""Samples for each mode that a fitted frame needs: with fewer its modes are mixed up by noise."""
STRETCHES = 40
"""Every second of so many parts of the units is looked at for a frame: of a chain, two to each of the usual groups."""


@dataclass(frozen=True)
class FourierFrame:
    """The longest waves of a periodic lattice, one of each opposite two; the mean is left out.

    Args:
        lattice: The lattice.
        count: Most modes.
        shells: Most shells, of equal width in the logarithm of the wave number.
    """

    seen: ClassVar[frozenset[int]] = frozenset()
    """Units that the modes were chosen on: none."""
    lattice: Grid
    count: int
    shells: int

    @property
    def sites(self) -> int:
        """Sites of the field."""
        return self.lattice.sites

    def powers(self, flat: Tensor) -> Tensor:
        """Return |phi_k|^2 over the number of sites of fields [samples, sites], float64 [samples, modes]."""
        x = flat.reshape(len(flat), *self.lattice.shape).to(torch.float64)
        wave = torch.fft.fftn(x, dim=tuple(range(1, x.ndim))).flatten(1)
        return wave[:, self._waves()[0]].abs().square() / self.sites

    def modes(self) -> Modes:
        """Return what the modes are."""
        _, size, real = self._waves()
        halves = torch.where(real, 0.5, 1.0).to(torch.float64)
        return Modes(halves, _shells(size, self.shells))

    def _waves(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return index, size and whether it is its own opposite, of each wave vector that is kept."""
        shape = torch.tensor(self.lattice.shape)
        n = self.lattice.coordinates()
        opposite = torch.zeros(len(n), dtype=torch.int64)
        for axis, length in enumerate(self.lattice.shape):
            opposite = opposite * length + (-n[:, axis]).remainder(length)
        here = torch.arange(len(n))
        size = (torch.minimum(n, shape - n) / shape).to(torch.float64).square().sum(1).sqrt()
        kept = ((here <= opposite) & (size > 0)).nonzero().flatten()
        kept = kept[torch.argsort(size[kept], stable=True)][: self.count]
        return kept, size[kept], here[kept] == opposite[kept]


@dataclass(frozen=True)
class FittedFrame:
    """The leading principal modes of other samples than those that are measured.

    Args:
        frame: All modes of those samples.
        count: How many of them, at most its rank.
        shells: Most shells, of equal width in the logarithm of the rank.
        seen: Units of those samples, which are passed by where they come up again.
    """

    frame: Frame
    count: int
    shells: int
    seen: frozenset[int] = frozenset()

    @property
    def sites(self) -> int:
        """Sites and components of the field."""
        return len(self.frame.mean)

    def powers(self, flat: Tensor) -> Tensor:
        """Return squared amplitudes of fields [samples, D], float64 [samples, modes]."""
        return ((flat.to(torch.float64) - self.frame.mean) @ self.frame.vectors[:, : self.count]).square()

    def modes(self) -> Modes:
        """Return what the modes are."""
        rank = torch.arange(1, self.count + 1, dtype=torch.float64)
        return Modes(torch.full_like(rank, 0.5), _shells(rank, self.shells))


SpectralFrame = FourierFrame | FittedFrame


def fourier_frame(geometry: Geometry, count: int, shells: int) -> FourierFrame:
    """Return the longest waves of a periodic lattice.

    Raises:
        GeometryError: If it is none.
    """
    if not isinstance(geometry, Grid) or not geometry.periodic:
        raise GeometryError(
            "waves diagonalise the covariance on periodic lattices alone",
            "Fit the frame on the other half of the samples: FieldMixture.in_modes_of(fit_half).",
        )
    return FourierFrame(geometry, count, shells)


def frame_of_half(source: Ensemble, count: int, shells: int) -> FittedFrame:
    """Return the leading principal modes of half of the units of some samples, which are then not measured.

    There are at most ``count`` of them, and a tenth as many as samples.

    Raises:
        TooFewSamplesError: If there are too few samples for two modes.
        ConstantUnitsError: If fewer than two directions vary.
    """
    half = source.select(group_of(source.units, STRETCHES, chain=source.chain, salt=17) % 2 == 0)
    found = fitted_frame(half, min(count, max(2, len(half) // PER_MODE)), shells)
    return replace(found, seen=frozenset(half.units.tolist()))


def fitted_frame(fit_half: Ensemble, count: int, shells: int) -> FittedFrame:
    """Return the leading principal modes of some samples.

    Raises:
        TooFewSamplesError: If there are fewer than ten samples a mode.
        ConstantUnitsError: If fewer than two directions vary.
    """
    frame = Frame.of(fit_half)
    count = min(count, frame.rank)
    if count < 2:
        raise ConstantUnitsError("fewer than two directions of the field vary", "Check the data.")
    if len(fit_half) < PER_MODE * count:
        raise TooFewSamplesError(
            f"{len(fit_half)} samples are too few for a frame of {count} modes",
            f"Give {PER_MODE} a mode, or ask for {max(2, len(fit_half) // PER_MODE)} modes.",
        )
    return FittedFrame(frame, count, shells)


def check_fits(flat: Tensor, frame: SpectralFrame) -> None:
    """Refuse fields [samples, D] that a frame is not of.

    Raises:
        ShapeError: If D is another number.
    """
    if flat.shape[1] != frame.sites:
        raise ShapeError(
            f"a field of {flat.shape[1]} sites and components does not fit a frame of {frame.sites}",
            "Waves need one component a site.",
        )


def _shells(size: Tensor, count: int) -> Tensor:
    """Return the shell of each mode, numbered from 0 without gaps, of equal width in ln of its size."""
    low, high = size[0].log(), size[-1].log()
    place = ((size.log() - low) / (high - low).clamp(min=1e-12) * count).floor().clamp(max=count - 1)
    return torch.unique(place, return_inverse=True)[1]
