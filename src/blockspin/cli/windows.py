"""Windows: divide the scales of a run into windows, one effective theory for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    """Divide the scales of a run into windows, one effective theory for each.

    They are the fewest over each of which a theory is not refused: every coupling stays, or obeys one beta function.
    More windows than there are are named with a chance of at most one in twenty. Every model is held against the scales
    of all windows, its own each predicted without that scale. Writes windows.json and the report anew.

    Args:
        folder: A finished run.
        flow: The one flow, as network, explicit or training; by default all that the run has, null flows left out.
        theory: The one theory, as effective-action; by default all that were measured.
        together: Couplings of that theory that act on each other; by default each by itself.
        seed: Randomness of the data sets that calibrate p-values.
        as_json: Print JSON instead of text.
    """
    from blockspin.report.page import write_report
    from blockspin.window_run import write_windows

    found = write_windows(folder, flow=flow, theory=theory, together=together or (), seed=seed)
    page = write_report(folder)
    text = "\n".join(f"{row['flow']}, {row['theory']}: {row['statement']}" for row in found["hierarchies"])
    say(found, text or "No couplings were measured.", as_json=as_json, place=page)
    return 0
