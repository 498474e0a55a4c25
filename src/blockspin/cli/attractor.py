"""Attractor: say whether the couplings of several runs come together along their flows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from blockspin.cli._said import say

if TYPE_CHECKING:
    from blockspin.running.attractor import Approach, Attractor


def command(
    *folders: Path,
    flow: str = "",
    theory: str = "",
    margin: float = 0.5,
    seed: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Say whether the couplings of several runs come together along their flows.

    If so, at what rate, and where. Runs differ in their starting points, seeds, data or networks, and are of samples of
    their own. What errors make of the differences between them is taken off; scales that do not lie at the same place
    in all runs are passed over.

    Args:
        folders: Two finished runs or more.
        flow: The one flow, as explicit or network; by default all that every run has.
        theory: The one theory, as effective-action; by default all that were measured in every run.
        margin: Share of the early variance between runs; no is said where less than it late is excluded.
        seed: Randomness of the data sets that calibrate errors of rates.
        as_json: Print JSON instead of text.
    """
    found = attractors(folders, flow, theory, margin, seed)
    lines = []
    for slug, name, result in found:
        lines.append(f"{slug}, {name}: {result if isinstance(result, str) else result.statement}")
        lines += [f"    {row.statement}" for row in (() if isinstance(result, str) else result.approaches)]
    say([_plain(*row) for row in found], "\n".join(lines), as_json=as_json)
    return 0


def attractors(
    folders: tuple[Path, ...], flow: str, theory: str, margin: float, seed: int
) -> list[tuple[str, str, Attractor | str]]:
    """Return flow, theory and what came of it, a reason where nothing did, for all that every run has.

    Raises:
        TooFewSamplesError: If fewer than two runs are given.
        ConfigError: If the margin is not between 0 and 1.
        ShapeError: If runs have no flow and theory in common.
        RunFolderError: If a folder holds no couplings.
        UnknownNameError: If a run has no such flow or theory.
    """
    import torch

    from blockspin.couplings_measured import PLAIN
    from blockspin.course_run import runnings_of
    from blockspin.errors import BlockspinError, ConfigError, ShapeError, TooFewSamplesError
    from blockspin.running.attractor import attractor

    if len(folders) < 2:
        raise TooFewSamplesError(f"{len(folders)} run has nothing to come together with", "Give two or more.")
    if not 0 < margin < 1:
        raise ConfigError("margin", margin, "a number between 0 and 1.")
    runs = [runnings_of(folder, flow, theory, (), nulls=False)[1] for folder in folders]
    keys = [key for key in runs[0] if key[1] not in PLAIN and all(key in run for run in runs)]
    if not keys:
        raise ShapeError("the runs have no flow and theory in common", "Measure the same couplings in all.")
    found: list[tuple[str, str, Attractor | str]] = []
    for key in keys:
        try:
            generator = torch.Generator().manual_seed(seed)
            found.append((*key, attractor([run[key] for run in runs], generator=generator, margin=margin)))
        except BlockspinError as reason:
            found.append((*key, str(reason)))
    return found


def _plain(flow: str, theory: str, result: Attractor | str) -> dict[str, Any]:
    about: dict[str, Any] = {"flow": flow, "theory": theory}
    if isinstance(result, str):
        return about | {"verdict": "cannot tell", "statement": result, "scales": [], "couplings": []}
    told = {"verdict": result.verdict.value, "statement": result.statement, "scales": list(result.labels)}
    return about | told | {"couplings": [_row(row) for row in result.approaches]}


def _row(row: Approach) -> dict[str, Any]:
    numbers = {key: getattr(row, key) for key in ("early", "late", "rate", "point")}
    plain = {key: None if value is None else value.to_dict() for key, value in numbers.items()}
    about = {"coupling": row.name, "verdict": row.verdict.value, "statement": row.statement, "p_value": row.p_value}
    return {**about, **plain, "dispersion": [value.to_dict() for value in row.dispersion]}
