"""Controls: schemes broken on purpose, kept out of the registry. A suite that was never seen to fail is no evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.geometry import Geometry
from blockspin.law import Source
from blockspin.schemes.base import Map, Scheme

HONEST = Claims(
    semigroup=Semigroup.EXACT,
    linear=True,
    symmetries=("translation", "sign", "scale", "rotation"),
    fixed_points=("white-noise",),
)


@dataclass(frozen=True, eq=False)
class BrokenMap(Map):
    """A block average followed by something that it should not do.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size].
        spoil: From the fine field and its block averages to what is returned.
        claimed_b: The ratio that is reported.
    """

    b: int
    members: Tensor
    spoil: Callable[[Tensor, Tensor], Tensor]
    claimed_b: float
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of the reported ratio."""
        return log(self.claimed_b)

    def values(self, values: Tensor) -> Tensor:
        """Average and spoil."""
        return self.spoil(values, values[:, self.members].mean(dim=2))

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of blocks."""
        return geometry.blocks(self.b).coarse


@dataclass(frozen=True)
class Control(Scheme):
    """A block average with one fault; members override ``spoil`` and name the checks that must find it."""

    name = "block-average"
    source = "kadanoff1966"
    claims = HONEST
    fails: ClassVar[tuple[str, ...]]
    b: int = 2

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return what the map gives in place of the averages."""
        return coarse

    def fit(self, source: Source, *, generator: torch.Generator) -> BrokenMap:
        """Return the broken map."""
        return BrokenMap(self.b, source.geometry.blocks(self.b).members, self.spoil, self.b)

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        """Return the one that is checked."""
        return (cls(),)


@dataclass(frozen=True)
class TiesUp(Control):
    """A majority rule whose ties always go up: breaks the symmetry of up and down."""

    claims = replace(HONEST, semigroup=Semigroup.NONE, symmetries=("sign",), fixed_points=())
    fails = ("symmetries",)

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Vote."""
        return torch.where(coarse >= 0, 1.0, -1.0).to(coarse.dtype)


@dataclass(frozen=True)
class ClaimsSemigroup(Control):
    """Halves the average at each step, so that two steps are not one of twice the size."""

    fails = ("semigroup",)

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Halve."""
        return coarse / 2


@dataclass(frozen=True)
class HidesASemigroup(Control):
    """A block average that does not claim how its steps compose."""

    claims = replace(HONEST, semigroup=Semigroup.NONE)
    fails = ("semigroup",)


@dataclass(frozen=True)
class HidesASymmetry(Control):
    """A block average that does not claim that the sign commutes with it."""

    claims = replace(HONEST, symmetries=("translation", "scale", "rotation"))
    fails = ("unclaimed_symmetries",)


@dataclass(frozen=True)
class Remembers(Control):
    """Keeps the microscopic field of the first step and gives it away at the second."""

    fails = ("information",)
    memory: ClassVar[list[Tensor]] = []

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Give away a site of whatever was seen before, if it has as many samples; remember the largest field."""
        seen = [field for field in self.memory if len(field) == len(fine) and field.shape[1] > fine.shape[1]]
        self.memory[:] = [*self.memory[-8:], fine.clone()]
        return torch.cat([seen[-1][:, :1].to(coarse.dtype), coarse[:, 1:]], dim=1) if seen else coarse


@dataclass(frozen=True)
class Flickers(Control):
    """Adds a number that grows from call to call."""

    fails = ("pure",)
    calls: ClassVar[list[int]] = []

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Count."""
        self.calls.append(1)
        return coarse + 1e-3 * len(self.calls)


@dataclass(frozen=True)
class WritesInput(Control):
    """Changes the field that it is given."""

    fails = ("pure",)

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Shift the input in place."""
        fine += 1.0
        return coarse


@dataclass(frozen=True)
class GlobalRandomness(Control):
    """Draws from the global generator."""

    fails = ("pure",)

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Draw and throw away."""
        torch.rand(1)
        return coarse


@dataclass(frozen=True)
class LooksAround(Control):
    """Subtracts the mean of the batch, so that a sample's value depends on the others."""

    fails = ("batch",)

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Centre on the batch."""
        return coarse - coarse.mean(0)


@dataclass(frozen=True)
class WrongLength(Control):
    """Reports another ratio of lengths than its blocks have."""

    fails = ("geometry",)

    def fit(self, source: Source, *, generator: torch.Generator) -> BrokenMap:
        """Return a map that reports b + 1."""
        return BrokenMap(self.b, source.geometry.blocks(self.b).members, self.spoil, self.b + 1)


@dataclass(frozen=True)
class Promotes(Control):
    """Turns float32 fields into float64."""

    fails = ("geometry",)

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Promote."""
        return coarse.to(torch.float64)


@dataclass(frozen=True)
class NotLinear(Control):
    """Claims to be linear and saturates."""

    fails = ("linear",)

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Saturate."""
        return torch.tanh(coarse)


@dataclass(frozen=True)
class WrongIdentity(Control):
    """Allows b = 1, and turns the field about then."""

    fails = ("identity",)

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Reverse the sites."""
        return coarse.flip(1)


@dataclass(frozen=True)
class Overlaps(Control):
    """Adds the neighbouring block's average: finds correlations in noise."""

    fails = ("nulls", "fixed_points")

    def spoil(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Overlap."""
        return coarse + coarse.roll(1, 1)


@dataclass(frozen=True)
class ForeignError(Control):
    """Meets a wrong option with an error that nobody named."""

    fails = ("refuses",)

    def fit(self, source: Source, *, generator: torch.Generator) -> BrokenMap:
        """Divide by b before looking at it."""
        if source.geometry.sites // self.b == 0:
            raise ValueError("no sites")
        return BrokenMap(self.b, source.geometry.blocks(self.b).members, self.spoil, self.b)


@dataclass(frozen=True)
class Undeclared(Control):
    """Cites a source that is not in the bibliography, in a docstring without parts."""

    source = "nobody1900"
    fails = ("declared",)


def controls() -> dict[str, type[Control]]:
    """Return all controls by name."""
    return {cls.__name__: cls for cls in Control.__subclasses__()}
