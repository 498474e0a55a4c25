"""Carry out all tethers and collect their rows, for the command line, the report and the tests."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from time import perf_counter
from typing import Any

import torch

from blockspin.errors import BlockspinError
from blockspin.registry import members


def run_tethers(fast: bool = False) -> list[dict[str, Any]]:
    """Return one row a number of every tether, or of the fast ones alone; a process a core, each on one thread.

    Each row has "tether", "system", "source", "quantity", "expected", "measured", "error", "z", "tolerance", "unit",
    "passed", "asserted" (False where a number is only shown) and "seconds" (since the row before, or the tether's
    start).
    """
    names = [name for name in members("tethers") if name not in skipped_tethers(fast)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawn, torch.set_num_threads, (1,)) as pool:
        return list(chain.from_iterable(pool.map(run_tether, names)))


def skipped_tethers(fast: bool) -> list[str]:
    """Return the names of the tethers that ``run_tethers(fast)`` leaves out because they are slow."""
    return [name for name, tether in members("tethers").items() if fast and not tether.fast]


def cost_of(name: str) -> str:
    """Return the name of a tether, its system in words, and how long it takes."""
    tether = members("tethers")[name]
    return f"{name} ({tether.system}; about {60 * tether.minutes:.0f} s on one core)"


def tethered_schemes() -> frozenset[str]:
    """Return the names of the schemes that some tether checks."""
    return frozenset(scheme for tether in members("tethers").values() for scheme in tether.schemes)


def run_tether(name: str) -> list[dict[str, Any]]:
    """Return the rows of one tether; an error that stops it is a last row, failed, without numbers."""
    tether = members("tethers")[name]()
    about = {"tether": name, "system": tether.system, "source": tether.source}
    rows: list[dict[str, Any]] = []
    start = perf_counter()
    try:
        for row in tether.rows():
            rows.append({**about, **row.to_dict(), "seconds": perf_counter() - start})
            start = perf_counter()
    except BlockspinError as reason:
        numbers = dict.fromkeys(("expected", "measured", "error", "z", "tolerance", "unit"))
        rows.append({**about, "quantity": str(reason), **numbers, "passed": False, "asserted": True})
        rows[-1]["seconds"] = perf_counter() - start
    return rows
