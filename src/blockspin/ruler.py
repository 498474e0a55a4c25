"""Ruler: what is measured on ensembles that are held in memory: levels of a flow, and neighbours with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from blockspin.engine.base import Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import Measured, Progress, measure
from blockspin.ensemble import Ensemble
from blockspin.errors import BlockspinError
from blockspin.flow import Flow, Scale
from blockspin.measurement import Measurement
from blockspin.registry import member
from blockspin.schemes.base import LiftingMap

SINGLE = ("covariance", "participation-ratio", "cumulants", "negentropy")
"""What is measured at every point of a flow."""
PAIR = "cka"
"""What is measured between neighbouring points."""
LIFTED = " lifted"

Numbers = dict[str, dict[str, Measurement]]
Found = dict[tuple[str, ...], dict[str, Measurement]]


@dataclass(frozen=True)
class Ruler:
    """How ensembles in memory are measured.

    Args:
        groups: Groups of units for error bars.
        threads: Threads of torch.
        kernels: Most samples for kernels.
        seed: Seed of random halves.
    """

    groups: int
    threads: int
    kernels: int
    seed: int

    def levels(self, flow: Flow) -> Flow:
        """Return an explicit flow with its numbers: of each level, of what each gives back, of neighbours."""
        levels = {scale.label: scale.ensemble for scale in flow}
        lifted = {f"{label}{LIFTED}": field for label, field in _lifted(flow).items()}
        kept = member("observables", "reconstruction")()
        tasks = [Task(member("observables", key)(), (label,)) for label in levels for key in SINGLE]
        tasks += [Task(kept, (flow[0].label, name)) for name in lifted]
        numbers: Numbers = {}
        for names, found in self._measure({**levels, **lifted}, tasks).items():
            update(numbers, {names[-1].removesuffix(LIFTED): found})
        update(numbers, self.similarities(levels))
        return flow.with_measurements(numbers)

    def alone(self, scale: Scale, keys: Sequence[str] = SINGLE) -> Scale:
        """Return a scale with numbers of its ensemble by itself, and without that ensemble."""
        tasks = [Task(member("observables", key)(), (scale.label,)) for key in keys]
        found = self._measure({scale.label: scale.ensemble}, tasks).get((scale.label,), {})
        return replace(scale, ensemble=None).with_measurements(found)

    def similarities(self, ensembles: Mapping[str, Ensemble]) -> Numbers:
        """Return the debiased CKA of every point with the one before it, by label."""
        cka = member("observables", PAIR)(limit=self.kernels)
        found = self._measure(ensembles, [Task(cka, pair) for pair in pairwise(ensembles)])
        return {pair[1]: numbers for pair, numbers in found.items()}

    def _measure(self, ensembles: Mapping[str, Ensemble], tasks: Sequence[Task]) -> Found:
        if not tasks:
            return {}
        reading = EnsemblePass.of(ensembles, groups=self.groups)
        serial = member("engine", "serial")(threads=self.threads)
        generator = torch.Generator().manual_seed(self.seed)
        return possible(measure(reading, tasks, executor=serial, store=None, generator=generator), tasks)


def possible(measured: Measured, tasks: Sequence[Task], advance: Progress | None = None) -> Found:
    """Return the numbers of all tasks that the data suffice for; the others yield no number."""
    rows: Found = {}
    for done, task in enumerate(tasks, 1):
        if advance is not None:
            advance(done, len(tasks))
        try:
            found = measured.measurement(task)
        except BlockspinError:
            continue
        named = {f"{task.estimator.name}/{quantity}": number for quantity, number in found.items()}
        rows.setdefault(task.names, {}).update(named)
    return rows


def update(numbers: Numbers, more: Mapping[str, Mapping[str, Measurement]]) -> None:
    """Enter more numbers by label."""
    for label, found in more.items():
        numbers.setdefault(label, {}).update(found)


def _lifted(flow: Flow) -> dict[str, Ensemble]:
    """Return each level carried back to the sites of the first, as far as every map on the way can be undone."""
    first, rows = flow[0].ensemble, {}
    for index in range(1, len(flow)):
        if not isinstance(flow[index].map, LiftingMap):
            break
        values = flow[index].ensemble.values
        for scale in flow.scales[index:0:-1]:
            values = scale.map.lift(values / torch.as_tensor(scale.factor, dtype=values.dtype))
        rows[flow[index].label] = first.with_values(values)
    return rows
