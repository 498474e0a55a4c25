"""Training run: the flow over training of a run whose network has checkpoints, measured as its flow over depth is."""

from __future__ import annotations

from collections.abc import Mapping
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
from blockspin.flows.training import Checkpoint, by_layer, checkpoints_of, joined, training_flow
from blockspin.geometry import Unordered
from blockspin.material import network_at
from blockspin.measurement import Measurement
from blockspin.registry import member
from blockspin.study import NETWORK, Study, ensemble_of, slug
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
    """

    layers: Mapping[str, Flow]
    network: Flow
    answer: Answer | None
    notes: tuple[str, ...]

    def flows(self) -> dict[str, Flow]:
        """Return all flows by the name of their file."""
        names = {f"training-{k:03d}": flow for k, flow in enumerate(self.layers.values())}
        return {**names, "training-network": self.network}


def trajectory(study: Study, folder: Path) -> Trajectory:
    """Measure every checkpoint over the same records, one after the other, and ask whether there is a transition.

    Each is a pass of its own through the engine, so that what was cut short goes on at the checkpoint where it stopped.
    Of the samples, those of the last, the previous and the present checkpoint are in memory.

    Args:
        study: The run under way; its configuration names the checkpoints.
        folder: Its folder.
    """
    checkpoints = checkpoints_of(study.config.checkpoints)
    rows = _rows(study, checkpoints, folder)
    layers = by_layer(rows)
    lazy, notes = _lazy(study, checkpoints, folder)
    network = training_flow(WHOLE, {c.step: lazy if c is checkpoints[-1] else {} for c in checkpoints})
    answer = None
    with study.steps.step("asking whether training has a transition"):
        try:
            question = member("questions", "transition")()
            answer = question.ask(joined(WHOLE, layers), controls={}, generator=study.generator(6))
        except BlockspinError as reason:
            notes = (*notes, f"Whether training has a transition was not asked: {reason}")
    return Trajectory(layers, network, answer, notes)


def _rows(study: Study, checkpoints: tuple[Checkpoint, ...], folder: Path) -> dict[int, Rows]:
    """Return {step: {layer: numbers}}."""
    end, found = _measured(study, NETWORK, study.reading, folder)  # the last checkpoint, which was read already
    targets = target_field(study.material.targets, next(iter(end.values())))
    rows, previous = {checkpoints[-1].step: found}, None
    for checkpoint in checkpoints:
        last = checkpoint is checkpoints[-1]
        if last:
            fields, found = end, rows[checkpoint.step]
        else:
            fields, found = _measured(study, checkpoint.label, _reading(study, checkpoint), folder)
        others = {PREVIOUS: previous, LAST: None if last else end, TARGET: targets}
        for key, other in others.items():
            for layer, number in _similar(study, fields, other).items():
                found[layer][key] = number
        rows[checkpoint.step], previous = found, fields
    return rows


def _measured(study: Study, name: str, reading: ActivationPass, folder: Path) -> tuple[Ensembles, Rows]:
    """Return the measured samples of every layer at a checkpoint, and its numbers."""
    flow, _ = study.depth(name, reading, folder, None)
    rows = {scale.label: dict(scale.measurements) for scale in flow}
    for row in rows.values():
        if PREVIOUS in row:  # over depth the point before is a layer
            row[LAYER] = row.pop(PREVIOUS)
    return {scale.label: scale.ensemble for scale in flow}, rows


def _reading(study: Study, checkpoint: Checkpoint) -> ActivationPass:
    recipe = replace(study.reading.recipe, source=network_at(study.config, checkpoint))
    return replace(study.reading, recipe=recipe)


def _similar(study: Study, fields: Ensembles, other: Ensembles | Ensemble | None) -> dict[str, Measurement]:
    """Return the debiased CKA of every layer with the same layer elsewhere, or with one field for all of them."""
    found = {}
    for layer, field in fields.items() if other is not None else ():
        against = other if isinstance(other, Ensemble) else other[layer]  # type: ignore[index]
        numbers = study.ruler().similarities({"other": against, layer: field})
        if PREVIOUS in numbers.get(layer, {}):
            found[layer] = numbers[layer][PREVIOUS]
    return found


def _lazy(
    study: Study, checkpoints: tuple[Checkpoint, ...], folder: Path
) -> tuple[dict[str, Measurement], tuple[str, ...]]:
    """Return the similarity of the tangent kernels at both ends, or why there is none."""
    with study.steps.step("reading gradients at the first and the last checkpoint"):
        try:
            ends = {c.label: _tangents(study, c, folder) for c in (checkpoints[0], checkpoints[-1])}
            found = study.ruler().similarities(ends)[checkpoints[-1].label]
            return {LAZY: found[PREVIOUS]}, ()
        except (BlockspinError, KeyError, RuntimeError, TypeError) as reason:  # networks that have no gradients here
            first = str(reason).strip().partition("\n")[0]
            return {}, (f"Tangent kernels were not compared: {first}.",)


def _tangents(study: Study, checkpoint: Checkpoint, folder: Path) -> Ensemble:
    """Return the sketched gradients of the first records of the sample at a checkpoint."""
    sample = study.material.sample
    kept = replace(sample, records=sample.records[:TANGENTS], ids=sample.ids[:TANGENTS], units=sample.units[:TANGENTS])
    reading = TangentPass(replace(_reading(study, checkpoint), sample=kept), Projection())
    task: Any = Task(member("observables", "gram")(limit=TANGENTS), (TANGENT,))
    store = folder / "states" / slug(f"tangents {checkpoint.label}")
    measured = measure(reading, [task], executor=study.executor(), store=store, generator=torch.Generator())
    return ensemble_of(measured.state(task), torch.Size((reading.sites, 1)), Unordered(reading.sites))
