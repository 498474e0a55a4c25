"""Loss run: how well a run's network does what it is for, over the records that are measured, with its error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from blockspin.capture.loss import LOSS, ClassLoss, Loss, LossPass, NextTokenLoss, SquaredLoss
from blockspin.engine.base import Task
from blockspin.engine.errorbars import leave_one_out, merged
from blockspin.engine.measure import measure
from blockspin.errors import BlockspinError, ConfigError
from blockspin.network_study import NetworkStudy, slug
from blockspin.registry import member
from blockspin.running.replicas import Replicas
from blockspin.sources.base import Sample

MEAN = "mean"
NO_TARGETS = "the run was given no targets: --targets FIELD, or next-token where outputs are logits of the next token"


def loss_of(study: NetworkStudy, name: str, folder: Path) -> Replicas:
    """Return the mean loss of a study's network with what it is when each group is left out; or why there is none.

    Of the sample as many records are read as kernels are made of: a forward pass each.

    Args:
        study: The run under way, of this network.
        name: Of the network, for a person and for the folder of its states.
        folder: The run's folder.
    """
    kept = study.material.sample.first(study.kernels)
    try:
        loss = _loss(study, kept)
    except BlockspinError as reason:
        return Replicas(reason=str(reason))
    if loss is None:
        return Replicas(reason=NO_TARGETS)
    reading, monoid = LossPass(study.reading.over(kept), loss), member("observables", "covariance")()
    task: Any = Task(monoid, (LOSS,))
    store = folder / "states" / slug(f"loss {name}")
    with study.steps.step(f"reading the loss of the {name}"):
        try:
            found = measure(reading, [task], executor=study.executor(), store=store, generator=torch.Generator())
        except (
            BlockspinError,
            KeyError,
            RuntimeError,
            TypeError,
        ) as reason:  # a network whose outputs are no such thing
            return Replicas(reason=str(reason).strip().partition("\n")[0])
    states = list(found.group_states(task))
    if not all(states):
        return Replicas(reason=f"a group of the {len(states)} holds no record; give more, or fewer groups")
    rest = [float(state["mean"]) for state in leave_one_out(monoid.monoid, states)]
    return Replicas({MEAN: float(merged(monoid.monoid, states)["mean"])}, {MEAN: rest}, {MEAN: loss.unit})


def has_loss(study: NetworkStudy) -> bool:
    """Return whether there is anything that outputs are held against."""
    return study.material.next_token or bool(study.material.targets)


def _loss(study: NetworkStudy, sample: Sample) -> Loss | None:
    """Return what the network's outputs are held against; None where nothing is known of it.

    Raises:
        ConfigError: If the targets are names, which say nothing of the outputs' order.
    """
    if study.material.next_token:
        return NextTokenLoss()
    if not study.material.targets:
        return None
    targets = study.material.targets
    if any(isinstance(value, str) for value in targets.values()):
        raise ConfigError("targets", "names", "numbers: names do not say which output is theirs.")
    every = {key: np.asarray(value, dtype=float).reshape(-1) for key, value in targets.items()}
    numbers = np.stack([every[key] for key in sample.ids.tolist()])
    classes = _classes(list(every.values()))
    if not classes:
        return SquaredLoss(torch.from_numpy(numbers))
    return ClassLoss(torch.from_numpy(numbers[:, 0]).to(torch.int64), classes)


def _classes(targets: list[np.ndarray]) -> int:
    """Return how many classes targets number, from 0 on; 0 where they are other numbers."""
    values = np.unique(np.concatenate(targets))
    alone = all(len(target) == 1 for target in targets)
    numbered = alone and len(values) > 1 and bool((values >= 0).all() and (values == values.round()).all())
    return int(values[-1]) + 1 if numbered else 0
