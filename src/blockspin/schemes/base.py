"""The contract of a coarse-graining: a frozen specification, fitted to a frozen map, a pure function of an ensemble."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor

from blockspin.claims import Claims
from blockspin.ensemble import Ensemble
from blockspin.errors import check_whole
from blockspin.geometry import Geometry
from blockspin.law import EnumeratedLaw, GaussianLaw, Source

S = TypeVar("S", Ensemble, EnumeratedLaw, GaussianLaw)


class Map(abc.ABC):
    """A fitted coarse-graining: it depends on nothing but its input and is safe to apply to any batch.

    Members are frozen dataclasses. They act on samples one by one, so that a map of a batch is the batch of the maps,
    and keep dtype and device.
    """

    linear: bool
    """Whether ``values`` is affine in the field."""

    @property
    @abc.abstractmethod
    def log_b(self) -> float | None:
        """Logarithm of the ratio of new to old spacing (of site counts on unordered sites); None without one."""

    @abc.abstractmethod
    def values(self, values: Tensor) -> Tensor:
        """Coarse-grain a field [samples, sites, components] to [samples, coarse sites, components]."""

    @abc.abstractmethod
    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the geometry of the coarse field, given that of the fine one."""

    def __call__(self, source: S) -> S:
        """Coarse-grain samples, or push a law forward."""
        if isinstance(source, Ensemble):
            return source.with_values(self.values(source.values), self.coarse(source.geometry))
        return source.push(self)


class LiftingMap(Map):
    """A map that can also be undone as far as possible: coarse values back onto the fine sites."""

    @abc.abstractmethod
    def lift(self, values: Tensor) -> Tensor:
        """Return the finest field [samples, sites, components] that the coarse one stands for; values(lift(x)) = x."""


class Scheme(abc.ABC):
    """What is forgotten in one step. Members are frozen dataclasses whose fields are their options.

    Each member declares ``name`` (its file's name with "-" for "_"), ``source`` (a key of ``references.bib``),
    ``claims``, and ``examples()``. Schemes with a fixed length ratio have a field ``b``, new to old lattice spacing.
    """

    family: ClassVar[str] = "schemes"
    name: ClassVar[str]
    source: ClassVar[str]
    claims: ClassVar[Claims]

    @abc.abstractmethod
    def fit(self, source: Source, *, generator: torch.Generator) -> Map:
        """Fit the map to one half of the units (or to a law).

        Raises:
            StepNotPossibleError: If this scheme cannot coarse-grain this geometry any further.
        """

    @classmethod
    @abc.abstractmethod
    def examples(cls) -> Sequence[Self]:
        """Return small instances for the tests, the docs and the demonstration."""

    def options(self) -> dict[str, Any]:
        """Return the options of this instance by name."""
        return dict(vars(self))


def require_ratio(b: object) -> None:
    """Check the ratio of new to old lattice spacing.

    Raises:
        ConfigError: If b is not an integer of at least 2.
    """
    check_whole("b", b, 2)
