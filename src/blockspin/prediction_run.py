"""Prediction run: predictions written before the held-out files are opened, and scored against them afterwards."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from blockspin import __version__
from blockspin.couplings_folder import Ladder, Rows, ladders, read_json, theories
from blockspin.errors import BlockspinError, RunFolderError, TooFewSamplesError, UnknownNameError
from blockspin.flow import Direction
from blockspin.run_folder import write_json
from blockspin.running.prediction import Forecast, Places, Prediction, predict
from blockspin.running.replicas import Replicas, halves_of
from blockspin.running.scores import LEVEL, Scored, score
from blockspin.running.validity import WHOLE

PREDICTIONS, SCORES = "predictions.json", "scores.json"
FEWEST = 4
"""Accessible scales without which nothing is predicted."""
Found = list[dict[str, Any]]


def write_predictions(
    folder: Path, held_out: Sequence[str] = (), flow: str = "", level: float = LEVEL
) -> dict[str, Any]:
    """Predict held-out scales of a run folder from the others, and write ``predictions.json``.

    Of the couplings the files of the accessible scales are opened, and no others. Along null flows the same scales are
    predicted, so that it is seen what a prediction is worth.

    Args:
        folder: A run folder.
        held_out: Labels of scales; by default the last third of a flow, on coarsening flows the finest third.
        flow: Slug of the one flow to predict along, with its nulls; blank for all.
        level: Of the intervals.

    Raises:
        RunFolderError: If there are predictions already, or the folder holds no couplings.
        UnknownNameError: If no flow has a scale of a label, be it one of several.
        TooFewSamplesError: If no flow has enough accessible scales.
    """
    place = folder / PREDICTIONS
    if place.exists():
        raise RunFolderError(
            f"{place} was written already", "Score it with --score, or move it away before you predict again."
        )
    known = [ladder for ladder in ladders(folder) if flow in ("", ladder.slug, ladder.null_of)]
    if not known:
        raise UnknownNameError("flow", flow, [ladder.slug for ladder in ladders(folder)])
    names = list(dict.fromkeys(label for ladder in known for label in ladder.labels))
    for label in held_out:
        if label not in names:
            raise UnknownNameError("scale", label, names)
    rows, read, held = [], dict[str, str](), {}
    for ladder, scales in _held_out_of(known, held_out):
        accessible = [s for s in range(len(ladder.labels)) if s not in scales]
        if not scales or len(accessible) < FEWEST:
            continue
        rows += predictions(ladder, scales)
        read |= ladder.hashes(accessible)
        held[ladder.slug] = {ladder.labels[s]: str(ladder.path(s).relative_to(folder)) for s in scales}
    if not rows:
        raise _nothing(known)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"format": 1, "blockspin": __version__, "written": now, "level": level}
    content |= {"read": read, "held_out": held, "predictions": rows}
    write_json(place, {**content, "hash": _digest(content)})
    return read_json(place)


def write_scores(folder: Path) -> dict[str, Any]:
    """Open the held-out files of predictions that were written, and write ``scores.json``.

    Raises:
        RunFolderError: If there are no predictions, they were changed after they were written, or the files that they
            were made from were.
    """
    place = folder / PREDICTIONS
    if not place.is_file():
        raise RunFolderError(f"{folder} holds no {PREDICTIONS}", f"Write them first: blockspin predict {folder}")
    content = read_json(place)
    if content.get("hash") != _digest({key: value for key, value in content.items() if key != "hash"}):
        raise RunFolderError(f"{place} was changed after it was written", "Remove it, and predict again.")
    known = {ladder.slug: ladder for ladder in ladders(folder)}
    now = {k: v for ladder in known.values() for k, v in ladder.hashes(range(len(ladder.labels))).items()}
    changed = [path for path, digest in content["read"].items() if now.get(path) != digest]
    if changed:
        raise RunFolderError(f"{changed[0]} was changed after predictions were made from it", "Predict again.")
    scored = scores(known, content["predictions"], content["level"])
    about = {"format": 1, "scored": datetime.now(UTC).isoformat(timespec="seconds"), "order": _order(folder, content)}
    write_json(folder / SCORES, {**about, "predictions": content["hash"], "scores": scored})
    return read_json(folder / SCORES)


def by_default(folder: Path) -> Found:
    """Return predictions of the default held-out scales of every flow with their scores; plain, without times."""
    found: Found = []
    for ladder, scales in _held_out_of(ladders(folder), ()):
        if len(ladder.labels) - len(scales) >= FEWEST:
            made = predictions(ladder, scales)
            found += scores({ladder.slug: ladder}, made, LEVEL)
    return found


def predictions(ladder: Ladder, held: Sequence[int]) -> Found:
    """Return predictions of all theories of a flow, made from the files of the accessible scales alone."""
    accessible = [s for s in range(len(ladder.labels)) if s not in held]
    rows, places, found = ladder.rows(accessible), ladder.places(held), []
    for theory in theories(rows):
        about: dict[str, Any] = {"flow": ladder.slug, "theory": theory, "prediction": None, "reason": ""}
        try:
            made = predict(ladder.running(accessible, rows, theory, WHOLE), places)
            about["prediction"] = _plain(asdict(made))
        except BlockspinError as reason:
            about["reason"] = str(reason)
        found.append(about)
    return found


def scores(known: Mapping[str, Ladder], made: Found, level: float) -> Found:
    """Return predictions with what came of them: the held-out files are opened here."""
    rows: dict[str, list[Rows]] = {}
    found: Found = []
    for about in made:
        ladder = known[about["flow"]]
        scales = list(range(len(ladder.labels)))
        if ladder.slug not in rows:
            rows[ladder.slug] = ladder.rows(scales)
        result = {key: about[key] for key in ("flow", "theory", "reason")} | {"scored": None, "held_out": []}
        result["null_of"] = ladder.null_of
        if about["prediction"] is not None:
            prediction = _prediction(about["prediction"])
            result |= {"held_out": list(prediction.places.labels), "coordinate": prediction.coordinate}
            result["baselines"] = _beside(prediction)
            try:
                result["scored"] = _scored(ladder, rows[ladder.slug], about["theory"], prediction, level).to_dict()
            except BlockspinError as reason:
                result["reason"] = str(reason)
        found.append(result)
    return found


# --- inner workings ---------------------------------------------------------------------------------------------------


def _held_out_of(known: Sequence[Ladder], labels: Sequence[str]) -> list[tuple[Ladder, list[int]]]:
    """Return every flow with its scales that are held out: of a null flow those of the flow beside it."""
    by = {ladder.slug: _held_out(ladder, labels) for ladder in known}
    rows = [(ladder, by.get(ladder.null_of, by[ladder.slug])) for ladder in known]
    return [(ladder, [s for s in scales if s < len(ladder.labels)]) for ladder, scales in rows]


def _held_out(ladder: Ladder, labels: Sequence[str]) -> list[int]:
    """Return the scales of a flow that are held out: those named, or a third."""
    if labels:
        return [s for s, label in enumerate(ladder.labels) if label in labels]
    count = len(ladder.labels) // 3
    if ladder.axis.direction is Direction.COARSENING:
        return list(range(count))
    return list(range(len(ladder.labels) - count, len(ladder.labels)))


def _nothing(known: Sequence[Ladder]) -> BlockspinError:
    lengths = {ladder.slug: len(ladder.labels) for ladder in known}
    return TooFewSamplesError(
        f"no flow has {FEWEST} accessible scales beside what is held out (scales: {lengths})", "Hold out fewer."
    )


def _scored(ladder: Ladder, rows: Sequence[Rows], theory: str, prediction: Prediction, level: float) -> Scored:
    scales = list(range(len(ladder.labels)))
    running = ladder.running(scales, rows, theory, WHOLE)
    held = [rows[ladder.labels.index(label)] for label in prediction.places.labels]
    halves = halves_of([row.get((theory, WHOLE), Replicas()) for row in held], prediction.names)
    return score(prediction, running, halves=halves, level=level)


def _beside(prediction: Prediction) -> dict[str, Any]:
    """Return what the baselines said, for pictures: {model: {coupling: [values]}}."""
    return {
        forecast.model: {name: _plain(forecast.values[:, k]) for k, name in enumerate(prediction.names)}
        for forecast in prediction.baselines
    }


def _order(folder: Path, content: Mapping[str, Any]) -> str:
    """Say truly what came first."""
    written = datetime.fromisoformat(content["written"])
    paths = [folder / path for files in content["held_out"].values() for path in files.values()]
    before = [path for path in paths if datetime.fromtimestamp(path.stat().st_mtime, UTC) <= written]
    head = f"Predictions were written at {content['written']} from {len(content['read'])} files of accessible scales"
    if not before:
        return f"{head}; all {len(paths)} held-out scales were measured after that."
    return (
        f"{head}; {len(before)} of {len(paths)} held-out scales had been measured before that, and their files were "
        "not opened until now. Whether a person had looked at them cannot be told from here."
    )


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    """Return records and arrays as plain values; what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _prediction(row: Mapping[str, Any]) -> Prediction:
    """Return what ``_plain`` made of a prediction; infinite degrees of freedom come back as such."""
    places = row["places"]
    where = Places(tuple(places["labels"]), _array(places["positions"]), _array(places["log_lengths"]))
    theory, *beside = map(_forecast, (row["theory"], *row["baselines"]))
    names, units = tuple(row["names"]), tuple(row["units"])
    return Prediction(row["coordinate"], tuple(row["fitted"]), where, names, units, theory, tuple(beside))


def _forecast(row: Mapping[str, Any]) -> Forecast:
    values, errors, residual, gains = (_array(row[key]) for key in ("values", "errors", "residual", "gains"))
    dof = np.nan_to_num(_array(row["dof"]), nan=np.inf)
    looks = np.nan_to_num(_array(row.get("looks", np.full(dof.shape, np.inf))), nan=np.inf)  # older files have none
    about = (values, errors, residual, dof, gains, looks)
    return Forecast(row["model"], tuple(row["curves"]), *about, dict(row["reasons"]))


def _array(rows: Any) -> np.ndarray:
    return np.array(rows, dtype=float)
