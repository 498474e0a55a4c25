"""Couplings run: the effective theories of a run, scale by scale, what they predict, and where they stop to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blockspin.answer import Verdict
from blockspin.capture.loss import LOSS
from blockspin.couplings_folder import Ladder, Rows, ladders, theories, write_couplings
from blockspin.couplings_measured import PLAIN, Slicing, chosen_couplings, measured, slices, whole
from blockspin.couplings_nulls import Change, NullFlow, beside, sentences, unchanged
from blockspin.course_run import course_sentences, write_courses
from blockspin.errors import BlockspinError
from blockspin.flow import Flow
from blockspin.invariance_run import invariance_sentences, reaches
from blockspin.measurement import Measurement
from blockspin.prediction_run import by_default
from blockspin.registry import member
from blockspin.run_folder import write_json
from blockspin.running.replicas import Replicas
from blockspin.running.validity import WHOLE, validity
from blockspin.study import DATA, Study


@dataclass(frozen=True, eq=False)
class CouplingsRun:
    """What was measured, and what came of it.

    Args:
        flows: The flows by slug, the couplings among their measurements.
        sentences: For the summary.
    """

    flows: Mapping[str, Flow]
    sentences: tuple[str, ...]


def along(
    study: Study,
    folder: Path,
    flows: Mapping[str, Flow],
    nulls: Sequence[NullFlow] = (),
    losses: Mapping[str, Replicas] | None = None,
    layers: Mapping[str, Mapping[str, Rows]] | None = None,
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
        layers: Couplings whose samples are units of a layer, by the slug of the flow and the label of the scale.
    """
    chosen = chosen_couplings(study.config)
    if not chosen:
        return CouplingsRun(flows, ())
    names = [name for name in chosen if not member("couplings", name).of_layers]
    found = _along(
        study, "measuring couplings", names, {slug: (flow, slices, unchanged) for slug, flow in flows.items()}
    )
    if nulls:
        given = {null.slug: (null.flow, whole, null.change) for null in nulls}
        found |= _along(study, "measuring couplings of null flows", names, given)
    beside_them = layers or {}
    found = {
        slug: (flow, _with_layers(flow, _with_losses(flow, rows, losses or {}), beside_them.get(slug, {})))
        for slug, (flow, rows) in found.items()
    }
    null_of = {null.slug: null.of for null in nulls}
    write_couplings(folder, found, null_of)
    with study.steps.step("predicting held-out scales"):
        predictions, compared = by_default(folder), beside(found, nulls)
        tests = [row for ladder in ladders(folder) if not ladder.null_of for row in _validity(ladder)]
        content = {"format": 1, "tables": _tables(found, null_of), "predictions": predictions, "validity": tests}
        write_json(folder / "couplings.json", {**content, "nulls": compared})
    with study.steps.step("following how couplings run"):
        courses = write_courses(folder, nulls=False, seed=study.config.seed)
        lengths = reaches(flows, study.config.groups, study.config.seed)
    named = {slug: flow.with_measurements(_measurements(*found[slug])) for slug, flow in flows.items()}
    said = (*_sentences(predictions), *sentences(compared, predictions), *course_sentences(courses["courses"]))
    said += (*invariance_sentences(courses["invariance"], lengths),)
    return CouplingsRun(named, said)


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
            rows, before = list[Rows](), None
            for scale in layers:
                field = change(scale.ensemble)
                rows.append(measured(study, names, field, slicing, before))
                advance(done := done + 1, total)
                before = field
            found[slug] = layers, rows
    return found


def _with_losses(flow: Flow, rows: Sequence[Rows], losses: Mapping[str, Replicas]) -> Sequence[Rows]:
    """Return what was measured along a flow with the loss of each network beside it, where it is one of a family."""
    known = [losses.get(scale.label, Replicas()) for scale in flow]
    return [{**row, (LOSS, WHOLE): loss} if loss.values else row for row, loss in zip(rows, known, strict=True)]


def _with_layers(flow: Flow, rows: Sequence[Rows], layers: Mapping[str, Rows]) -> Sequence[Rows]:
    """Return what was measured along a flow with the couplings of its layers' units beside it."""
    return [{**row, **layers.get(scale.label, {})} for scale, row in zip(flow, rows, strict=True)]


# --- what came of it --------------------------------------------------------------------------------------------------


def _validity(ladder: Ladder) -> list[dict[str, Any]]:
    """Test every coupling theory of a flow over all its scales and slices."""
    scales = list(range(len(ladder.labels)))
    rows = ladder.rows(scales)
    found = []
    for theory in dict.fromkeys(t for row in rows for t, _ in row if t not in PLAIN):
        slices, reasons, finding = {}, [], member("couplings", theory).finding
        for part in dict.fromkeys(s for row in rows for t, s in row if t == theory):
            try:
                slices[part] = ladder.running(scales, rows, theory, part)
            except BlockspinError as reason:
                reasons.append(f"{part}: {reason}")
        if slices:
            result = validity(slices, finding=finding).to_dict()
            if WHOLE not in slices and result["verdict"] == Verdict.YES.value:
                nowhere = "On the whole of the data no scale has a coupling; on slices of them: "
                result |= {"verdict": Verdict.CANNOT_TELL.value, "statement": nowhere + result["statement"]}
            result["statement"] += _offer(theory) if result["verdict"] == Verdict.NO.value else ""
            about = {"flow": ladder.slug, "theory": theory, "sign": finding.sign if finding else ""}
            found.append({**about, **result, "untested": [*result["untested"], *reasons]})
    return found


def _offer(theory: str) -> str:
    """Return a sentence on the theory that assumes less than one that fails; nothing where there is none."""
    remedy = member("couplings", theory).remedy
    return f" A theory that assumes less: --couplings {remedy}." if remedy else ""


def _tables(found: Mapping[str, tuple[Flow, Sequence[Rows]]], null_of: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return for every flow and theory the couplings of each scale with errors and fit quality."""
    tables = []
    for slug, (flow, rows) in found.items():
        for theory in theories(rows):
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
