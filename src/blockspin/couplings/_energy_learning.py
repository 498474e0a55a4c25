"""Energy learning: filters of an energy model, from one half of the units, and whether they tell directions apart."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.couplings._filter_basis import FilterBasis, Filters, neighbours
from blockspin.couplings._filter_learning import learned
from blockspin.couplings._frame import Frame
from blockspin.couplings._lattice_basis import LatticeBasis, class_counts
from blockspin.couplings._mode_basis import ModeBasis
from blockspin.couplings._score_checks import refuse_unsuited
from blockspin.couplings._score_fit import averages, objectives, score_of_parts, solve
from blockspin.couplings._score_sums import ScoreSums
from blockspin.ensemble import Ensemble, group_of, mix
from blockspin.errors import FitFailedError, TooFewSamplesError
from blockspin.geometry import Geometry, Grid, Unordered
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate

STRETCHES = 40
"""Every second of so many parts of the units is learned from: of a chain, two to each of the usual twenty groups."""
EACH = 10
"""Samples an operator without which nothing is learned."""
QUARTERS = 4
"""One of so many parts of that half judges what the others teach."""
COLLINEAR, WHITENED = 1e-5, 1e-10
"""Inverse of the largest condition number of the quadratic form that steps are learned beside; its square of a whitened
basis, where every matrix is weighed by the covariance twice."""


@dataclass(frozen=True, eq=False)
class Learned:
    """Filters, and the operators that they were learned beside.

    Args:
        plain: Quadratic form.
        filters: w and b.
        reach: Classes of pairs in the quadratic form.
    """

    plain: LatticeBasis | ModeBasis
    filters: Filters
    reach: int

    @property
    def directed(self) -> bool:
        """Whether directions are told apart."""
        return isinstance(self.plain, LatticeBasis) and self.plain.directed

    @property
    def sums(self) -> ScoreSums:
        """What score matching of the energy needs."""
        return ScoreSums(FilterBasis(self.plain, self.filters))


@dataclass(frozen=True, eq=False)
class Lesson:
    """The half that teaches, and how much is to be learned from it.

    Args:
        half: The samples.
        judges: Which of them tell where learning stops and which filters are kept, [samples].
        frame: Mean and support of all of them.
        filters: How many.
        span: Distances that a filter reaches, where sites have distances.
        reach: Most distances with an entry of the quadratic form.
        modes: Most principal coordinates on unordered sites.
        whitened: Whether every mode counts alike, where sites have distances.
    """

    half: Ensemble
    judges: Tensor
    frame: Frame
    filters: int
    span: int
    reach: int
    modes: int
    whitened: bool

    @classmethod
    def of(cls, source: Ensemble, *, filters: int, span: int, reach: int, modes: int, whitened: bool) -> Lesson:
        """Take one half of the units of a field, and a quarter of these as judges.

        Raises:
            TooFewSamplesError: If fewer than two units would teach or judge.
        """
        half = source.select(group_of(source.units, STRETCHES, chain=source.chain, salt=13) % 2 == 0)
        units, inverse = torch.unique(half.units, return_inverse=True)
        if len(units) < 2:
            raise TooFewSamplesError(f"{len(units)} units teach no filter", "Give more samples.")
        rank = torch.arange(len(units)) if source.chain else mix(units, salt=23).argsort().argsort()
        judges = (rank * (STRETCHES // 2) // len(units) % QUARTERS == 0)[inverse]
        frame = Frame.of(half)
        return cls(half, judges, frame, filters, span, reach, min(modes, frame.rank), whitened)

    def learned(self, *, directed: bool, generator: torch.Generator) -> Learned:
        """Return the filters that describe the judges best.

        Raises:
            TooFewSamplesError: If the half holds fewer than ten samples an operator.
            HardEdgesError: If the values have atoms or hard edges.
            GeometryError: If directions are to be told apart where sites have no displacement.
        """
        geometry = self.half.geometry
        reach = self._reach(directed)
        plain = self._plain(reach, directed)
        count = sum(map(len, plain.steps.values())) + self.filters
        if len(self.half) < EACH * count:
            raise TooFewSamplesError(
                f"{len(self.half)} samples teach no filter beside {count} operators", "Give more samples."
            )
        taps = 0 if isinstance(geometry, Unordered) else neighbours(geometry, self.span, directed=directed)
        order = torch.randperm(len(self.half), generator=generator)
        values, judges = self.half.values[order], self.judges[order]
        w, b = learned(plain, values[~judges], values[judges], self.filters, taps, generator=generator)
        return Learned(plain, Filters(w, b, torch.unique(self.half.units)), reach)

    def gain(self, first: Learned, second: Learned) -> Measurement:
        """Return by how much the objective of the judges falls from the first energy to the second, a sample.

        Couplings are fitted to the samples that teach.

        Raises:
            TooFewSamplesError: If the judges are fewer than four independent units.
            FitFailedError: If operators are collinear.
        """
        teachers, judges = self.half.select(~self.judges), self.half.select(self.judges)
        scores = []
        for energy in (first, second):
            couplings = solve(*averages(accumulate(energy.sums, teachers)), WHITENED).couplings
            state = accumulate(energy.sums, judges)
            scores.append(objectives(state, couplings))
        return score_of_parts(scores[0] - scores[1], None, state)

    def _plain(self, reach: int, directed: bool) -> LatticeBasis | ModeBasis:
        """Return the operators of a quadratic form about the mean."""
        how = {"directed": directed, "whitened": self.whitened}
        return operators(self.half.geometry, self.frame, reach, self.modes, (), **how)

    def _reach(self, directed: bool) -> int:
        """Return how many classes of pairs these samples determine and do not make collinear, by whole distances."""
        geometry = self.half.geometry
        flat = isinstance(geometry, Unordered) and not directed
        taught = len(self.half) // EACH - self.filters - 2  # beside the linear and the quadratic operator of a site
        counts = [] if flat else class_counts(geometry, self.reach, directed=directed)
        counts = [count for k, count in enumerate(counts) if not k or count <= taught]
        state = accumulate(ScoreSums(self._plain(max(counts, default=0), directed)), self.half)
        refuse_unsuited(state, geometry.sites)
        A, b = averages(state)
        for reach in reversed(counts):
            with suppress(FitFailedError):  # a field in a subspace has fewer waves than there are distances
                solve(A[: reach + 2, : reach + 2], b[: reach + 2], WHITENED if self.whitened else COLLINEAR)
                return reach
        return 0


def chosen(lesson: Lesson, directed: bool | None, *, generator: torch.Generator) -> Learned:
    """Return filters with or without directions; where that is left open, with them if the judges see a gain.

    Directions are told apart only where the gain on the judges is beyond one of its standard errors.
    """
    if directed is not None:
        return lesson.learned(directed=directed, generator=generator)
    plain = lesson.learned(directed=False, generator=generator)
    if isinstance(lesson.half.geometry, Grid):
        with suppress(TooFewSamplesError, FitFailedError):  # then nothing speaks for directions
            other = lesson.learned(directed=True, generator=generator)
            gain = lesson.gain(plain, other)
            if gain.value > gain.error:
                return other
    return plain


def polynomial(geometry: Geometry) -> tuple[str, ...]:
    """Return the operators of higher powers that the energy is held against."""
    return ("cubic", "skew", "quartic", "product") if isinstance(geometry, Unordered) else ("cubic", "quartic")


def operators(
    geometry: Geometry, frame: Frame, reach: int, modes: int, more: tuple[str, ...] = (), **how: bool
) -> LatticeBasis | ModeBasis:
    """Return the operators of a quadratic form about the mean, and some more; ``how`` is for sites with distances."""
    if isinstance(geometry, Unordered):
        return ModeBasis(frame, modes, ("linear", "mass", "pair", *more))
    pairs = (f"pair[{k + 1}]" for k in range(reach))
    return LatticeBasis(geometry, ("linear", "mass", *pairs, *more), frame, about_mean=True, **how)
