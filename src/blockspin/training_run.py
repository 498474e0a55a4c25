"""Training run: what checkpoints are asked beside what every family is: for a transition, and for lazy training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from blockspin.answer import Answer
from blockspin.capture.tangent import TANGENT, Projection, TangentPass
from blockspin.engine.base import Task
from blockspin.engine.measure import measure
from blockspin.ensemble import Ensemble
from blockspin.errors import BlockspinError
from blockspin.family_run import PREVIOUS, WHOLE, FamilyRun, along_family
from blockspin.flow import Flow
from blockspin.geometry import Unordered
from blockspin.measurement import Measurement
from blockspin.network_study import NetworkStudy, slug
from blockspin.networks import Family
from blockspin.registry import member
from blockspin.study import ensemble_of

TANGENTS = 200
"""Most records whose gradients are read: each costs a backward pass of its own."""
LAZY = "cka/tangent_with_first"
"""Similarity of the tangent kernel at the last checkpoint with that at the first: 1 where training was lazy."""


def trajectory(
    study: NetworkStudy, family: Family, folder: Path, network: Flow
) -> tuple[FamilyRun, list[Answer], tuple[str, ...]]:
    """Measure every checkpoint over the same records, compare gradients at both ends, and look for a transition.

    Args:
        study: The run under way.
        family: The checkpoints.
        folder: The run's folder.
        network: The flow over depth of the last checkpoint, its ensembles included.

    Returns:
        The flows; whether there is a transition, nothing where there are too few checkpoints to ask; what was left out.
    """
    ends: dict[str, Ensemble | str] = {}
    final = family.kinship.label(max(family.members))

    def read_gradients(label: str, one: NetworkStudy) -> None:
        if not ends or label == final:
            ends[label] = _tangents(one, label, folder)

    found = along_family(study, family, folder, network, read_gradients)
    lazy, notes = _lazy(study, ends)
    with study.steps.step("asking whether training has a transition"):
        try:
            whole = found.kinship.joined(WHOLE, found.layers)
            question = member("questions", "transition")()
            answers = [question.ask(whole, controls={}, generator=study.generator(6))]
        except BlockspinError as reason:
            answers, notes = [], (*notes, f"Whether training has a transition was not asked: {reason}")
    return found.with_whole(final, lazy), answers, notes


def _lazy(study: NetworkStudy, ends: Mapping[str, Ensemble | str]) -> tuple[dict[str, Measurement], tuple[str, ...]]:
    """Return the similarity of the tangent kernels at both ends, or why there is none."""
    fields = {name: field for name, field in ends.items() if isinstance(field, Ensemble)}
    found = study.ruler().similarities(fields).get(list(ends)[-1], {}) if len(fields) == len(ends) else {}
    if PREVIOUS in found:
        return {LAZY: found[PREVIOUS]}, ()
    why = next((field for field in ends.values() if isinstance(field, str)), "they do not vary over the records")
    return {}, (f"Tangent kernels were not compared: {why}.",)


def _tangents(study: NetworkStudy, name: str, folder: Path) -> Ensemble | str:
    """Return the sketched gradients of the first records of the sample at a checkpoint, or why there are none."""
    gradients = TangentPass(study.reading.over(study.material.sample.first(TANGENTS)), Projection())
    task: Any = Task(member("observables", "gram")(limit=TANGENTS), (TANGENT,))
    store = folder / "states" / slug(f"tangents {name}")
    with study.steps.step(f"reading gradients at {name}"):
        try:
            measured = measure(gradients, [task], executor=study.executor(), store=store, generator=torch.Generator())
        except (BlockspinError, KeyError, RuntimeError, TypeError) as reason:  # networks that have no gradients here
            return str(reason).strip().partition("\n")[0]
    return ensemble_of(measured.state(task), torch.Size((gradients.sites, 1)), Unordered(gradients.sites))
