"""Sweep table: the folder of ``blockspin sweep`` read as a scan of one of the fields that it varied."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blockspin.errors import ConfigError, NonFiniteError, RunFolderError
from blockspin.flow import Axis, Flow, Scale
from blockspin.measurement import Measurement


def sweep_flow(folder: Path, field: str) -> Flow:
    """Return the numbers of a sweep's answers as a flow along one of the fields that were varied.

    One scale a value. Where several runs share it (the sweep varied a seed too), a number is their mean, and its error
    the larger of their scatter and of the mean of their own errors: the runs share their data, so that the latter does
    not shrink with their number. A number that some run of a value does not have is left out there. Runs that failed
    are told in ``ended``.

    Args:
        folder: Where the sweep was written; it holds ``sweep.json``.
        field: The field, as it was varied ("scheme.b", "seed").

    Raises:
        RunFolderError: If the folder holds no finished sweep that can be read.
        ConfigError: If the field was not varied, or its values are no numbers.
    """
    table = json_in(folder / "sweep.json")
    if field not in table.get("axes", ()):
        raise ConfigError("field", field, f"one that the sweep varied: {', '.join(table.get('axes', ()))}.")
    groups: dict[float, list[Mapping[str, Measurement]]] = {}
    failed = []
    for row in table["runs"]:
        if row["error"] is not None:
            failed.append(f"{field} = {row[field]}: {row['error']}")
            continue
        groups.setdefault(number_of(field, row[field]), []).append(_numbers(folder / Path(row["folder"]).name))
    if not groups:
        raise RunFolderError(f"no run of the sweep in {folder} was finished", "Look at the reasons in sweep.json.")
    scales = tuple(Scale(value, f"{value:g}", measurements=_together(groups[value])) for value in sorted(groups))
    return Flow(f"sweep of {field}", Axis(field), scales, "; ".join(failed))


def _together(runs: Sequence[Mapping[str, Measurement]]) -> dict[str, Measurement]:
    return {key: _mean([run[key] for run in runs]) for key in runs[0] if all(key in run for run in runs)}


def _mean(found: Sequence[Measurement]) -> Measurement:
    if len(found) == 1:
        return found[0]
    values, errors = (np.array([getattr(m, what) for m in found], dtype=float) for what in ("value", "error"))
    scatter, own = values.std(0, ddof=1) / len(found) ** 0.5, errors.mean(0)
    how = f"mean over {len(found)} runs; the larger of their scatter and of their own error"
    dof = min(len(found) - 1, min(m.dof for m in found))
    n_eff = min(m.n_eff for m in found)
    return Measurement(values.mean(0), np.maximum(scatter, own), found[0].unit, n_eff, how, dof)


def _numbers(run: Path) -> dict[str, Measurement]:
    answers = json_in(run / "answers.json")["answers"]
    return {
        f"{answer['question']}/{key}": Measurement.from_dict(row)
        for answer in answers
        for key, row in answer["numbers"].items()
    }


def number_of(field: str, value: Any) -> float:
    """Return a value of a field of the configuration as a number.

    Raises:
        ConfigError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError(field, value, "a field whose values are numbers.")
    try:
        number = float(value)
    except ValueError:
        raise ConfigError(field, value, "a field whose values are numbers.") from None
    if not np.isfinite(number):
        raise NonFiniteError(f"{field} = {value} is no finite number")
    return number


def json_in(path: Path) -> Any:
    """Return what a file of a run holds.

    Raises:
        RunFolderError: If it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise RunFolderError(f"{path} cannot be read ({type(reason).__name__})", "Run the sweep again.") from None
