"""Course run: what the couplings of a run folder do along its flows, and what they are at infinite size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from blockspin.couplings_folder import Ladder, ladders, theories
from blockspin.couplings_measured import PLAIN
from blockspin.errors import BlockspinError, UnknownNameError
from blockspin.invariance_run import invariances
from blockspin.run_folder import write_json
from blockspin.running.base import Running
from blockspin.running.beta_function import BetaFunction
from blockspin.running.corrections import extrapolate_running
from blockspin.running.course import Course, Kind, course, relevances
from blockspin.running.fixed_points import FixedPoint
from blockspin.running.scaling import Exponent, Relevance
from blockspin.running.validity import WHOLE

COURSES = "running.json"
WORDS = {
    Kind.RUNS: "run with a beta function of their own",
    Kind.STAYS: "do not move beyond errors",
    Kind.NO_BETA: "run, but by none of their own",
    Kind.UNTOLD: "cannot be told",
}
"""What couplings do, in words of a summary."""
SIZES = ("width", "context", "records", "samples")
"""Axes along which positions are sizes: what is measured along them has a limit."""
POINTS = 41
"""Points at which a beta function of one coupling is written, for pictures."""
BAND = 0.95
"""Of the intervals that are drawn about it."""
Rows = list[dict[str, Any]]


def write_courses(
    folder: Path,
    *,
    flow: str = "",
    theory: str = "",
    together: Sequence[str] = (),
    nulls: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """Say what couplings do along the flows of a run, and write ``running.json``.

    Couplings count one by one unless they are named together. Directions at fixed points are classified after all of
    them, null flows included (Holm).

    Args:
        folder: A run folder.
        flow: Slug of the one flow, with its nulls; blank for all.
        theory: The one theory; blank for all that were measured.
        together: Couplings of one theory that act on each other; by default every coupling alone.
        nulls: Whether null flows are followed too.
        seed: Randomness of the simulated data sets.

    Raises:
        RunFolderError: If the folder holds no couplings.
        UnknownNameError: If there is no such flow, theory or coupling.
    """
    by, chosen, groups = runnings_of(folder, flow, theory, together, nulls=nulls)
    found = {
        key: [course(run, names, generator=torch.Generator().manual_seed(seed)) for names in groups[key]]
        for key, run in chosen.items()
        if key[1] not in PLAIN
    }
    content: dict[str, Any] = {"format": 1, "together": list(together), "courses": _courses(by, found)}
    content["limits"] = _limits(by, chosen, groups)
    own = {key: items for key, items in found.items() if not by[key[0]].null_of}
    content["invariance"] = invariances(chosen, own)
    write_json(folder / COURSES, content)
    return content


def runnings_of(
    folder: Path, flow: str, theory: str, together: Sequence[str], *, nulls: bool
) -> tuple[dict[str, Ladder], dict[tuple[str, str], Running], dict[tuple[str, str], list[tuple[str, ...]]]]:
    """Return flows by slug, and by flow and theory what runs and the sets of couplings that are looked at.

    Args:
        folder: A run folder.
        flow: Slug of the one flow, with its nulls; blank for all.
        theory: The one theory; blank for all that were measured.
        together: Couplings of one theory that act on each other; by default every coupling alone.
        nulls: Whether null flows are among them.

    Raises:
        RunFolderError: If the folder holds no couplings.
        UnknownNameError: If there is no such flow, theory or coupling.
    """
    known = [ladder for ladder in ladders(folder) if flow in ("", ladder.slug, ladder.null_of)]
    known = [ladder for ladder in known if nulls or not ladder.null_of or ladder.slug == flow]
    if not known:
        raise UnknownNameError("flow", flow, [ladder.slug for ladder in ladders(folder)])
    runs = {(ladder.slug, name): run for ladder in known for name, run in _runnings(ladder).items()}
    chosen = {key: run for key, run in runs.items() if theory in ("", key[1])}
    if theory and not chosen:
        raise UnknownNameError("theory", theory, list(dict.fromkeys(name for _, name in runs)))
    groups = {key: _together(run, together) for key, run in chosen.items()}
    if together and not any(groups.values()):
        names = dict.fromkeys(name for run in chosen.values() for name in run.names)
        wrong = [name for name in together if name not in names]
        raise UnknownNameError("coupling", (wrong or list(together))[0], list(names))
    return {ladder.slug: ladder for ladder in known}, chosen, groups


def course_sentences(rows: Rows) -> list[str]:
    """Return one sentence a flow: how many couplings run, and how many were found to have a fixed point in range.

    Args:
        rows: The courses that ``write_courses`` returned.
    """
    said = []
    for flow in dict.fromkeys(row["flow"] for row in rows if not row["null_of"]):
        own = [row for row in rows if row["flow"] == flow]
        count = {kind: sum(row["kind"] == kind.value for row in own) for kind in Kind}
        parts = ", ".join(f"{number} {WORDS[kind]}" for kind, number in count.items() if number)
        fixed = sum(bool(row["fixed"] and row["fixed"]["points"]) for row in own)
        said.append(
            f"Of {len(own)} couplings along the {flow} flow, each by itself, {parts}; {fixed} "
            f"{'has' if fixed == 1 else 'have'} a fixed point in the measured range."
        )
    return said


# --- inner workings ---------------------------------------------------------------------------------------------------


def _runnings(ladder: Ladder) -> dict[str, Running]:
    """Return what runs along a flow, by theory; what exists at no scale is left out."""
    scales = list(range(len(ladder.labels)))
    rows = ladder.rows(scales)
    found = {}
    for theory in theories(rows):
        try:
            found[theory] = ladder.running(scales, rows, theory, WHOLE)
        except BlockspinError:
            continue  # its reasons stand in the table of couplings
    return found


def _together(run: Running, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the sets of couplings that are looked at: those that were named, or each."""
    if names:
        return [tuple(names)] if set(names) <= set(run.names) else []
    return [(name,) for name in run.names]


def _courses(by: Mapping[str, Ladder], found: Mapping[tuple[str, str], Sequence[Course]]) -> Rows:
    flat = [(key, item) for key, items in found.items() for item in items]
    kinds = relevances([item for _, item in flat])
    rows = []
    for ((slug, theory), item), kind in zip(flat, kinds, strict=True):
        about = {"flow": slug, "null_of": by[slug].null_of, "theory": theory, "axis": by[slug].axis.name}
        rows.append(about | _plain(item, kind))
    return rows


def _plain(item: Course, kinds: Sequence[Sequence[Relevance]]) -> dict[str, Any]:
    still, beta = item.plateau, item.beta
    row: dict[str, Any] = {"couplings": list(item.names), "scales": list(item.labels), "kind": item.kind.value}
    row |= {"statement": item.statement, "plateau": None, "beta": None, "fixed": None, "walking": None}
    if still is not None:
        values = {name: value.to_dict() for name, value in still.values.items()}
        row["plateau"] = {"values": values, "p_value": still.p_value}
    if beta is not None:
        about = {"order": beta.order, "per": beta.per, "p_value": beta.p_value, "orders_tried": beta.looks}
        row["beta"] = about | {"coarsening": beta.coarsening, "curve": _curve(beta)}
    if item.walking is not None:
        row["walking"] = {"verdict": item.walking.verdict.value, "statement": item.walking.statement}
    if item.fixed is not None:
        points = [_point(*each) for each in zip(item.bounded, item.rates, kinds, strict=True)]
        row["fixed"] = {"verdict": item.fixed.verdict.value, "points": points}
    return row


def _point(point: FixedPoint, rates: Sequence[Exponent], kinds: Sequence[Relevance]) -> dict[str, Any]:
    values = {name: point.measurement(name).to_dict() for name in point.names}
    region = dict(zip(point.names, map(list, point.region), strict=True))
    directions = [
        {
            "rate": rate.rate.to_dict(),
            "relevance": kind.value,
            "direction": dict(zip(point.names, rate.operators, strict=True)),
        }
        for rate, kind in zip(rates, kinds, strict=True)
    ]
    return {"values": values, "region": region, "level": point.level, "share": point.share, "directions": directions}


def _curve(beta: BetaFunction) -> dict[str, Any] | None:
    """Return a beta function of one coupling over the measured range, with the half width of its interval."""
    if len(beta.names) > 1:
        return None
    g = np.linspace(beta.corners.min(), beta.corners.max(), POINTS)
    value, covariance = beta.everywhere(g[:, None])
    half = np.sqrt(covariance[:, 0, 0]) * student.ppf(0.5 + BAND / 2, beta.dof)
    return {"g": g.tolist(), "beta": value[:, 0].tolist(), "half_width": half.tolist(), "level": BAND}


def _limits(
    by: Mapping[str, Ladder], runs: Mapping[tuple[str, str], Running], groups: Mapping[tuple[str, str], Iterable[Any]]
) -> Rows:
    """Return what couplings and observables are at infinite size, along axes of sizes."""
    rows = []
    for (slug, theory), run in runs.items():
        if by[slug].axis.name not in SIZES:
            continue
        for name in dict.fromkeys(name for names in groups[slug, theory] for name in names):
            about = {"flow": slug, "null_of": by[slug].null_of, "theory": theory, "coupling": name}
            about |= {"unit": run.units[run.names.index(name)], "axis": by[slug].axis.name}
            known = run.select(names=[name]).known()[:, 0].nonzero().flatten().tolist()
            try:
                found = extrapolate_running(run.select(scales=known), name)
            except (BlockspinError, np.linalg.LinAlgError) as reason:
                rows.append(about | {"limit": None, "reason": str(reason)})
                continue
            (value, interval), (omega, between) = found.limit, found.exponent
            numbers = {"limit": {"value": value, "interval": list(interval)}, "level": found.level}
            numbers |= {"exponent": {"value": omega, "interval": list(between)}, "needed": found.needed}
            rows.append(about | numbers | {"p_value": found.p_value, "sizes": list(found.sizes), "reason": ""})
    return rows
