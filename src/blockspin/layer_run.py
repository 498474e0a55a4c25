"""Layer run: a network's linear maps as random layers, and what theory makes of the kernel from each to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import torch

from blockspin.answer import Answer
from blockspin.capture.linear_maps import LinearMap, linear_maps
from blockspin.capture.reading import ActivationPass
from blockspin.couplings._gaussian_kernel import ACTIVATIONS
from blockspin.couplings._moments import units_as_samples
from blockspin.couplings_folder import Rows
from blockspin.couplings_measured import chosen_couplings
from blockspin.errors import BlockspinError
from blockspin.flow import Flow, Scale
from blockspin.flows.depth import AXIS
from blockspin.layer_theory import OneStep, fixed_point, jackknifed, one_step
from blockspin.measurement import Measurement
from blockspin.network_study import UNTRAINED, NetworkStudy
from blockspin.observables.base import accumulate
from blockspin.registry import member
from blockspin.running.replicas import Replicas
from blockspin.running.validity import WHOLE

NAME = "random-layer"
MOST, SHARE, FEWEST = 24, 4, 3
"""Most inputs; features and units that each of them needs; fewest inputs that tell weights from biases, with a test."""


@dataclass(frozen=True, eq=False)
class LayerRun:
    """What was found of the linear maps of a network.

    Args:
        rows: The coupling at each captured layer, by label, like other couplings.
        measured: Variances and kernels at each map, and by what differences grow; None where nothing was found.
        theory: What the weights themselves say of the same variances, and infinite width of the same kernels.
        fixed: Where equal layers would come to; None where they are not equal.
        notes: What was left out, and why.
    """

    rows: Mapping[str, Rows] = field(default_factory=dict)
    measured: Flow | None = None
    theory: Flow | None = None
    fixed: Flow | None = None
    notes: tuple[str, ...] = ()


def read_layers(study: NetworkStudy, name: str, reading: ActivationPass) -> LayerRun:
    """Fit a random layer to every linear map of a network, over a few records, and compare kernels with the theory.

    The same few records for every network of a run. Where the network is no chain of linear maps and activations this
    is said, and what then means nothing is left out.

    Args:
        study: The run under way.
        name: What the network is, for a person.
        reading: How it is read.
    """
    if NAME not in chosen_couplings(study.config):
        return LayerRun()
    records = {record.key: record.content for record in study.material.sample.records[: 4 * MOST]}
    with study.steps.step(f"fitting the layers of the {name}"):
        try:
            maps = linear_maps(reading.network, list(records.values())[:MOST], reading.layers)
        except (BlockspinError, KeyError, RuntimeError, TypeError) as reason:  # networks of other inputs
            why = str(reason).strip().partition("\n")[0]
            asked = any(text.partition(":")[0] == NAME for text in study.config.couplings)
            rows = {label: {(NAME, WHOLE): Replicas(reason=why)} for label in reading.layers} if asked else {}
            return LayerRun(rows, notes=(f"Layers of the {name} were not read as random ones: {why}",))
        return layers_of_maps(name, maps, study.config.groups)


def ask_of_layers(generator: torch.Generator, network: LayerRun, untrained: LayerRun) -> list[Answer]:
    """Ask whether theory holds from layer to layer, and whether the network is ordered or chaotic.

    Args:
        generator: Nothing is drawn.
        network: What was found of the network.
        untrained: The same of the untrained copy.
    """
    answers = _asked("theory-holds", network, network.theory, {}, generator)
    beside = _asked("theory-holds", untrained, untrained.theory, {}, generator)
    named = {f"{UNTRAINED}: {name}": m for other in beside for name, m in other.numbers.items()}
    answers = [replace(answer, controls=named) for answer in answers]  # held against a theory of its own
    controls = {UNTRAINED: untrained.measured} if untrained.measured is not None else {}
    return answers + _asked("order-or-chaos", network, network.fixed, controls, generator)


def _asked(
    name: str, layers: LayerRun, theory: Flow | None, controls: Mapping[str, Flow], generator: torch.Generator
) -> list[Answer]:
    """Return the answer to a question; none where no layer has such numbers, of which the notes say why."""
    if layers.measured is None:
        return []
    try:
        return [member("questions", name)().ask(layers.measured, theory, controls=controls, generator=generator)]
    except BlockspinError:
        return []


def layers_of_maps(name: str, maps: Sequence[LinearMap], groups: int) -> LayerRun:
    """Fit a random layer to each linear map, and compare kernels with the theory from each to the next.

    Args:
        name: What the network is, for a person.
        maps: In the order in which they run.
        groups: Groups of units for errors.
    """
    maps = [_narrowed(linear) for linear in maps]
    fits = {linear.name: fitted(linear, groups) for linear in maps}
    steps: list[OneStep] = []
    notes = [f"Of the {name}, {key}: {fit.reason}." for key, fit in fits.items() if fit.reason and not fit.values]
    for before, after in pairwise(maps):
        activation = after.follows(before.first(len(after.features)), ACTIVATIONS)
        if not activation:
            known = ", ".join(sorted(ACTIVATIONS))
            notes.append(
                f"How kernels go through the {name} was not compared at {after.name}: what enters it is none of "
                f"{known} of what leaves {before.name}, as behind a skip connection, a norm or another activation."
            )
        elif not fits[after.name].values or not fits[before.name].values:
            continue
        else:
            steps.append(one_step(before.first(len(after.features)), after, activation, fits[after.name], groups))
    fixed, why = fixed_point(steps, fits)
    notes += [f"Of the {name}: {why}"] if why else []
    measured, theory = _flows(name, maps, fits, steps)
    return LayerRun(_by_label(maps, fits), measured, theory, fixed, tuple(notes))


def _narrowed(linear: LinearMap) -> LinearMap:
    """Return a map over as many inputs as its width allows."""
    return linear.first(min(MOST, linear.features.shape[1] // SHARE, linear.fields.shape[1] // SHARE))


def fitted(linear: LinearMap, groups: int) -> Replicas:
    """Return the coupling of a map over the groups of its units; or why there is none."""
    (inputs, features), units = linear.features.shape, linear.fields.shape[1]
    if inputs < FEWEST or units < groups:
        needed = f"{FEWEST * SHARE} of both, {groups} units for as many groups, and {FEWEST} different records"
        return Replicas(reason=f"{units} units fed by {features} features are too few; there must be {needed}")
    coupling = member("couplings", NAME)(linear.features @ linear.features.T / features)
    samples = units_as_samples(linear.fields)
    states = [accumulate(coupling.monoid, samples.select(torch.arange(g, units, groups))) for g in range(groups)]
    return Replicas.of(coupling, states)


def _by_label(maps: Sequence[LinearMap], fits: Mapping[str, Replicas]) -> dict[str, Rows]:
    """Return the coupling at the first captured layer behind each map; none where several maps lie between two."""
    found: dict[str, Rows] = {}
    for label in dict.fromkeys(linear.at for linear in maps if linear.at):
        own = [linear.name for linear in maps if linear.at == label]
        several = Replicas(reason=f"{len(own)} linear maps since the layer before; read the layer behind each of them")
        found[label] = {(NAME, WHOLE): fits[own[0]] if len(own) == 1 else several}
    return found


def _flows(
    name: str, maps: Sequence[LinearMap], fits: Mapping[str, Replicas], steps: Sequence[OneStep]
) -> tuple[Flow | None, Flow | None]:
    """Return what was measured at each map, and what theory says."""
    known, grown = {step.name: step for step in steps}, list[np.ndarray]()
    measured, theory = [], []
    for position, linear in enumerate(maps):
        fit = fits[linear.name]
        if not fit.values:
            continue
        own = own_variances(linear)
        rows = {f"{NAME}/{key}": fit.measurement(key) for key in fit.values}
        said = {
            f"{NAME}/{key}": Measurement(own[key], 0.0, fit.units[key], how="the weights themselves") for key in own
        }
        if step := known.get(linear.name):
            grown.append(np.log(step.chi))
            rows |= step.measured() | {"propagation/growth": jackknifed(np.mean(grown, axis=0))}
            said |= step.theory()
        measured.append(Scale(float(position), linear.name, measurements=rows))
        theory.append(Scale(float(position), linear.name, measurements=said))
    if not measured:
        return None, None
    said_by = "the weights themselves and infinite width"
    return Flow(f"layers of the {name}", AXIS, tuple(measured)), Flow(said_by, AXIS, tuple(theory))


def own_variances(linear: LinearMap) -> dict[str, float]:
    """Return mean squares of weights, times the fan-in, and of biases."""
    features = linear.weight.shape[1]
    return {
        "weight_variance": float(linear.weight.square().mean()) * features,
        "bias_variance": float(linear.bias.square().mean()),
    }
