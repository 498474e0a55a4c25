"""Training run: the flow over training of a run whose network has checkpoints, measured as its flow over depth is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from blockspin.answer import Answer
from blockspin.capture.reading import ActivationPass
from blockspin.capture.tangent import TANGENT, Projection, TangentPass
from blockspin.engine.base import Task
from blockspin.engine.measure import measure
from blockspin.ensemble import Ensemble
from blockspin.errors import BlockspinError
from blockspin.flow import Flow
from blockspin.flows.training import by_layer, joined, training_flow
from blockspin.geometry import Unordered
from blockspin.measurement import Measurement
from blockspin.registry import member
from blockspin.sources.base import ModuleSource
from blockspin.study import DATA, Study, ensemble_of, slug
from blockspin.targets import target_field

TANGENTS = 200
"""Most records whose gradients are read: each costs a backward pass of its own."""
PREVIOUS, LAST, TARGET, LAYER = "cka/similarity", "cka/with_last", "cka/with_target", "cka/with_layer_before"
LAZY = "cka/tangent_with_first"
"""Similarity of the tangent kernel at the last checkpoint with that at the first: 1 where training was lazy."""
WHOLE = "network as a whole"
Ensembles = Mapping[str, Ensemble]
Rows = dict[str, dict[str, Measurement]]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What was measured along a training.

    Args:
        layers: The flow of every layer.
        network: That of the network as a whole.
        answer: Whether there is a transition, or None where there are too few checkpoints to ask.
        notes: What was left out, and why.
        curves: What the training itself measured on its way, by name and step, where the run saw it.
    """

    layers: Mapping[str, Flow]
    network: Flow
    answer: Answer | None
    notes: tuple[str, ...]
    curves: Mapping[str, Mapping[int, float]]

    def flows(self) -> dict[str, Flow]:
        """Return all flows by the name of their file."""
        names = {f"training-{k:03d}": flow for k, flow in enumerate(self.layers.values())}
        return {**names, "training-network": self.network}


def passes(study: Study) -> Iterator[tuple[str, ActivationPass]]:
    """Yield all passes of a run that read activations, by name: of checkpoints one at a time is open.

    The last checkpoint is the network itself.
    """
    yield from study.passes.items()
    for step, source in list(study.material.checkpoints.items())[:-1]:
        yield label(step), _reading(study, source)


def label(step: int) -> str:
    """Return the name of a checkpoint, for a person and for the folder of its states."""
    return f"step {step}"


def trajectory(study: Study, folder: Path, network: Flow) -> Trajectory:
    """Measure every checkpoint over the same records, one after the other, and ask whether there is a transition.

    Each is a pass of its own through the engine, so that what was cut short goes on at the checkpoint where it stopped.
    Of the samples, those of the last, the previous and the present checkpoint are in memory.

    Args:
        study: The run under way; its material has the checkpoints.
        folder: Its folder.
        network: The flow over depth of the last checkpoint, its ensembles included.
    """
    rows, ends = _rows(study, folder, network)
    layers = by_layer(rows)
    lazy, notes = _lazy(study, ends)
    last = max(rows)
    whole = training_flow(WHOLE, {step: lazy if step == last else {} for step in rows})
    answer = None
    with study.steps.step("asking whether training has a transition"):
        try:
            question = member("questions", "transition")()
            answer = question.ask(joined(WHOLE, layers), controls={}, generator=study.generator(6))
        except BlockspinError as reason:
            notes = (*notes, f"Whether training has a transition was not asked: {reason}")
    trained = study.material.trained
    return Trajectory(layers, whole, answer, notes, trained.curves if trained else {})


def _rows(study: Study, folder: Path, network: Flow) -> tuple[dict[int, Rows], dict[str, Ensemble | str]]:
    """Return {step: {layer: numbers}}, and the gradients at both ends by the name of the checkpoint."""
    end = Flow(network.name, network.axis, tuple(scale for scale in network if scale.label != DATA))
    targets = target_field(study.material.targets, end[0].ensemble)
    rows: dict[int, Rows] = {}
    ends: dict[str, Ensemble | str] = {}
    previous: Ensembles | None = None
    sources = study.material.checkpoints
    for step, source in sources.items():
        last = step == max(sources)
        reading = study.reading if last else _reading(study, source)
        flow = end if last else study.depth(label(step), reading, folder, None)[0]
        fields = _fields(flow)
        rows[step] = _numbers(flow)
        others: dict[str, Ensembles | Ensemble | None] = {PREVIOUS: previous, TARGET: targets}
        others[LAST] = None if last else _fields(end)
        for key, other in others.items():
            for layer, number in _similar(study, fields, other).items():
                rows[step][layer][key] = number
        previous = fields
        if last or not ends:
            ends[label(step)] = _tangents(study, label(step), reading, folder)
    return rows, ends


def _fields(flow: Flow) -> Ensembles:
    return {scale.label: scale.ensemble for scale in flow}


def _numbers(flow: Flow) -> Rows:
    """Return the numbers of every layer; over depth the point before is a layer, and of the first layer none is."""
    rows = {scale.label: dict(scale.measurements) for scale in flow}
    for place, row in enumerate(rows.values()):
        before = row.pop(PREVIOUS, None)
        if before is not None and place:
            row[LAYER] = before
    return rows


def _reading(study: Study, source: ModuleSource) -> ActivationPass:
    return replace(study.reading, recipe=replace(study.reading.recipe, source=source))


def _similar(study: Study, fields: Ensembles, other: Ensembles | Ensemble | None) -> dict[str, Measurement]:
    """Return the debiased CKA of every layer with the same layer elsewhere, or with one field for all of them."""
    found = {}
    for layer, field in fields.items() if other is not None else ():
        against = other if isinstance(other, Ensemble) else other[layer]  # type: ignore[index]
        numbers = study.ruler().similarities({"other": against, layer: field})
        if PREVIOUS in numbers.get(layer, {}):
            found[layer] = numbers[layer][PREVIOUS]
    return found


def _lazy(study: Study, ends: Mapping[str, Ensemble | str]) -> tuple[dict[str, Measurement], tuple[str, ...]]:
    """Return the similarity of the tangent kernels at both ends, or why there is none."""
    fields = {name: field for name, field in ends.items() if isinstance(field, Ensemble)}
    found = study.ruler().similarities(fields).get(list(ends)[-1], {}) if len(fields) == len(ends) else {}
    if PREVIOUS in found:
        return {LAZY: found[PREVIOUS]}, ()
    why = next((field for field in ends.values() if isinstance(field, str)), "they do not vary over the records")
    return {}, (f"Tangent kernels were not compared: {why}.",)


def _tangents(study: Study, name: str, reading: ActivationPass, folder: Path) -> Ensemble | str:
    """Return the sketched gradients of the first records of the sample at a checkpoint, or why there are none."""
    sample = study.material.sample
    kept = replace(sample, records=sample.records[:TANGENTS], ids=sample.ids[:TANGENTS], units=sample.units[:TANGENTS])
    gradients = TangentPass(reading.over(kept), Projection())
    task: Any = Task(member("observables", "gram")(limit=TANGENTS), (TANGENT,))
    store = folder / "states" / slug(f"tangents {name}")
    with study.steps.step(f"reading gradients at {name}"):
        try:
            measured = measure(gradients, [task], executor=study.executor(), store=store, generator=torch.Generator())
        except (BlockspinError, KeyError, RuntimeError, TypeError) as reason:  # networks that have no gradients here
            return str(reason).strip().partition("\n")[0]
    return ensemble_of(measured.state(task), torch.Size((gradients.sites, 1)), Unordered(gradients.sites))
