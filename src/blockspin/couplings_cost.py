"""Couplings cost: how long couplings, null flows and what follows from them will take, timed on noise of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch

from blockspin.couplings_measured import PLAIN, chosen_couplings, measured, slices, whole
from blockspin.couplings_nulls import chosen_nulls
from blockspin.ensemble import Batch, Ensemble, group_of
from blockspin.errors import BlockspinError
from blockspin.flow import Axis
from blockspin.geometry import Geometry, Unordered
from blockspin.running.course import course
from blockspin.running.prediction import Places, predict
from blockspin.running.replicas import Replicas, together
from blockspin.running.validity import WHOLE, validity
from blockspin.study import Field, Study

GROUPS, BESIDE = 4, 2.5
"""Groups that are timed, and what is computed beside once a group, in units of that: states, the whole, its fit."""
SMALL = 8
"""Sites of a field so small that its size does not count."""


@dataclass(frozen=True)
class Sequel:
    """Seconds that are spent on couplings.

    Args:
        own: Measuring them along the flows of the run.
        nulls: Measuring them along null flows.
        after: Predicting held-out scales, testing where theories hold, following how couplings run.
    """

    own: float = 0.0
    nulls: float = 0.0
    after: float = 0.0

    def __str__(self) -> str:
        beside = f", {self.nulls:.0f} s for those of null flows" if self.nulls else ""
        return f"{self.own:.0f} s for couplings{beside}, {self.after:.0f} s for what follows from them"


def couplings_cost(
    study: Study, layers: Sequence[Field], last: Field, coarse: Field | None, members: int = 0
) -> Sequel:
    """Return how long the couplings of a run will take: a scale of each size is timed, with few groups.

    Args:
        study: The run.
        layers: The fields of a network over depth; none of data alone.
        last: The field that the levels are made of.
        coarse: The same after one step of the scheme; None where it makes nothing of noise.
        members: Networks of a family, whose last fields are measured too.

    Do not trust when:
        Theories take longer on data than on noise, or refuse noise: those that are learned may. Schemes that keep
        another share of the sites at every step make another number of levels than the first step lets expect.
    """
    names, nulls = chosen_couplings(study.config), len(chosen_nulls(study.config))
    if not names:
        return Sequel()
    clock = _Clock(study, names)
    with study.steps.step("timing couplings on noise"):
        kinds, samples = clock.slices()
        parts = {study.kernels: 1} | ({samples: kinds} if kinds else {})
        spent = {n: _flows(clock, layers, last, coarse, n) for n in parts}
        flows = spent[study.kernels]
        rows = [row for row in (*flows, flows[1][:1] * members) if row]
        after = sum(clock.couplings * _following(study, len(row), nulls, kinds) for row in rows)
    own = sum(times * (sum(map(sum, spent[n])) + members * spent[n][1][0]) for n, times in parts.items())
    return Sequel(own, nulls * sum(map(sum, flows)), after)


class _Clock:
    """What a scale takes, by the shape of its field: each is timed once."""

    def __init__(self, study: Study, names: Sequence[str]):
        self.study, self.names, self.couplings = study, names, 0
        self.known: dict[tuple[torch.Size, int], float] = {}

    def scale(self, field: Field, samples: int) -> float:
        """Return the seconds that couplings of one scale take on so many samples."""
        shape, geometry = field
        if (shape, samples) not in self.known:
            groups = min(GROUPS, self.study.config.groups)
            few = replace(self.study, config=replace(self.study.config, groups=groups))
            noise = self._noise(shape, geometry).select(torch.arange(samples))
            begun = time.perf_counter()
            rows = measured(few, self.names, noise, whole)
            spent = time.perf_counter() - begun
            self.known[shape, samples] = spent * (self.study.config.groups + BESIDE) / (groups + BESIDE)
            found = sum(len(row.values) for (theory, _), row in rows.items() if theory not in PLAIN)
            self.couplings = max(self.couplings, found)
        return self.known[shape, samples]

    def slices(self) -> tuple[int, int]:
        """Return how many slices of the data are measured beside the whole, and how many samples they have (mean)."""
        noise = self._noise(torch.Size((1, 1)), Unordered(1))
        masks = slices(self.study, noise, group_of(noise.units, self.study.config.groups))
        counts = [int(mask.sum()) for name, mask in masks.items() if name != WHOLE]
        return len(counts), sum(counts) // max(len(counts), 1)

    def _noise(self, shape: torch.Size, geometry: Geometry) -> Ensemble:
        """Return as many samples as are measured, named as records are: slices are drawn by their names."""
        n, sample = self.study.kernels, self.study.material.sample
        values = torch.randn(n, *shape, generator=self.study.generator(0))
        return Ensemble(Batch(values, sample.ids[:n], sample.units[:n], torch.ones(n, dtype=torch.float64)), geometry)


def _flows(
    clock: _Clock, layers: Sequence[Field], last: Field, coarse: Field | None, samples: int
) -> tuple[list[float], list[float]]:
    """Return what every layer takes on so many samples, and every level."""
    return [clock.scale(field, samples) for field in layers], _levels(clock, last, coarse, samples)


def _levels(clock: _Clock, last: Field, coarse: Field | None, samples: int) -> list[float]:
    """Return what every level takes: less by the same factor at each, down to what the smallest field takes."""
    found, steps = [clock.scale(last, samples)], clock.study.config.steps
    if coarse is None:
        return found
    width, share = last[0].numel(), coarse[0].numel() / last[0].numel()
    few = min(SMALL, width)
    small = torch.Size((few, 1)), Unordered(few)
    least, first = clock.scale(small, samples), clock.scale(coarse, samples)
    many = int(math.log(width) / -math.log(share) + 1e-9) if share < 1 else 1
    factor = min(first / found[0], 1.0)
    return found + [max(first * factor**k, min(least, first)) for k in range(min(many, steps) if steps else many)]


def _following(study: Study, scales: int, nulls: int, kinds: int) -> float:
    """Return the seconds for one coupling of a flow: a random walk over as many scales is predicted and followed."""
    steps = torch.randn(scales, generator=study.generator(0), dtype=torch.float64).cumsum(0).tolist()
    noise = 0.1 * torch.randn(scales, study.config.groups, generator=study.generator(0), dtype=torch.float64)
    rows = [Replicas({"g": g}, {"g": (g + e).tolist()}, {"g": "1"}) for g, e in zip(steps, noise, strict=True)]
    labels, none = [str(k) for k in range(scales)], [float("nan")] * scales
    running = together(Axis("depth", "layers"), labels, list(map(float, range(scales))), none, rows)
    held = max(scales // 3, 1)
    places = Places.of(running.select(scales=range(scales - held, scales)))
    ahead = _seconds(lambda: predict(running.select(scales=range(scales - held)), places))
    held_to = _seconds(lambda: validity({WHOLE: running}))
    followed = _seconds(lambda: course(running, ["g"], generator=study.generator(0)))
    return (1 + nulls) * ahead + (1 + kinds) * held_to + followed


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    with suppress(BlockspinError, np.linalg.LinAlgError):  # too few scales take no time
        work()
    return time.perf_counter() - begun
