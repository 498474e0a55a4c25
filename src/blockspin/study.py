"""Study: the measured flows of one run: the network over depth, its untrained copy, the coarse-grained levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from blockspin.capture.reading import ActivationPass, Estimate
from blockspin.config import RunConfig
from blockspin.engine.base import Executor, Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import Measured, Progress, measure
from blockspin.ensemble import Batch, Ensemble
from blockspin.errors import BlockspinError, ConfigError
from blockspin.flow import Flow
from blockspin.flows.depth import depth_flow
from blockspin.flows.iterate import iterate
from blockspin.geometry import Geometry
from blockspin.material import Material
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate
from blockspin.progress import Steps
from blockspin.registry import member
from blockspin.representations.base import Representation
from blockspin.schemes.base import LiftingMap

SINGLE = ("covariance", "participation-ratio", "cumulants")
"""What is measured at every point of a flow."""
PAIR = "cka"
"""What is measured between neighbouring points."""
NETWORK, UNTRAINED = "network", "untrained network"
DATA = "data"
"""Label of the data as the first point of the implicit flow."""
LIFTED = " lifted"

Parts = tuple[Ensemble, Ensemble]
"""The part that schemes are fitted on, and the part that is measured: the kernel sample."""
Numbers = dict[str, dict[str, Measurement]]


@dataclass(frozen=True, eq=False)
class Study:
    """One run under way.

    Args:
        config: What to do.
        material: The network and the records.
        reading: How the network is read.
        shapes: Sites and components of each layer's field.
        kernels: Samples that are measured; schemes are fitted on the others.
        steps: The clock.
    """

    config: RunConfig
    material: Material
    reading: ActivationPass
    shapes: Mapping[str, torch.Size]
    kernels: int
    steps: Steps

    @classmethod
    def prepare(cls, config: RunConfig, material: Material, steps: Steps) -> tuple[Study, Estimate]:
        """Open the network, find out what the run will cost, refuse what cannot work; nothing is written yet.

        Raises:
            ConfigError: If there are too few records.
            UnknownLayerError: If a layer does not exist.
            StepNotPossibleError: If the scheme cannot coarse-grain the last layer even once.
        """
        units = len(torch.unique(material.sample.units))  # of repeated contents one sample is kept
        kernels = min(config.kernel_samples, 3 * units // 4)
        if kernels < 8:
            raise ConfigError("samples", units, "at least 12 different records.")
        if not isinstance(config.representation, Representation):
            raise ConfigError("representation", config.representation.name, "one that reads activations, as pooled.")
        reading = ActivationPass(
            material.recipe,
            material.sample,
            (),
            config.representation,
            config.batch_size,
            config.shard_size,
            config.groups,
        )
        with steps.step("opening the network"):
            reading = reading.with_layers(config.layers)
            shapes = {name: batch.values.shape[1:] for name, batch in reading.read(torch.arange(2)).items()}
            cost = reading.estimate()
        study = cls(config, material, reading, shapes, kernels, steps)
        study._try_scheme()
        return study, cost

    def _try_scheme(self) -> None:
        """Take one step on noise of the last layer's shape, to refuse early what the geometry does not allow."""
        samples, layer = len(self.material.sample) - self.kernels, self.reading.layers[-1]
        noise = torch.randn(samples, *self.shapes[layer], generator=self.generator(0))
        ensemble = Ensemble.of(noise, self._geometry(noise))
        self.config.scheme.fit(ensemble, generator=self.generator(0))

    def generator(self, stream: int) -> torch.Generator:
        """Return the randomness of one purpose."""
        return torch.Generator().manual_seed(1000 * self.config.seed + stream)

    # --- implicit flows -----------------------------------------------------------------------------------------------

    def data(self) -> Ensemble | None:
        """Return the measured part of the data as an ensemble of their own, not read through the network.

        None where a sample is not a record (tokens, windows).
        """
        if self.reading.representation.invertible:
            return None
        name = "ngrams" if self.material.modality == "text" else "raw"
        with self.steps.step("reading the data as an ensemble"):
            whole = member("representations", name)().ensemble(self.material.sample)
            state = accumulate(self._rows_of(len(whole)).monoid, whole)
            shape = whole.values.shape[1:]
            return self._split(_ensemble(state, shape, whole.geometry))[1]

    def passes(self) -> dict[str, ActivationPass]:
        """Return the readings of the run by the name of their flow: the network, and its untrained copy."""
        recipe = replace(self.reading.recipe, untrained_seed=self.config.seed)
        return {NETWORK: self.reading, UNTRAINED: replace(self.reading, recipe=recipe)}

    def tasks(self) -> list[Task]:
        """Return what is measured on every pass: the numbers of each layer, and the samples themselves."""
        numbers = [Task(member("observables", key)(), (layer,)) for layer in self.reading.layers for key in SINGLE]
        return numbers + list(self._row_tasks().values())

    def _row_tasks(self) -> dict[str, Task]:
        """Of the last layer all samples are kept, of the others those that are measured alone."""
        *inner, last = self.reading.layers
        counts = {**dict.fromkeys(inner, self.kernels), last: len(self.material.sample)}
        return {layer: Task(self._rows_of(count), (layer,)) for layer, count in counts.items()}

    def depth(self, name: str, reading: ActivationPass, states: Path, data: Ensemble | None) -> tuple[Flow, Parts]:
        """Return the flow over depth, its ensembles on the kernel sample, and both parts of the last layer."""
        tasks, rows = self.tasks(), self._row_tasks()
        with self.steps.step(f"reading the {name}", len(self.material.sample)) as advance:
            measured = measure(
                reading,
                tasks,
                executor=self.executor(),
                store=states / slug(name),
                generator=self.generator(1),
                progress=advance,
            )
        numbered = tasks[: len(tasks) - len(rows)]
        with self.steps.step(f"measuring the {name}", len(numbered)) as advance:
            split = {layer: self._split(self._whole(task, measured)) for layer, task in rows.items()}
            ensembles = {layer: parts[1] for layer, parts in split.items()}
            if data is not None:
                ensembles = {DATA: data, **ensembles}
            numbers = {names[0]: found for names, found in _possible(measured, numbered, advance).items()}
            _update(numbers, self._similarities(ensembles))
        return depth_flow(name, ensembles, numbers), split[reading.layers[-1]]

    def _rows_of(self, count: int) -> Any:
        """The observable whose state keeps samples themselves, one a unit, the first by hash."""
        return member("observables", "gram")(limit=count)

    def _whole(self, task: Task, measured: Measured) -> Ensemble:
        state, shape = measured.state(task), self.shapes[task.names[0]]
        return _ensemble(state, shape, self._geometry(state["first"].reshape(-1, *shape)))

    def _geometry(self, field: torch.Tensor) -> Geometry:
        return self.reading.representation.geometry(field)

    def _split(self, whole: Ensemble) -> Parts:
        """Both parts are drawn by hash, so that they are the same for every layer and for the data."""
        return whole.select(torch.arange(self.kernels, len(whole))), whole.select(torch.arange(self.kernels))

    def executor(self) -> Executor:
        """Return who carries out the passes."""
        cls = member("engine", self.config.executor)
        known = [item.name for item in fields(cls) if item.name in vars(self.config)]
        return cls(**{key: getattr(self.config, key) for key in known})

    # --- explicit flows -----------------------------------------------------------------------------------------------

    def explicit(self, parts: Parts) -> tuple[Flow, Flow]:
        """Return the coarse-grained flow of the last layer, and the same with the two parts exchanged."""
        scheme = self.config.scheme
        with self.steps.step(f"coarse-graining by {scheme.name}"):
            forth, back = (
                self._measured_levels(
                    iterate(pair, scheme, generator=self.generator(2), steps=self.config.steps or None, name=name)
                )
                for pair, name in ((parts, scheme.name), (parts[::-1], f"{scheme.name}, parts exchanged"))
            )
        return forth, back

    def _measured_levels(self, flow: Flow) -> Flow:
        levels = {scale.label: scale.ensemble for scale in flow}
        lifted = {f"{label}{LIFTED}": field for label, field in _lifted(flow).items()}
        kept = member("observables", "reconstruction")()
        tasks = [Task(member("observables", key)(), (label,)) for label in levels for key in SINGLE]
        tasks += [Task(kept, (flow[0].label, name)) for name in lifted]
        numbers: Numbers = {}
        for names, found in self._in_memory({**levels, **lifted}, tasks).items():
            _update(numbers, {names[-1].removesuffix(LIFTED): found})
        _update(numbers, self._similarities(levels))
        return flow.with_measurements(numbers)

    def _similarities(self, ensembles: Mapping[str, Ensemble]) -> Numbers:
        """Return the debiased CKA of every point with the one before it, by label."""
        cka = member("observables", PAIR)(limit=self.kernels)
        found = self._in_memory(ensembles, [Task(cka, pair) for pair in pairwise(ensembles)])
        return {pair[1]: numbers for pair, numbers in found.items()}

    def _in_memory(self, ensembles: Mapping[str, Ensemble], tasks: Sequence[Task]) -> dict[tuple[str, ...], Any]:
        if not tasks:
            return {}
        reading = EnsemblePass.of(ensembles, groups=self.config.groups)
        serial = member("engine", "serial")(threads=self.config.threads)
        return _possible(measure(reading, tasks, executor=serial, store=None, generator=self.generator(1)), tasks)


def slug(name: str) -> str:
    """Return the name of a pass's folder of states."""
    return name.replace(" ", "-")


def _ensemble(state: Mapping[str, torch.Tensor], shape: torch.Size, geometry: Geometry) -> Ensemble:
    values = state["first"].reshape(-1, *shape)
    return Ensemble(Batch(values, state["ids"], state["units"], state["weights"]), geometry)


def _possible(
    measured: Measured, tasks: Sequence[Task], advance: Progress | None = None
) -> dict[tuple[str, ...], dict[str, Measurement]]:
    """Return the numbers of all tasks that the data suffice for; the others yield no number."""
    rows: dict[tuple[str, ...], dict[str, Measurement]] = {}
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


def _update(numbers: Numbers, more: Mapping[str, Mapping[str, Measurement]]) -> None:
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
