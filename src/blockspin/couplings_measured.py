"""Couplings measured: which effective theories suit a field of a run, and what each says of every slice of its data."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from inspect import signature
from typing import Any

import torch

from blockspin.capture.loss import LOSS
from blockspin.config import RunConfig
from blockspin.couplings_folder import Rows
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import BlockspinError, ConfigError, UnknownNameError, nearest
from blockspin.flows.rescaling import unit_variance
from blockspin.geometry import Geometry, Unordered
from blockspin.material import OFF
from blockspin.observables.base import Estimator, Monoid, State, accumulate
from blockspin.registry import member, members
from blockspin.running.replicas import Replicas
from blockspin.running.validity import WHOLE
from blockspin.study import Study
from blockspin.targets import scalar_of

SUITED = ("gaussian-precision", "kernel-exponent", "effective-action", "random-layer")
"""Couplings of one real field, or of layers, that need no choice; those of them that are registered are measured by
default."""
UNSIGNED = {"effective-action": {"operators": ("mass", "quartic", "product")}}
"""Options on unordered sites, whose frame are principal modes: their signs mean nothing, and would run at random."""
OURS = {"geometry", "frame", "filters", "kernel", "source", "options", "cls"}
"""What a theory makes of the field, or is a table of numbers: none of it can be written as an option."""
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
        ConfigError: If one stands twice or beside off, is given options that it has not, or reads layers of a network
            where there is none.
    """
    return tuple(_asked(config))


def _asked(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return the options of the couplings that a configuration asks for, "NAME" or "NAME:OPTION=VALUE,...", by name."""
    known = members("couplings")
    found: dict[str, dict[str, Any]] = {}
    for text in config.couplings or [name for name in SUITED if name in known]:
        name, _, options = text.partition(":")
        if name not in known and name != OFF:
            raise UnknownNameError("coupling", name, [*known, OFF])
        if name in found or (OFF in (name, *found) and len(config.couplings) > 1):
            raise ConfigError("couplings", text, f"every coupling once, and {OFF} alone.")
        if config.couplings and config.model == OFF and name != OFF and known[name].of_layers:
            raise ConfigError("couplings", text, f"a network beside it: samples of {name} are units of its layers.")
        found[name] = {} if name == OFF else _options(name, options)
    return {} if OFF in found else found


def _options(name: str, text: str) -> dict[str, Any]:
    """Read options as TOML does; those that a theory makes of the field itself (its geometry, a frame) are none."""
    cls = member("couplings", name)
    try:
        given = tomllib.loads(f"options = {{{text}}}")["options"]
    except tomllib.TOMLDecodeError:
        accepted = f"options as {name}:reach=2,labels=[0, 0, 1], values as in TOML."
        raise ConfigError("couplings", f"{name}:{text}", accepted) from None
    makers = getattr(cls, "on", None)
    takes = {item.name for item in fields(cls)} | (set(signature(makers).parameters) if makers else set())
    for key, value in given.items():
        if key not in takes - OURS:
            known = sorted(takes - OURS)
            raise ConfigError("couplings", f"{name}:{key}", f"an option of {name}. {nearest(key, known)}")
        given[key] = tuple(value) if isinstance(value, list) else value
    return given


def measured(
    study: Study, names: Sequence[str], ensemble: Ensemble, slicing: Slicing, before: Ensemble | None = None
) -> Rows:
    """Return what was measured at one scale, by theory and slice; the reason where there is nothing.

    Args:
        study: The run under way.
        names: The theories.
        ensemble: The field at the scale.
        slicing: Which parts of the samples are measured apart.
        before: The field at the scale before, over the same samples, for theories of one step; None at the first.
    """
    directions = ensemble.values[0].numel()
    if directions > LARGEST:
        reason = f"a field of {directions} directions is too large; coarse-grain it below {LARGEST} first"
        return {(name, WHOLE): Replicas(reason=reason) for name in names}
    try:
        field = ensemble.times(unit_variance(ensemble))
    except BlockspinError as refusal:
        return {(name, WHOLE): Replicas(reason=str(refusal)) for name in names}
    group = group_of(field.units, study.config.groups, chain=field.chain)
    options = _asked(study.config)
    steps = {name for name in names if member("couplings", name).of_steps}
    estimators = {name: suited(name, field, options.get(name)) for name in names if name not in steps}
    observed = {name: member("observables", name)() for name in OBSERVED}
    found = {}
    for part, mask in slicing(study, field, group).items():
        states = _States(field, group, mask, study.config.groups)
        for name, estimator in (estimators if part != WHOLE else {**estimators, **observed}).items():
            found[name, part] = states.replicas(estimator)
        for name in steps if part == WHOLE else ():
            found[name, part] = _of_step(name, ensemble, before, options.get(name, {}), states)
    return found


def _of_step(
    name: str, coarse: Ensemble, fine: Ensemble | None, options: Mapping[str, Any], groups: _States
) -> Replicas:
    """Return what a theory of one step says of it; or why nothing."""
    if fine is None:
        return Replicas(reason=f"{name} reads a step, and no scale comes before this one")
    try:
        estimator = member("couplings", name).between(fine.geometry, coarse.geometry, **options)
        pair = (coarse, fine) if options.get("real") else (_spins(name, coarse), _spins(name, fine))
        return Replicas.of(
            estimator, [accumulate(estimator.monoid, *(e.select(p) for e in pair)) for p in groups.parts]
        )
    except (BlockspinError, RuntimeError, TypeError, ValueError) as reason:  # the run goes on without this coupling
        return Replicas(reason=str(reason).strip().partition("\n")[0])


def _spins(name: str, field: Ensemble) -> Ensemble:
    """Return a field of two values of one modulus as spins.

    Raises:
        ConfigError: If it has others.
    """
    size = field.values.abs()
    if not bool((size == size.max()).all()) or not bool(size.max() > 0):
        raise ConfigError(
            "couplings", name, f"spins of -1 and +1 at every level, or {name}:real=true for other values."
        )
    return field.with_values(field.values.sign())


def suited(name: str, field: Ensemble, options: Mapping[str, Any] | None = None) -> Estimator | str:
    """Return a coupling suited to a field, or why there is none.

    A theory that says how it is made for a field (``on``) is asked; one that takes a geometry gets the field's, where
    sites have distances, and one that takes the number of sites gets that. One that must be told what the field is
    (``given``) is not made without.

    Args:
        name: Of the coupling.
        field: What it is to be measured on.
        options: Those that were asked for.
    """
    cls, given = member("couplings", name), dict(options or {})
    takes, on = {item.name for item in fields(cls)}, getattr(cls, "on", None)
    try:
        if on is not None:
            unordered = isinstance(field.geometry, Unordered)
            return on(field, **{**(UNSIGNED.get(name, {}) if unordered else {}), **given})
        facts = {"sites": field.values[0].numel(), "geometry": _with_distances(field)}
        given |= {key: fact for key, fact in facts.items() if key in takes and fact is not None and key not in given}
        if lacks := [key for key in cls.given if key not in given]:
            return _needs(name, lacks)
        return cls(**given)
    except BlockspinError as reason:
        return str(reason)
    except TypeError as reason:
        return f"{name} needs options of its own ({reason})"


def _with_distances(field: Ensemble) -> Geometry | None:
    """Return the geometry of a field of one component whose sites have distances."""
    try:
        r = field.geometry.distances()
    except BlockspinError:
        return None
    between = bool((r[~torch.eye(len(r), dtype=torch.bool)].isfinite()).any())
    return field.geometry if between and field.values.shape[2] == 1 else None


def _needs(name: str, lacks: Sequence[str]) -> str:
    """Say what a theory must be told, and how."""
    if lacks == ["geometry"]:
        return f"{name} is of sites with distances and one component. Read the data so, or take another theory."
    if OURS & set(lacks):
        return f"{name} must be made with a {' and a '.join(lacks)} of other samples, which is done in Python alone"
    shown = ",".join(f"{key}=..." for key in lacks)
    return f"{name} must be told the {' and '.join(lacks)} of this field. Give --couplings {name}:{shown}"


@dataclass(frozen=True, eq=False)
class _States:
    """States of every group on a part of the samples; estimators that add up the same share them."""

    ensemble: Ensemble
    group: torch.Tensor
    mask: torch.Tensor
    count: int
    known: dict[Monoid, list[State]] = field(default_factory=dict)

    @property
    def parts(self) -> list[torch.Tensor]:
        """Samples of each group."""
        return [(self.mask & (self.group == g)).nonzero().flatten() for g in range(self.count)]

    def replicas(self, estimator: Estimator | str) -> Replicas:
        if isinstance(estimator, str):
            return Replicas(reason=estimator)
        monoid, parts = estimator.monoid, self.parts
        if monoid.inputs != 1:
            return Replicas(reason=f"{estimator.name} reads pairs of fields")
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
    values = [str(scalar_of(targets.get(int(key), ""))) for key in field.ids]
    kinds = sorted(set(values)) if targets else []
    if not 1 < len(kinds) <= SLICES:
        return masks
    for kind in kinds:
        mask = torch.tensor([value == kind for value in values])
        counts = torch.bincount(group[mask], minlength=study.config.groups)
        if int(counts.min()) >= FEWEST:
            masks[f"target {kind}"] = mask
    return masks
