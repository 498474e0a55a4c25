"""Retrace: does an explicit coarse-graining of the representation lie on the network's own flow?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from blockspin.answer import Answer, Assumption, Light, Verdict
from blockspin.errors import check_between, check_whole
from blockspin.flow import Flow, Scale
from blockspin.measurement import Measurement
from blockspin.questions._curve import Nearest, nearest, point_radii
from blockspin.questions._deviation import normalised_gram, unexplained
from blockspin.questions._picture import picture
from blockspin.questions._products import aligned, half_masks, products
from blockspin.questions.base import Question
from blockspin.registry import register

INNER_POINTS = 3
"""A tube needs at least so many inner points of the flow."""
RESOLUTION = 1e-6
"""Products are taken in float32: differences below this are rounding."""


@register
@dataclass(frozen=True)
class Retrace(Question):
    r"""Does the coarse-graining lie on the network's own flow from the data to the representation?

    In kernel space: the distance of a level is one less its debiased CKA with the nearest point of the piecewise-linear
    curve through the normalised centred kernels of the implicit flow. D is that distance less the radius of the tube
    there. Distance and radius are recomputed together in random halves of the inputs; a level is inside (outside) only
    where the one-sided bound of D at the given level of confidence lies below (above) zero.

    Args:
        halves: Random halves of the inputs for error bars.
        confidence: Confidence of the one-sided bounds.

    Do not trust when:
        The flow is sampled so sparsely that neighbouring points are far apart: the tube is then as wide as the gaps. Or
        on the end segments, where the tube's radius comes from one end alone.

    Source:
        song2012 and kornblith2019 for the similarity; the question is the roadmap's.
    """

    name = "retrace"
    source = "kornblith2019"
    halves: int = 100
    confidence: float = 0.95

    def __post_init__(self):
        check_whole("halves", self.halves, 20)
        check_between("confidence", self.confidence, 0.5, 1)

    def ask(
        self, implicit: Flow, explicit: Flow, *, controls: Mapping[str, Flow], generator: torch.Generator
    ) -> Answer:
        """Answer for every level of the explicit flow after its first, which is the representation itself.

        Args:
            implicit: Data, layers, representation; at least five points over the same inputs.
            explicit: The representation and its coarse-grained levels.
            controls: Flows over depth are other curves for the same levels; other flows are other levels.
            generator: Randomness of the halves.

        Raises:
            AlignmentError: If points are not over the same inputs.
            TooFewSamplesError: If there are too few inputs to halve.
        """
        study = _Study.of(implicit, explicit, controls, halves=self.halves, generator=generator)
        levels = [self._level(study, scale, index) for scale, index in study.levels]
        return Answer(
            self.name,
            self._verdict(levels),
            self._statement(levels, study),
            {key: number for level in levels for key, number in level.numbers().items()},
            self._controls(study),
            _assumptions(study, levels),
            picture(implicit, levels, study.similarity, study.curve, [index for _, index in study.levels]),
            {level.label: level.verdict for level in levels},
        )

    def _level(self, study: _Study, scale: Scale, index: int) -> Level:
        found = nearest(study.similarity, index, study.curve)
        verdict, p_outside = self._decide(found.excess, study)
        known = bool(torch.isfinite(found.distance[0])) and len(study.curve) > INNER_POINTS + 1
        lost, added = study.deviation(found, index) if known else (None, None)
        return Level(scale.label, scale.ensemble.geometry.sites, found, verdict, p_outside, lost, added, study.units)

    def _decide(self, excess: Tensor, study: _Study) -> tuple[Verdict, float]:
        """Return the verdict on one level and the one-sided p-value of its lying outside."""
        value, error = float(excess[0]), max(float(excess[1:].std()), RESOLUTION)
        if not np.isfinite([value, error]).all() or len(study.curve) < INNER_POINTS + 2:
            return Verdict.CANNOT_TELL, 1.0
        dof = self.halves - 1
        bound = float(student.ppf(self.confidence, dof)) * error
        p_outside = float(student.sf(value / error, dof))
        if value + bound < 0:
            return Verdict.YES, p_outside
        return (Verdict.NO if value - bound > 0 else Verdict.CANNOT_TELL), p_outside

    def _verdict(self, levels: Sequence[Level]) -> Verdict:
        """Yes if every level is inside; no if one is outside after Holm's correction for the number of levels."""
        if levels and all(level.verdict is Verdict.YES for level in levels):
            return Verdict.YES
        smallest = min((level.p_outside for level in levels), default=1.0)
        outside = smallest * len(levels) < 1 - self.confidence
        return Verdict.NO if outside else Verdict.CANNOT_TELL

    def _statement(self, levels: Sequence[Level], study: _Study) -> str:
        if not levels:
            return "The explicit flow has no level beyond the representation itself, so there is nothing to compare."
        if len(study.curve) < INNER_POINTS + 2:
            return (
                f"The implicit flow has {max(len(study.curve) - 2, 0)} inner points, fewer than the {INNER_POINTS} "
                "that a tube needs: cannot tell."
            )
        count = {verdict: sum(level.verdict is verdict for level in levels) for verdict in Verdict}
        parts = [
            f"Of {len(levels)} levels, {count[Verdict.YES]} lie inside the tube around the network's own flow, "
            f"{count[Verdict.NO]} outside, and for {count[Verdict.CANNOT_TELL]} the measurement cannot tell"
        ]
        outside = [level for level in levels if level.verdict is Verdict.NO]
        if outside:
            first, last = outside[0], outside[-1]
            parts.append(f"the first outside is {first.label} with D = {first.D}")
            if last is not first:
                parts.append(f"the last is {last.label} with D = {last.D}")
        return "; ".join(parts) + "."

    def _controls(self, study: _Study) -> dict[str, Measurement]:
        rows = {}
        for name, pairs in study.controls.items():
            for label, index, curve in pairs:
                found = nearest(study.similarity, index, curve)
                rows[f"{name}: D at {label}"] = _resampled(found.excess, study.units)
        return rows


@dataclass(frozen=True, eq=False)
class Level:
    """One level of the explicit flow and where it lies."""

    label: str
    sites: int
    nearest: Nearest
    verdict: Verdict
    p_outside: float
    lost: Measurement | None
    added: Measurement | None
    units: int

    @property
    def D(self) -> Measurement:  # noqa: N802 - the symbol of the question
        """Distance less radius."""
        return _resampled(self.nearest.excess, self.units)

    def numbers(self) -> dict[str, Measurement]:
        """Return all numbers of this level, by name."""
        found = {
            "D": self.D,
            "distance": _resampled(self.nearest.distance, self.units),
            "radius": _resampled(self.nearest.radius, self.units),
            "position on the flow": _resampled(self.nearest.position, self.units, "layers"),
            "lost": self.lost,
            "added": self.added,
        }
        return {f"{self.label}: {key}": number for key, number in found.items() if number is not None}


@dataclass(frozen=True, eq=False)
class _Study:
    """Similarities of all points on all halves, and which points are what."""

    similarity: Tensor
    curve: list[int]
    levels: list[tuple[Scale, int]]
    controls: dict[str, list[tuple[str, int, list[int]]]]
    ensembles: list[Any]
    units: int

    @classmethod
    def of(
        cls, implicit: Flow, explicit: Flow, controls: Mapping[str, Flow], *, halves: int, generator: torch.Generator
    ) -> _Study:
        scales: list[Scale] = [*implicit]
        curve = list(range(len(scales)))
        levels = [(scale, len(scales) + k) for k, scale in enumerate(explicit.scales[1:])]
        scales += explicit.scales[1:]
        own = [index for _, index in levels]
        pairs = {*combinations([*curve, *own], 2)}
        compared: dict[str, list[tuple[str, int, list[int]]]] = {}
        for name, flow in controls.items():
            begun, other = len(scales), list(range(len(scales), len(scales) + len(flow)))
            scales += flow
            if flow.axis.name == implicit.axis.name:  # another curve for the same levels
                compared[name] = [(scale.label, index, other) for scale, index in levels]
                pairs |= {*pairwise(other), *zip(other[:-2], other[2:], strict=True)}
                pairs |= {(index, k) for index in own for k in other}
            else:  # other levels for the same curve
                compared[name] = [(scale.label, begun + k, curve) for k, scale in enumerate(flow)]
                pairs |= {(k, index) for index in other for k in curve}
        ensembles = aligned([scale.ensemble for scale in scales])
        masks = half_masks(ensembles[0].units, halves, generator=generator)
        similarity = products(ensembles, pairs, masks).similarity()
        return cls(similarity, curve, levels, compared, ensembles, len(torch.unique(ensembles[0].units)))

    def deviation(self, found: Nearest, index: int) -> tuple[Measurement, Measurement]:
        """Return what a level has lost of the flow's nearest point, and what it has added to it."""
        segment = int(found.segment[0])
        t = float(found.position[0]) - segment
        a, b = (normalised_gram(self.ensembles[self.curve[k]]) for k in (segment, segment + 1))
        point, level = (1 - t) * a + t * b, normalised_gram(self.ensembles[index])
        units = self.ensembles[0].units
        return unexplained(point, level, units), unexplained(level, point, units)


def _resampled(values: Tensor, units: int, unit: str = "1") -> Measurement:
    halves = len(values) - 1
    how = f"spread of {halves} random halves of the units, without replacement"
    return Measurement(float(values[0]), float(values[1:].std()), unit, float(units), how, halves - 1)


def _assumptions(study: _Study, levels: Sequence[Level]) -> tuple[Assumption, ...]:
    inner = max(len(study.curve) - 2, 0)
    at_end = [k.label for k in levels if int(k.nearest.segment[0]) in (0, len(study.curve) - 2)]
    bias = [float((k.nearest.excess[1:].mean() - k.nearest.excess[0]).abs()) for k in levels]
    error = [k.D.error for k in levels]
    biased = [k.label for k, shift, e in zip(levels, bias, error, strict=True) if shift > e / 2]
    own = point_radii(study.similarity, study.curve)[0]
    positive = bool(torch.isfinite(study.similarity[0].diagonal()).all())
    widest = f"{float(own[1:-1].max()):.3g}" if inner else "none"
    return (
        Assumption(
            "the tube's radius",
            Light.GREEN if inner >= INNER_POINTS else Light.RED,
            f"from {inner} inner points (largest {widest}); on a smooth curve leaving one out misses by four times, in "
            "this quadratic distance by sixteen times, as much as interpolating between neighbours: the tube is wide",
        ),
        Assumption(
            "the ends of the flow",
            Light.AMBER if at_end else Light.GREEN,
            f"nearest to an end segment, whose radius comes from one end alone: {', '.join(at_end)}"
            if at_end
            else "no level is nearest to an end segment",
        ),
        Assumption(
            "kernels vary",
            Light.GREEN if positive else Light.RED,
            "every kernel's debiased product with itself is positive"
            if positive
            else "a kernel's debiased product with itself is not positive: no similarity exists for it",
        ),
        Assumption(
            "enough inputs",
            Light.AMBER if biased else Light.GREEN,
            f"D on half of the inputs differs from D on all by more than half its error: {', '.join(biased)}"
            if biased
            else f"D on half of the {study.units} units agrees with D on all of them within half its error",
        ),
    )
