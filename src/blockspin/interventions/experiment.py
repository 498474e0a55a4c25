"""Experiment: choose features on half of the units, see how they couple, shift them, and compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from blockspin.capture.reading import ActivationPass
from blockspin.engine.base import Executor, Pass, Task
from blockspin.engine.measure import Measured, Progress, measure
from blockspin.ensemble import group_of
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.interventions.features import Features, parents
from blockspin.interventions.graph import CouplingGraph, FeatureCouplings, coupling_graph
from blockspin.interventions.plan import Plan
from blockspin.interventions.responses import Groups, Response, locality, response, spread
from blockspin.interventions.shifts import Hop, Mean, Observation, Shifting, elsewhere
from blockspin.observables.covariance import estimated

Maker = Callable[[str, Tensor], Features]
"""From a layer and the covariance [d, d] of its activation to the features that are read and shifted there."""
Step = Callable[[str], AbstractContextManager[Progress]]
"""Shows a step of the work while it lasts, as ``Steps.step`` does: is told what is done, and of how much."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """What came of one network.

    Args:
        graph: The couplings of the features, at every place and from each to the next.
        responses: Predicted and measured, one a hop.
        elsewhere: By hop, the square of what shifts at other positions add to an answer, over that of the whole answer.
        how: What the network is: "trained", "drawn from the model's own config".
    """

    graph: CouplingGraph
    responses: tuple[Response, ...]
    elsewhere: tuple[float, ...]
    how: str


def silent(name: str) -> AbstractContextManager[Progress]:
    """Show nothing."""
    return nullcontext(lambda done, of: None)


def experiment(
    reading: ActivationPass,
    make: Maker,
    plan: Plan,
    *,
    executor: Executor,
    generator: torch.Generator,
    step: Step = silent,
) -> Experiment:
    """Return the couplings of features at the layers of a reading, and the answers of each layer's to shifts before it.

    Half of the groups of units choose features, their units and the edges of the graph; the other half measures. Memory
    does not grow with the data; time is that of 3 k + 6 passes over half of the data for each of the layers but the
    last, k features at each.

    Args:
        reading: The network, the records, the layers in the order in which the network runs them, and how their
            activations are read as samples.
        make: The features of each layer.
        plan: What is done with them.
        executor: Who carries out the passes.
        generator: Randomness of the random directions.
        step: Shows the work.

    Raises:
        ConfigError: If there are fewer than two layers, or a shift at one would not reach what runs beside it.
        TooFewSamplesError: If there are fewer than four groups of units, or one of them is empty.
        ShapeError: If features do not fit their layer.
    """
    check_layers(reading)
    half = _choosing(reading)
    with step("choosing features"):
        hops = _chosen(reading.over(reading.sample.where(half), 1), make, plan, executor, generator=generator)
    with step("reading them") as advance:
        seen = _measured(Observation(reading, hops), {hop.name: _couplings(hop) for hop in hops}, executor, advance)
    choosing = {hop.name: seen[hop.name][::2] for hop in hops}
    measuring = {hop.name: seen[hop.name][1::2] for hop in hops}
    hops = tuple(_in_units(hop, spread(choosing[hop.name], hop)) for hop in hops)
    with step("shifting them") as advance:
        one = Shifting(reading.over(reading.sample.where(~half)), hops, plan.delta)
        fields = {name: Mean() for hop in hops for name in (hop.name, elsewhere(hop))}
        shifted = _measured(one, fields, executor, advance)
    with step("comparing"):
        found = tuple(
            response(hop, Groups(choosing[hop.name], measuring[hop.name], shifted[hop.name][1::2]), plan.delta)
            for hop in hops
        )
        others = tuple(locality(shifted[elsewhere(hop)][1::2]) for hop in hops)
        graph = coupling_graph(hops, choosing, measuring, plan.level)
    return Experiment(graph, found, others, reading.network.how)


def _choosing(reading: ActivationPass) -> Tensor:
    """Return which records choose, bool [records]: those of every other group."""
    group = group_of(reading.sample.units, reading.groups)
    empty = reading.groups - len(torch.unique(group))
    if reading.groups < 4 or empty:
        raise TooFewSamplesError(
            f"{len(group)} records in {reading.groups} groups, {empty} of them empty, make no two halves with errors",
            "Give more records, or fewer groups: 4 or more.",
        )
    return group % 2 == 0


def check_layers(reading: ActivationPass) -> None:
    """Refuse layers between which nothing can be shifted.

    Raises:
        ConfigError: If there are fewer than two, or one but the last is what enters a norm or branch beside which the
            stream runs on unchanged.
    """
    layers = reading.layers
    if len(layers) < 2:
        raise ConfigError("layers", list(layers), "two or more: features are shifted at one and answer at the next.")
    bad = [layer for layer in layers[:-1] if beside_stream(reading, layer)]
    if bad:
        accepted = "outputs of modules, inputs of whole blocks, heads or neurons: the stream passes by what is shifted"
        raise ConfigError("layers", bad, f"{accepted} before a norm, and would not be shifted.")


def beside_stream(reading: ActivationPass, layer: str) -> bool:
    """Return whether a layer is the stream as it enters a norm, which a shift there would not change for the others."""
    places = reading.network.places
    place = places.place(layer)
    middles = {found for name, found in places.short.items() if name.endswith(".resid_mid")}
    return place.input and place in middles


def _chosen(
    reading: ActivationPass, make: Maker, plan: Plan, executor: Executor, *, generator: torch.Generator
) -> tuple[Hop, ...]:
    """Return the hops between neighbouring layers, with features made of what the choosing half shows."""
    task_of = {layer: Task(FeatureCouplings(0, 0), (layer,)) for layer in reading.layers}
    found = measure(reading, list(task_of.values()), executor=executor, store=None, generator=torch.Generator())
    C = {layer: estimated(found.state(task)) for layer, task in task_of.items()}
    features = {layer: make(layer, C[layer]) for layer in reading.layers}
    for layer, one in features.items():
        one.require_width(len(C[layer]), layer)
    hops = []
    for source, target in zip(reading.layers, reading.layers[1:], strict=False):
        given = features[source]
        random = _random_beside(given.write, generator)
        basis = parents(C[source], given, plan.parents)
        hops.append(Hop(source, target, given, features[target], basis, random, torch.ones(len(given))))
    return tuple(hops)


def _random_beside(write: Tensor, generator: torch.Generator) -> Tensor:
    """Return random directions [k, d], at right angles to all features' shifts where there is room for it."""
    random = torch.randn(write.shape, generator=generator, dtype=torch.float64)
    beside = random - random @ torch.linalg.pinv(write) @ write
    return beside if write.shape[1] > len(write) else random


def _in_units(hop: Hop, deviation: Tensor) -> Hop:
    """Return a hop whose shifts are in units of standard deviations, its random directions of the same norms."""
    norm = deviation * hop.given.write.norm(dim=1)
    return replace(hop, spread=deviation, random=hop.random * (norm / hop.random.norm(dim=1))[:, None])


def _couplings(hop: Hop) -> FeatureCouplings:
    return FeatureCouplings(len(hop.given), len(hop.answering))


def _measured(one: Pass, fields: dict[str, Any], executor: Executor, advance: Progress) -> dict[str, Sequence[Any]]:
    """Return the states of the groups of every field, in order."""
    tasks = {name: Task(estimator, (name,)) for name, estimator in fields.items()}
    found: Measured = measure(
        one, list(tasks.values()), executor=executor, store=None, generator=torch.Generator(), progress=advance
    )
    return {name: list(found.group_states(task)) for name, task in tasks.items()}
