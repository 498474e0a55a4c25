"""Running: beta functions, fixed points and limits of the couplings that a run measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockspin.cli._said import say


def command(
    folder: Path,
    /,
    *,
    flow: str = "",
    theory: str = "",
    together: Annotated[list[str] | None, Parameter(negative_iterable="")] = None,
    seed: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Say whether couplings run, by which beta function, where it vanishes, and how fast directions grow there.

    Writes running.json and the report anew. Directions are called relevant or irrelevant along coarsening flows with a
    length alone; elsewhere they grow or decay per step. Over widths, couplings are extrapolated to infinite width.

    Args:
        folder: A finished run.
        flow: The one flow, as network, explicit, training or width; by default all that the run has.
        theory: The one theory, as effective-action; by default all that were measured.
        together: Couplings of that theory that act on each other, up to three where fixed points are looked for; by
            default each by itself.
        seed: Randomness of the data sets that calibrate errors.
        as_json: Print JSON instead of text.
    """
    from blockspin.course_run import write_courses
    from blockspin.report.page import write_report

    found = write_courses(folder, flow=flow, theory=theory, together=together or (), seed=seed)
    page = write_report(folder)
    say(found, _text(found), as_json=as_json, place=page)
    return 0


def _text(found: dict[str, Any]) -> str:
    """One line a coupling, and under those with a fixed point one a direction."""
    from blockspin.measurement import Measurement

    lines = []
    for row in found["courses"]:
        lines.append(f"{row['flow']}, {row['theory']}: {row['statement']}")
        for point in (row["fixed"] or {"points": []})["points"]:
            for each in point["directions"]:
                lines.append(f"    {each['relevance']}: rate {Measurement.from_dict(each['rate'])}")
    for row in found["limits"]:
        head = f"{row['flow']}, {row['theory']}, {row['coupling']} at infinite {row['axis']}"
        if row["limit"] is None:
            lines.append(f"{head}: {row['reason']}")
            continue
        low, high = row["limit"]["interval"]
        seen = "a correction is seen" if row["needed"] else "no correction is seen"
        lines.append(f"{head}: {row['limit']['value']:.5g} ({100 * row['level']:g} %: {low:.5g} to {high:.5g}); {seen}")
    return "\n".join(lines or ["No couplings were measured."])
