"""Predict: predict held-out scales of a run before their files are opened, or score it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockspin.cli._said import say


def command(
    place: Path,
    /,
    *,
    held_out: Annotated[list[str] | None, Parameter(negative_iterable="")] = None,
    flow: str = "",
    level: float | None = None,
    score: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Predict couplings and observables at scales that are held out, from the other scales of a run.

    Writes predictions.json; with --score, later, scores.json beside it and the report anew.

    Args:
        place: A run folder, or a TOML file that is carried out first.
        held_out: Labels of the scales, as in the report; by default the last third, of levels the finest.
        flow: The one flow to predict along: network, explicit, training or width; by default all that the run has.
        level: Of the intervals, by default 0.9.
        score: Open the held-out files and hold the predictions that were written against them.
        as_json: Print JSON instead of a table.
    """
    from blockspin.errors import ConfigError, check_between
    from blockspin.prediction_run import LEVEL, write_predictions, write_scores
    from blockspin.report.page import write_report

    if level is not None:
        check_between("level", level, 0, 1)
    for name, given in {"held_out": held_out, "flow": flow, "level": level}.items():
        if score and given:
            raise ConfigError(name, given, "nothing beside score: what predictions were written for is scored.")
    if score:
        found = write_scores(place)
        write_report(place)
        say(found, _scores(found), as_json=as_json)
        return 0
    folder = _carried_out(place) if place.is_file() else place
    found = write_predictions(folder, held_out or (), flow, LEVEL if level is None else level)
    say(found, _predictions(found), as_json=as_json, place=folder / "predictions.json")
    return 0


def _carried_out(path: Path) -> Path:
    from blockspin.config import RunConfig
    from blockspin.run import run

    return run(RunConfig.from_toml(path))


def _predictions(found: dict[str, Any]) -> str:
    """One line a coupling and held-out scale, and what could not be predicted."""
    from blockspin.cli._table import table

    rows, lacks = [], []
    for item in found["predictions"]:
        made = item["prediction"]
        if made is None:
            lacks.append(f"{item['theory']} of {item['flow']}: {item['reason']}")
            continue
        theory = made["theory"]
        for h, label in enumerate(made["places"]["labels"]):
            for k, name in enumerate(made["names"]):
                value, error = theory["values"][h][k], theory["errors"][h][k]
                shown = theory["reasons"].get(name, "no number") if value is None else f"{value:.5g} ± {error:.2g}"
                row = {"flow": item["flow"], "scale": label, "quantity": f"{item['theory']}/{name}"}
                rows.append({**row, "predicted": shown, "best curve": theory["curves"][k] or None})
    return "\n".join([table(rows), *lacks, f"written {found['written']}, hash {found['hash']}"])


def _scores(found: dict[str, Any]) -> str:
    """One line a model, the verdicts, and the order in which things were done."""
    from blockspin.cli._table import table

    rows, said = [], []
    for item in found["scores"]:
        name, scored = f"{item['theory']} of {item['flow']}", item["scored"]
        if scored is None:
            said.append(f"{name}: {item['reason']}")
            continue
        for row in scored["scores"]:
            inside = f"{row['inside']}/{row['points']}" if row["points"] else row["reason"]
            rows.append(
                {"couplings": name, "model": row["model"], "inside": inside, "squared miss in errors": row["miss"]}
                | {"squared deviation": row["deviation"], "log score": row["log_score"], "theory": row["verdict"]}
            )
        said.append(f"{name}: {scored['verdict']}. {scored['statement']}")
    short = [{k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    return "\n".join([table(short), *said, found["order"]])
