"""Network study: a run that reads a network: its flow over depth, and that of its untrained copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from blockspin.capture.hooks import capture_as
from blockspin.capture.reading import ActivationPass, Estimate
from blockspin.capture.recipe import NetworkRecipe
from blockspin.config import RunConfig
from blockspin.contents import PlaceContents
from blockspin.couplings_cost import Sequel, couplings_cost
from blockspin.engine.base import Executor, Pass, Task
from blockspin.engine.kept import KeptPass
from blockspin.engine.measure import Measured, Progress, measure, pass_key
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError
from blockspin.flow import Flow
from blockspin.flows.depth import depth_flow
from blockspin.material import Material, reading_of
from blockspin.memory import guard, size_of
from blockspin.progress import Steps
from blockspin.registry import member
from blockspin.representations.base import Representation
from blockspin.ruler import SINGLE, possible, update
from blockspin.sources.base import Sample
from blockspin.study import DATA, Field, Parts, Study, ensemble_of, measured_of, rows_of

NETWORK, UNTRAINED = "network", "untrained network"


@dataclass(frozen=True, eq=False)
class NetworkStudy(Study):
    """A run that reads a network.

    Args:
        config: What to do.
        material: The network and the records.
        kernels: Samples that are measured; schemes are fitted on the others.
        steps: The clock.
        reading: How the network is read.
        shapes: Sites and components of each layer's field.
        shared: Folder of states that equal passes of several runs share, or None.
        workers: Worker processes that fit into the memory given; 0 for as many as the configuration says.
        coarse: The last layer's field after one step of the scheme on noise; None where that finds nothing there.
    """

    reading: ActivationPass
    shapes: Mapping[str, torch.Size]
    shared: Path | None = None
    workers: int = 0
    coarse: Field | None = None

    @classmethod
    def prepare(cls, config: RunConfig, material: Material, steps: Steps) -> tuple[NetworkStudy, Estimate]:
        """Open the network, find out what the run will cost, refuse what cannot work; nothing is written yet.

        Raises:
            ConfigError: If there are too few records.
            UnknownLayerError: If a layer does not exist.
            StepNotPossibleError: If the scheme cannot coarse-grain the last layer even once.
        """
        if material.recipe is None:
            raise ConfigError("model", config.model, "a network: data alone have no passes that could be divided.")
        kernels = measured_of(config, material.sample)
        reading = activations_of(config, material.recipe, material.sample)
        with steps.step("opening the network"):
            reading = reading.with_layers(config.layers)
            study = cls(config, material, kernels, steps, reading, _shapes(reading))
            cost = reading.estimate(study.tasks())
        shape = study.shapes[reading.layers[-1]]
        geometry = reading.geometry(reading.layers[-1], torch.zeros(1, *shape))
        return replace(study, coarse=study.try_scheme(shape, geometry)), cost

    def couplings_cost(self) -> Sequel:
        """Return how long couplings along the flows of the run, and what follows from them, will take."""
        geometry, shapes = self.reading.geometry, self.shapes.items()
        fields = [(shape, geometry(layer, torch.zeros(1, *shape))) for layer, shape in shapes]
        family = self.material.family
        return couplings_cost(self, fields, fields[-1], self.coarse, len(family.members) if family else 0)

    def beside(self, recipe: NetworkRecipe) -> NetworkStudy:
        """Return the study of another network of the family: the same records, read alike."""
        reading = replace(self.reading, recipe=recipe).with_layers(self.config.layers)
        return replace(self, reading=reading, shapes=_shapes(reading))

    # --- implicit flows -----------------------------------------------------------------------------------------------

    def data(self) -> Ensemble | None:
        """Return the measured part of the data as an ensemble of their own, not read through the network.

        None where a sample is not a record (tokens, windows).
        """
        if self.reading.representation.invertible:
            return None
        with self.steps.step("reading the data as an ensemble"):
            return self.records(reading_of(self.material.modality))[1]

    def data_width(self) -> int:
        """Return the sites and components that the data have as an ensemble of their own; 0 where they make none."""
        if self.reading.representation.invertible:
            return 0
        return reading_of(self.material.modality).width(self.material.sample.records[0])

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
        return {layer: Task(rows_of(count), (layer,)) for layer, count in counts.items()}

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
            split = {layer: self.split(self._whole(task, measured)) for layer, task in rows.items()}
            ensembles = {layer: parts[1] for layer, parts in split.items()}
            if data is not None:
                ensembles = {DATA: data, **ensembles}
            numbers = {names[0]: found for names, found in possible(measured, numbered, advance).items()}
            update(numbers, self.ruler().similarities(ensembles))
        return depth_flow(name, ensembles, numbers), split[reading.layers[-1]]

    def _whole(self, task: Task, measured: Measured) -> Ensemble:
        (layer,) = task.names
        state, shape = measured.state(task), self.shapes[layer]
        return ensemble_of(state, shape, self.reading.geometry(layer, state["first"].reshape(-1, *shape)))

    def watched(self, advance: Progress) -> Progress:
        """Return a progress that also stops the run before it holds more memory than it may."""
        limit = size_of(self.config.memory)

        def advance_within(done: int, of: int) -> None:
            guard(limit)
            advance(done, of)

        return advance_within

    def executor(self) -> Executor:
        """Return who carries out the passes."""
        return executor_of(self.config, self.workers)


def activations_of(config: RunConfig, recipe: NetworkRecipe, sample: Sample) -> ActivationPass:
    """Return how a configuration reads a network; its layers are to be chosen.

    Raises:
        ConfigError: If the representation reads no activations.
    """
    if not isinstance(config.representation, Representation):
        raise ConfigError("representation", config.representation.name, "one that reads activations, as pooled.")
    return ActivationPass(
        recipe, sample, (), config.representation, config.batch_size, config.shard_size, config.groups
    )


def executor_of(config: RunConfig, workers: int = 0) -> Executor:
    """Return who carries out the passes of a configuration; with so many workers, where that is not 0."""
    cls = member("engine", config.executor)
    given = {**vars(config), "workers": workers or config.workers}
    return cls(**{item.name: given[item.name] for item in fields(cls) if item.name in given})


def _shapes(reading: ActivationPass) -> dict[str, torch.Size]:
    """Return sites and components of each layer's field, from the first two records."""
    return {name: batch.values.shape[1:] for name, batch in reading.read(torch.arange(2)).items()}


def slug(name: str) -> str:
    """Return the name of a pass's folder of states."""
    return name.replace(" ", "-")
