"""Couplings run: the effective theories of a run, scale by scale, what they predict, and where they stop to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from blockspin.answer import Verdict
from blockspin.capture.loss import LOSS
from blockspin.config import RunConfig
from blockspin.couplings_folder import Ladder, Rows, ladders, write_couplings
from blockspin.couplings_nulls import OFF, Change, NullFlow, beside, sentences, unchanged
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import BlockspinError, UnknownNameError
from blockspin.flow import Flow
from blockspin.flows.rescaling import unit_variance
from blockspin.geometry import Unordered
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, Monoid, State, accumulate
from blockspin.prediction_run import by_default
from blockspin.registry import member, members
from blockspin.run_folder import write_json
from blockspin.running.replicas import Replicas
from blockspin.running.validity import WHOLE, validity
from blockspin.study import DATA, Study

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


@dataclass(frozen=True, eq=False)
class CouplingsRun:
    """What was measured, and what came of it.

    Args:
        flows: The flows by slug, the couplings among their measurements.
        sentences: For the summary.
    """

    flows: Mapping[str, Flow]
    sentences: tuple[str, ...]


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


def along(
    study: Study,
    folder: Path,
    flows: Mapping[str, Flow],
    nulls: Sequence[NullFlow] = (),
    losses: Mapping[str, Replicas] | None = None,
) -> CouplingsRun:
    """Measure couplings at every scale of some flows, write them, predict held-out scales, test where theories hold.

    Every field is brought to unit mean variance first, so that couplings of different layers are in one unit. The held
    out scales of the default prediction are measured like the others, but their files are opened after it was made.
    Along null flows the same is measured on the whole of the data, and predicted.

    Args:
        study: The run under way.
        folder: Its folder.
        flows: By slug; their scales carry ensembles.
        nulls: Null flows beside them.
        losses: Of networks, by the label of their scale: followed and predicted beside what is measured there.
    """
    names = chosen_couplings(study.config)
    if not names:
        return CouplingsRun(flows, ())
    found = _along(
        study, "measuring couplings", names, {slug: (flow, _slices, unchanged) for slug, flow in flows.items()}
    )
    if nulls:
        given = {null.slug: (null.flow, _whole, null.change) for null in nulls}
        found |= _along(study, "measuring couplings of null flows", names, given)
    found = {slug: (flow, _with_losses(flow, rows, losses or {})) for slug, (flow, rows) in found.items()}
    null_of = {null.slug: null.of for null in nulls}
    write_couplings(folder, found, null_of)
    with study.steps.step("predicting held-out scales"):
        predictions, compared = by_default(folder), beside(found, nulls)
        tests = [row for ladder in ladders(folder) if not ladder.null_of for row in _validity(ladder)]
        content = {"format": 1, "tables": _tables(found, null_of), "predictions": predictions, "validity": tests}
        write_json(folder / "couplings.json", {**content, "nulls": compared})
    named = {slug: flow.with_measurements(_measurements(*found[slug])) for slug, flow in flows.items()}
    return CouplingsRun(named, (*_sentences(predictions), *sentences(compared, predictions)))


# --- measuring --------------------------------------------------------------------------------------------------------


def _along(
    study: Study, step: str, names: Sequence[str], flows: Mapping[str, tuple[Flow, Slicing, Change]]
) -> dict[str, tuple[Flow, Sequence[Rows]]]:
    """Measure couplings at every layer or level of some flows: the data themselves are none."""
    found: dict[str, tuple[Flow, Sequence[Rows]]] = {}
    total, done = sum(len(flow) for flow, _, _ in flows.values()), 0
    with study.steps.step(step, total) as advance:
        for slug, (flow, slicing, change) in flows.items():
            layers = replace(flow, scales=tuple(scale for scale in flow if scale.label != DATA))
            rows = []
            for scale in layers:
                rows.append(_measured(study, names, change(scale.ensemble), slicing))
                advance(done := done + 1, total)
            found[slug] = layers, rows
    return found


def _with_losses(flow: Flow, rows: Sequence[Rows], losses: Mapping[str, Replicas]) -> Sequence[Rows]:
    """Return what was measured along a flow with the loss of each network beside it, where it is one of a family."""
    known = [losses.get(scale.label, Replicas()) for scale in flow]
    return [{**row, (LOSS, WHOLE): loss} if loss.values else row for row, loss in zip(rows, known, strict=True)]


def _measured(study: Study, names: Sequence[str], ensemble: Ensemble, slicing: Slicing) -> Rows:
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


def _whole(study: Study, field: Ensemble, group: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return one mask, of all samples."""
    return {WHOLE: torch.ones(len(field), dtype=torch.bool)}


def _slices(study: Study, field: Ensemble, group: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return masks of the samples: all, and one for each value of the targets where there are a few.

    Slices by what the field looks like would be no test: a part that is cut out by its values has another law.
    """
    masks = _whole(study, field, group)
    targets = study.material.targets
    values = [str(targets.get(int(key), "")) for key in field.ids]
    kinds = sorted(set(values)) if targets else []
    if not 1 < len(kinds) <= SLICES:
        return masks
    for kind in kinds:
        mask = torch.tensor([value == kind for value in values])
        counts = torch.bincount(group[mask], minlength=study.config.groups)
        if int(counts.min()) >= FEWEST:
            masks[f"target {kind}"] = mask
    return masks


# --- what came of it --------------------------------------------------------------------------------------------------


def _validity(ladder: Ladder) -> list[dict[str, Any]]:
    """Test every coupling theory of a flow over all its scales and slices."""
    scales = list(range(len(ladder.labels)))
    rows = ladder.rows(scales)
    found = []
    for theory in dict.fromkeys(t for row in rows for t, _ in row if t not in PLAIN):
        slices, reasons = {}, []
        for part in dict.fromkeys(s for row in rows for t, s in row if t == theory):
            try:
                slices[part] = ladder.running(scales, rows, theory, part)
            except BlockspinError as reason:
                reasons.append(f"{part}: {reason}")
        if slices:
            result = validity(slices).to_dict()
            result["statement"] += _offer(theory) if result["verdict"] == Verdict.NO.value else ""
            found.append({"flow": ladder.slug, "theory": theory, **result, "untested": [*result["untested"], *reasons]})
    return found


def _offer(theory: str) -> str:
    """Return a sentence on the theory that assumes less than one that fails; nothing where there is none."""
    remedy = member("couplings", theory).remedy
    return f" A theory that assumes less: --couplings {remedy}." if remedy else ""


def _tables(found: Mapping[str, tuple[Flow, Sequence[Rows]]], null_of: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return for every flow and theory the couplings of each scale with errors and fit quality."""
    tables = []
    for slug, (flow, rows) in found.items():
        for theory in dict.fromkeys(t for row in rows for t, s in row if s == WHOLE):
            lines = [
                _line(float(scale.position), scale.label, row.get((theory, WHOLE), Replicas(reason="not measured")))
                for scale, row in zip(flow, rows, strict=True)
            ]
            left_out = next((r.left_out for row in rows if (r := row.get((theory, WHOLE))) and r.left_out), ())
            about = {"flow": slug, "name": flow.name, "theory": theory, "observable": theory in PLAIN}
            axis = {"axis": flow.axis.name, "left_out": list(left_out), "null_of": null_of.get(slug, "")}
            tables.append({**about, **axis, "rows": lines})
    return tables


def _line(position: float, label: str, replicas: Replicas) -> dict[str, Any]:
    return {
        "position": position,
        "label": label,
        "values": {name: replicas.measurement(name).to_dict() for name in replicas.values},
        "goodness": None if replicas.goodness is None else replicas.goodness.to_dict(),
        "notes": dict(replicas.notes),
        "reason": replicas.reason,
    }


def _measurements(flow: Flow, rows: Sequence[Rows]) -> dict[str, dict[str, Measurement]]:
    """Return the couplings of the whole data as measurements by label, for the files of the flows."""
    return {
        scale.label: {
            f"{theory}/{name}": replicas.measurement(name)
            for (theory, part), replicas in row.items()
            if part == WHOLE and theory not in PLAIN
            for name in replicas.values
        }
        for scale, row in zip(flow, rows, strict=True)
    }


def _sentences(predictions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one sentence a flow: of how many theories the predictions at held-out scales came out how."""
    rows = []
    for flow in dict.fromkeys(p["flow"] for p in predictions if not p["null_of"]):
        words = [p["scored"]["verdict"] for p in predictions if p["flow"] == flow and p["scored"]]
        if words:
            better = words.count("better")
            rows.append(
                f"Of {len(words)} sets of couplings and observables of the {flow} flow, predictions at scales held "
                f"out are better than every baseline for {better}, not better for {words.count('not better')}, and "
                f"for {words.count('cannot tell')} one cannot tell."
            )
    return rows
