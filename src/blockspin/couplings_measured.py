"""Couplings measured: which effective theories suit a field of a run, and what each says of every slice of its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch

from blockspin.capture.loss import LOSS
from blockspin.config import RunConfig
from blockspin.couplings_folder import Rows
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import BlockspinError, UnknownNameError
from blockspin.flows.rescaling import unit_variance
from blockspin.geometry import Unordered
from blockspin.material import OFF
from blockspin.observables.base import Estimator, Monoid, State, accumulate
from blockspin.registry import member, members
from blockspin.running.replicas import Replicas
from blockspin.running.validity import WHOLE
from blockspin.study import Study

SUITED = ("gaussian-precision", "kernel-exponent", "effective-action")
"""Couplings of one real field that need no choice; those of them that are registered are measured by default."""
UNSIGNED = {"effective-action": {"operators": ("mass", "quartic", "product")}}
"""Options on unordered sites, whose frame are principal modes: their signs mean nothing, and would run at random."""
OBSERVED = ("participation-ratio", "cumulants")
"""Observables that are predicted like couplings, but make no assumption that could fail."""
PLAIN = (*OBSERVED, LOSS)
"""All that assumes no theory: those, and the loss of a network."""
LARGEST = 1024
"""Directions of a field whose couplings are measured: covariances of every group are held at once."""
SLICES, FEWEST = 12, 3
"""Most slices of the data, and fewest samples that each must have in every group."""
Slicing = Callable[[Study, Ensemble, torch.Tensor], dict[str, torch.Tensor]]
"""From a field and the groups of its samples to masks of the samples, by slice."""


def chosen_couplings(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the couplings that a configuration asks for; none where they are off.

    Raises:
        UnknownNameError: If one is not registered.
    """
    known = members("couplings")
    for name in config.couplings:
        if name not in known and name != OFF:
            raise UnknownNameError("coupling", name, [*known, OFF])
    if OFF in config.couplings:
        return ()
    return config.couplings or tuple(name for name in SUITED if name in known)


def measured(study: Study, names: Sequence[str], ensemble: Ensemble, slicing: Slicing) -> Rows:
    """Return what was measured at one scale, by theory and slice; the reason where there is nothing."""
    directions = ensemble.values[0].numel()
    if directions > LARGEST:
        reason = f"a field of {directions} directions is too large; coarse-grain it below {LARGEST} first"
        return {(name, WHOLE): Replicas(reason=reason) for name in names}
    try:
        field = ensemble.times(unit_variance(ensemble))
    except BlockspinError as refusal:
        return {(name, WHOLE): Replicas(reason=str(refusal)) for name in names}
    group = group_of(field.units, study.config.groups, chain=field.chain)
    estimators = {name: suited(name, field) for name in names}
    observed = {name: member("observables", name)() for name in OBSERVED}
    found = {}
    for part, mask in slicing(study, field, group).items():
        states = _States(field, group, mask, study.config.groups)
        for name, estimator in (estimators if part != WHOLE else {**estimators, **observed}).items():
            found[name, part] = states.replicas(estimator)
    return found


def suited(name: str, field: Ensemble) -> Estimator | str:
    """Return a coupling suited to a field, or why there is none.

    A theory that says how it is made for a field (``on``) is asked; one that takes a geometry gets the field's, where
    sites have distances; others are made as they are.
    """
    cls = member("couplings", name)
    takes, on = {item.name for item in fields(cls)}, getattr(cls, "on", None)
    try:
        if on is not None:
            unordered = isinstance(field.geometry, Unordered)
            return on(field, **(UNSIGNED.get(name, {}) if unordered else {}))
    except BlockspinError as reason:
        return str(reason)
    try:
        if "geometry" in takes and field.values.shape[2] == 1:
            r = field.geometry.distances()
            if bool((r[~torch.eye(len(r), dtype=torch.bool)].isfinite()).any()):
                return cls(geometry=field.geometry)
    except BlockspinError:
        pass  # sites have no distance
    try:
        return cls()
    except (BlockspinError, TypeError) as reason:
        return f"{name} needs options of its own ({reason})"


@dataclass(frozen=True, eq=False)
class _States:
    """States of every group on a part of the samples; estimators that add up the same share them."""

    ensemble: Ensemble
    group: torch.Tensor
    mask: torch.Tensor
    count: int
    known: dict[Monoid, list[State]] = field(default_factory=dict)

    def replicas(self, estimator: Estimator | str) -> Replicas:
        if isinstance(estimator, str):
            return Replicas(reason=estimator)
        monoid = estimator.monoid
        if monoid.inputs != 1:
            return Replicas(reason=f"{estimator.name} reads pairs of fields")
        parts = [(self.mask & (self.group == g)).nonzero().flatten() for g in range(self.count)]
        if min(map(len, parts)) < 1:
            return Replicas(reason=f"a group of the {self.count} holds no sample")
        try:
            if monoid not in self.known:
                self.known[monoid] = [accumulate(monoid, self.ensemble.select(part)) for part in parts]
            return Replicas.of(estimator, self.known[monoid])
        except (BlockspinError, RuntimeError, ValueError) as reason:  # the run goes on without this coupling
            return Replicas(reason=str(reason).strip().partition("\n")[0])


def whole(study: Study, field: Ensemble, group: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return one mask, of all samples."""
    return {WHOLE: torch.ones(len(field), dtype=torch.bool)}


def slices(study: Study, field: Ensemble, group: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return masks of the samples: all, and one for each value of the targets where there are a few.

    Slices by what the field looks like would be no test: a part that is cut out by its values has another law.
    """
    masks = whole(study, field, group)
    targets = study.material.targets
    values = [_named(targets.get(int(key), "")) for key in field.ids]
    kinds = sorted(set(values)) if targets else []
    if not 1 < len(kinds) <= SLICES:
        return masks
    for kind in kinds:
        mask = torch.tensor([value == kind for value in values])
        counts = torch.bincount(group[mask], minlength=study.config.groups)
        if int(counts.min()) >= FEWEST:
            masks[f"target {kind}"] = mask
    return masks


def _named(target: Any) -> str:
    """Return a target as a word; a whole number, whatever type and shape it has, as such."""
    value = target.item() if isinstance(target, np.ndarray) and target.size == 1 else target
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
