"""Window run: the effective theories along the flows of a run folder, each with the scales over which it holds."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blockspin.answer import Verdict
from blockspin.couplings_measured import PLAIN
from blockspin.course_run import runnings_of
from blockspin.errors import BlockspinError, TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.run_folder import write_json
from blockspin.running.base import Running
from blockspin.running.windows import Cell, Hierarchy, Window, windows

WINDOWS = "windows.json"


def write_windows(
    folder: Path, *, flow: str = "", theory: str = "", together: Sequence[str] = (), seed: int = 0
) -> dict[str, Any]:
    """Find the windows of scales of every theory along the flows of a run, and write ``windows.json``.

    Null flows are passed over, unless one is named.

    Args:
        folder: A run folder.
        flow: Slug of the one flow; blank for all.
        theory: The one theory; blank for all that were measured.
        together: Couplings of one theory that act on each other; by default every coupling alone.
        seed: Randomness of the simulated data sets.

    Raises:
        RunFolderError: If the folder holds no couplings.
        UnknownNameError: If there is no such flow, theory or coupling.
    """
    by, chosen, groups = runnings_of(folder, flow, theory, together, nulls=False)
    rows = []
    for (slug, name), running in chosen.items():
        if name not in PLAIN and groups[slug, name]:
            about = {"flow": slug, "null_of": by[slug].null_of, "theory": name, "axis": by[slug].axis.name}
            rows.append(about | _row(running, groups[slug, name], seed))
    content = {"format": 1, "together": list(together), "hierarchies": rows}
    write_json(folder / WINDOWS, content)
    return content


# --- inner workings ---------------------------------------------------------------------------------------------------


def _row(running: Running, groups: Sequence[tuple[str, ...]], seed: int) -> dict[str, Any]:
    """Return the windows of the couplings that exist, with an error, wherever some do."""
    whole = _measured(running, running.names)
    kept = [names for names in groups if bool((_measured(running, names).all(1) == whole.any(1)).all())]
    left_out = [name for names in groups if names not in kept for name in names]
    try:
        if not kept:
            raise TooFewSamplesError("no coupling exists, with an error, at all scales", "Measure others.")
        found = _plain(windows(running, kept, generator=torch.Generator().manual_seed(seed)))
    except (BlockspinError, np.linalg.LinAlgError) as reason:
        found = {"verdict": Verdict.CANNOT_TELL.value, "statement": str(reason), "windows": [], "table": []}
    return found | {"left_out": left_out}


def _measured(running: Running, names: Sequence[str]) -> torch.Tensor:
    """Return where couplings have a value and an error that is not 0, [scales, couplings]."""
    part = running.select(names=names)
    return part.known() & (part.errors > 0)


def _plain(found: Hierarchy) -> dict[str, Any]:
    """Return plain values for JSON; a miss without bound becomes None."""
    return {
        "verdict": found.verdict.value,
        "statement": found.statement,
        "windows": [_window(window) for window in found.windows],
        "table": [_cell(cell) for cell in found.table],
    }


def _window(window: Window) -> dict[str, Any]:
    lengths = [x if isfinite(x) else None for x in window.log_lengths]
    about = {"labels": list(window.labels), "log_lengths": lengths, "p_value": window.p_value}
    effective = [
        {
            "order": part.order,
            "p_value": part.p_value,
            "first": _named(part.names, part.first),
            "last": _named(part.names, part.last),
        }
        for part in window.effective
    ]
    return about | {"goodness": window.goodness, "effective": effective}


def _named(names: Sequence[str], values: Sequence[Measurement]) -> dict[str, Any]:
    return {name: value.to_dict() for name, value in zip(names, values, strict=True)}


def _cell(cell: Cell) -> dict[str, Any]:
    nearer = None if cell.nearer is None else cell.nearer.to_dict()
    miss = cell.miss if isfinite(cell.miss) else None
    return {"model": cell.model, "window": cell.window, "miss": miss, "nearer": nearer, "wins": cell.wins}
