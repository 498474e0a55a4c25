"""Respond: shift features of a network and compare what moves with their couplings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockspin.cli._said import say
from blockspin.cli.run import Options, given_options
from blockspin.interventions.plan import Plan


def command(
    config: Path | None = None,
    /,
    *,
    features: str = "principal:4",
    plan: Annotated[Plan | None, Parameter(name="*")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    options: Annotated[Options | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Shift features of a network and compare what moves with their couplings.

    Half of the records tell how features couple, within each layer and from it to the next; on the other half each is
    shifted up and down, and the answers are held against the prediction. The built-in example without arguments. Of the
    options of a run those of its flows and couplings play no part.

    Args:
        config: A TOML file, as for run; without one 200 records are read as tokens, in 40 groups. Of a finished run the
            network and the data are read, in the same way, and responses.json and its report are written there.
        features: principal:4, neurons:4 or heads, made of what each layer shows; or a file: npy of a matrix
            [features, entries], or the state dict of a sparse autoencoder with the numbers of its latents, as
            sae.safetensors:3,14,15.
        plan: By how much they are shifted, and what is asked of the answers.
        as_json: Print JSON instead of tables.
        options: The fields of the configuration of a run.
    """
    from blockspin.progress import Steps
    from blockspin.respond_run import begun, respond

    start, folder = begun(config)
    found = respond(start.with_options(given_options(options)), features, plan or Plan(), Steps())
    say(found, _text(found), as_json=as_json, place=_kept(folder, found) if folder else None)
    return 0


def _kept(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write the answers into the folder of a run, and its report anew."""
    from blockspin.report.page import write_report
    from blockspin.respond_run import write_responses

    write_responses(folder, found)
    return write_report(folder)


def _text(found: Mapping[str, Any]) -> str:
    """The hops as a table, those of the untrained copy as another, and what the verdict rests on."""
    from blockspin.cli._table import table

    answer, untrained = found["answer"], found["untrained"]
    lines = [answer["statement"], "", table([_row(row) for row in found["running"]]), ""]
    if "running" in untrained:
        lines += [f"untrained copy, {untrained['how']}:", table([_row(row) for row in untrained["running"]]), ""]
    else:
        lines += [f"no untrained copy: {untrained['reason']}", ""]
    lines += [f"{item['light']}: {item['name']}: {item['reason']}" for item in answer["assumptions"]]
    graph = found["graph"]
    lines.append(
        f"{len(graph['edges'])} of {graph['looks']} edges at a rate of false discoveries of {graph['level']:g}; "
        "all of them, and all responses, with --json"
    )
    return "\n".join(lines)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One hop: what the given features predict, and what the whole activation does."""
    given, whole = row["predictions"].values()
    return {
        "from": row["from"],
        "to": row["to"],
        "edges": f"{row['edges_within']} + {row['edges_across']}",
        "slope": _number(given["slope"]),
        "explained": _number(given["share explained"]),
        "verdict": given["verdict"],
        "slope, whole": _number(whole["slope"]),
        "explained, whole": _number(whole["share explained"]),
        "verdict, whole": whole["verdict"],
        "variance": _number(whole["variance explained"]),
        "random": _number(whole["slope of random directions"]),
        "elsewhere": f"{row['elsewhere']:.2g}",
    }


def _number(row: Mapping[str, Any]) -> str:
    from blockspin.measurement import Measurement

    return "-" if row["value"] is None else str(Measurement.from_dict(dict(row)))
