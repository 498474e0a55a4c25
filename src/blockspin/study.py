"""Study: the measured flows of one run: the network over depth, its untrained copy, the coarse-grained levels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from blockspin.capture.hooks import capture_as
from blockspin.capture.reading import ActivationPass, Estimate
from blockspin.config import RunConfig
from blockspin.contents import PlaceContents
from blockspin.engine.base import Executor, Pass, Task
from blockspin.engine.kept import KeptPass
from blockspin.engine.measure import Measured, Progress, measure, pass_key
from blockspin.ensemble import Batch, Ensemble
from blockspin.errors import ConfigError, NothingFoundError
from blockspin.flow import Flow
from blockspin.flows.depth import depth_flow
from blockspin.flows.iterate import iterate
from blockspin.geometry import Geometry
from blockspin.material import Material
from blockspin.memory import guard, size_of
from blockspin.observables.base import accumulate
from blockspin.progress import Steps
from blockspin.registry import member
from blockspin.representations.base import Representation
from blockspin.ruler import SINGLE, Ruler, possible, update
from blockspin.sources.base import ModuleSource

NETWORK, UNTRAINED = "network", "untrained network"
DATA = "data"
"""Label of the data as the first point of the implicit flow."""

Parts = tuple[Ensemble, Ensemble]
"""The part that schemes are fitted on, and the part that is measured: the kernel sample."""


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
        shared: Folder of states that equal passes of several runs share, or None.
        workers: Worker processes that fit into the memory given; 0 for as many as the configuration says.
    """

    config: RunConfig
    material: Material
    reading: ActivationPass
    shapes: Mapping[str, torch.Size]
    kernels: int
    steps: Steps
    shared: Path | None = None
    workers: int = 0

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
            study = cls(config, material, reading, _shapes(reading), kernels, steps)
            cost = reading.estimate(study.tasks())
        study._try_scheme()
        return study, cost

    def beside(self, source: ModuleSource) -> Study:
        """Return the study of another network of the family: the same records, read alike."""
        recipe = replace(self.reading.recipe, source=source)
        reading = replace(self.reading, recipe=recipe).with_layers(self.config.layers)
        return replace(self, reading=reading, shapes=_shapes(reading))

    def _try_scheme(self) -> None:
        """Take one step on noise of the last layer's shape, to refuse early what the geometry does not allow.

        That a scheme finds nothing in noise is as it should be.
        """
        samples, layer = len(self.material.sample) - self.kernels, self.reading.layers[-1]
        noise = torch.randn(samples, *self.shapes[layer], generator=self.generator(0))
        ensemble = Ensemble.of(noise, self._geometry(noise))
        with suppress(NothingFoundError):
            self.config.scheme.fit(ensemble, generator=self.generator(0))

    def ruler(self) -> Ruler:
        """Return how ensembles in memory are measured."""
        return Ruler(self.config.groups, self.config.threads, self.kernels, self.generator(1).initial_seed())

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
        with self.steps.step("reading the data as an ensemble"):
            whole = member("representations", self._data_reading())().ensemble(self.material.sample)
            state = accumulate(self._rows_of(len(whole)).monoid, whole)
            shape = whole.values.shape[1:]
            return self._split(ensemble_of(state, shape, whole.geometry))[1]

    def data_width(self) -> int:
        """Return the sites and components that the data have as an ensemble of their own; 0 where they make none."""
        if self.reading.representation.invertible:
            return 0
        if self._data_reading() == "ngrams":
            return member("representations", "ngrams")().sites
        return torch.as_tensor(self.material.sample.records[0].content).numel()

    def _data_reading(self) -> str:
        return "ngrams" if self.material.modality == "text" else "raw"

    def contents(self) -> Mapping[int, Any]:
        """Return what each sample was read from, by its id."""
        if not self.reading.representation.invertible:
            return self.material.contents
        network, sample, last = self.reading.network, self.material.sample, self.reading.layers[-1]
        longest = max(sample.records, key=lambda record: network.encoder.cost(record.content))
        inputs, _ = network.run([longest.content])
        positions = capture_as(lambda layer, activation: activation.shape[1], network, inputs, (last,))
        return PlaceContents(sample, positions[last])

    @cached_property
    def passes(self) -> dict[str, ActivationPass]:
        """The readings of the run by the name of their flow: the network, and its untrained copy; each opened once."""
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

    def stored(self, name: str, reading: ActivationPass, folder: Path) -> Pass:
        """Return the pass as it is carried out: with its activations kept in the run folder where that is asked for."""
        if not self.config.activations:
            return reading
        return KeptPass(reading, folder / "activations" / slug(name), self.config.activations)

    def states(self, name: str, reading: Pass, folder: Path) -> Path:
        """Return where the states of a pass lie: in the run folder, or where equal passes of several runs share."""
        return self.shared / pass_key(reading, self.tasks()) if self.shared else folder / "states" / slug(name)

    def depth(self, name: str, reading: ActivationPass, folder: Path, data: Ensemble | None) -> tuple[Flow, Parts]:
        """Return the flow over depth, its ensembles on the kernel sample, and both parts of the last layer."""
        tasks, rows, stored = self.tasks(), self._row_tasks(), self.stored(name, reading, folder)
        with self.steps.step(f"reading the {name}", len(self.material.sample)) as advance:
            measured = measure(
                stored,
                tasks,
                executor=self.executor(),
                store=self.states(name, stored, folder),
                generator=self.generator(1),
                progress=self.watched(advance),
            )
        numbered = tasks[: len(tasks) - len(rows)]
        with self.steps.step(f"measuring the {name}", len(numbered)) as advance:
            split = {layer: self._split(self._whole(task, measured)) for layer, task in rows.items()}
            ensembles = {layer: parts[1] for layer, parts in split.items()}
            if data is not None:
                ensembles = {DATA: data, **ensembles}
            numbers = {names[0]: found for names, found in possible(measured, numbered, advance).items()}
            update(numbers, self.ruler().similarities(ensembles))
        return depth_flow(name, ensembles, numbers), split[reading.layers[-1]]

    def _rows_of(self, count: int) -> Any:
        """The observable whose state keeps samples themselves, one a unit, the first by hash."""
        return member("observables", "gram")(limit=count)

    def _whole(self, task: Task, measured: Measured) -> Ensemble:
        state, shape = measured.state(task), self.shapes[task.names[0]]
        return ensemble_of(state, shape, self._geometry(state["first"].reshape(-1, *shape)))

    def _geometry(self, field: torch.Tensor) -> Geometry:
        return self.reading.representation.geometry(field)

    def _split(self, whole: Ensemble) -> Parts:
        """Both parts are drawn by hash, so that they are the same for every layer and for the data."""
        return whole.select(torch.arange(self.kernels, len(whole))), whole.select(torch.arange(self.kernels))

    def watched(self, advance: Progress) -> Progress:
        """Return a progress that also stops the run before it holds more memory than it may."""
        limit = size_of(self.config.memory)

        def advance_within(done: int, of: int) -> None:
            guard(limit)
            advance(done, of)

        return advance_within

    def executor(self) -> Executor:
        """Return who carries out the passes."""
        cls = member("engine", self.config.executor)
        given = {**vars(self.config), "workers": self.workers or self.config.workers}
        return cls(**{item.name: given[item.name] for item in fields(cls) if item.name in given})

    # --- explicit flows -----------------------------------------------------------------------------------------------

    def explicit(self, parts: Parts) -> tuple[Flow, Flow]:
        """Return the coarse-grained flow of the last layer, and the same with the two parts exchanged."""
        scheme = self.config.scheme
        with self.steps.step(f"coarse-graining by {scheme.name}"):
            forth, back = (
                self.ruler().levels(
                    iterate(pair, scheme, generator=self.generator(2), steps=self.config.steps or None, name=name)
                )
                for pair, name in ((parts, scheme.name), (parts[::-1], f"{scheme.name}, parts exchanged"))
            )
        return forth, back


def _shapes(reading: ActivationPass) -> dict[str, torch.Size]:
    """Return sites and components of each layer's field, from the first two records."""
    return {name: batch.values.shape[1:] for name, batch in reading.read(torch.arange(2)).items()}


def slug(name: str) -> str:
    """Return the name of a pass's folder of states."""
    return name.replace(" ", "-")


def ensemble_of(state: Mapping[str, torch.Tensor], shape: torch.Size, geometry: Geometry) -> Ensemble:
    """Return the samples that a state keeps as an ensemble, each of a shape [sites, components]."""
    values = state["first"].reshape(-1, *shape)
    return Ensemble(Batch(values, state["ids"], state["units"], state["weights"]), geometry)
