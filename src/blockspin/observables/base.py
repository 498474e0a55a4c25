"""The contract of an observable: a monoid over joint batches, and the numbers read off its state."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from blockspin.ensemble import Batch, Ensemble
from blockspin.law import EnumeratedLaw
from blockspin.observables._keeping import kept_rows as kept_rows
from blockspin.observables._keeping import merged_rows as merged_rows
from blockspin.observables._kernels import gram_of as gram_of
from blockspin.observables._kernels import u_centred as u_centred
from blockspin.observables._kernels import u_inner as u_inner
from blockspin.observables._merging import effective_samples as effective_samples
from blockspin.observables._merging import is_law as is_law
from blockspin.observables._merging import merged_moments as merged_moments
from blockspin.observables._merging import moments_of as moments_of
from blockspin.observables._merging import third_scale as third_scale
from blockspin.observables._merging import weights_of as weights_of
from blockspin.observables._running import Plain, Running

State = dict[str, Tensor]
"""What a pass has seen so far: named tensors, so that it can be written to disk as it is."""


class Monoid(abc.ABC):
    """Something that is added up over batches. Members are frozen dataclasses, equal when they add up the same thing.

    ``merge(add(start(), first), add(start(), second))`` equals ``add(add(start(), first), second)`` up to rounding, and
    ``start()`` is neutral. Products of fields in their dtype, sums in float64. No state is modified once returned.
    """

    inputs: ClassVar[int] = 1
    """How many aligned batches ``add`` takes: 1, or 2 for a pair of ensembles over the same inputs."""

    @abc.abstractmethod
    def start(self) -> State:
        """Return the empty state: {} is fine."""

    @abc.abstractmethod
    def add(self, state: State, *batches: Batch) -> State:
        """Return the state after one more joint batch."""

    @abc.abstractmethod
    def merge(self, first: State, second: State) -> State:
        """Return the state of both parts together."""

    def running(self) -> Running:
        """Return an empty state that is added to in place: the same numbers as ``add``, for whom that is slow."""
        return Plain(self)

    def scale(self, state: State, key: str) -> Tensor:
        """Return what differences of a tensor of a state are relative to: its largest entry, where no terms cancel."""
        return state[key].abs().max()


class PartMonoid(Monoid):
    """A monoid whose empty state is {}: a member says what one batch amounts to, and how two such parts are joined."""

    def start(self) -> State:
        """Return the empty state."""
        return {}

    def add(self, state: State, *batches: Batch) -> State:
        """Return the state after one more joint batch; what ``part`` raises is raised."""
        return self.merge(state, self.part(*batches)) if len(batches[0]) else state

    def merge(self, first: State, second: State) -> State:
        """Return the state of both parts together."""
        return self.joined(first, second) if first and second else first or second

    @abc.abstractmethod
    def part(self, *batches: Batch) -> State:
        """Return the state of a joint batch of at least one sample."""

    @abc.abstractmethod
    def joined(self, first: State, second: State) -> State:
        """Return the state of two parts together, neither of them empty."""


class SumMonoid(PartMonoid):
    """A monoid whose parts are joined by adding them, tensor by tensor."""

    def joined(self, first: State, second: State) -> State:
        """Add."""
        return {key: first[key] + second[key] for key in first}


class RowMonoid(PartMonoid):
    """A monoid whose states hold "ids" and "units" (int64 [rows]) beside other tensors with the rows first."""

    def restrict(self, state: State, rows: Tensor) -> State:
        """Return the state of the rows in a mask alone: that of some of the units."""
        return {key: tensor[rows] for key, tensor in state.items()}


class Estimator(abc.ABC):
    """Numbers that are a function of a monoid's state. Observables and couplings are estimators."""

    name: ClassVar[str]
    source: ClassVar[str]
    smooth: ClassVar[bool] = True
    """Whether the numbers are smooth in the data: delete-group jackknife; otherwise random halves of the units."""
    units: ClassVar[Mapping[str, str]]
    """The quantities that ``value`` returns, each with its unit ("1" for a pure number)."""

    @property
    @abc.abstractmethod
    def monoid(self) -> Monoid:
        """What is added up over the pass; estimators that share it share the work."""

    @abc.abstractmethod
    def value(self, state: State) -> dict[str, Tensor]:
        """Return the quantities, float64, each of any shape.

        Raises:
            TooFewSamplesError: If the state does not hold enough for it.
        """


class SubsetEstimator(Estimator):
    """An estimator on a ``RowMonoid`` that evaluates many subsets of the rows at once, faster than one by one."""

    @abc.abstractmethod
    def values_of(self, state: State, masks: Tensor) -> list[dict[str, Tensor]]:
        """Return, for each row of ``masks`` (bool [subsets, rows]), what ``value`` gives on the rows in it."""


class Observable(Estimator):
    """A number of an ensemble, or of a pair of ensembles, with no model assumed. Members are frozen dataclasses."""

    family: ClassVar[str] = "observables"


def accumulate(monoid: Monoid, *sources: Ensemble | EnumeratedLaw, size: int = 4096) -> State:
    """Return the state of whole ensembles (or enumerated laws) held in memory, aligned sample by sample."""
    running = monoid.running()
    for batches in zip(*(source.batches(size) for source in sources), strict=True):
        running.add(*batches)
    return running.state()


def evaluate(estimator: Estimator, *sources: Ensemble | EnumeratedLaw) -> dict[str, Tensor]:
    """Return an estimator's numbers on ensembles held in memory, without errors; exact on a law."""
    return estimator.value(accumulate(estimator.monoid, *sources))
