"""Collapse: rescale curves of several system sizes so that they fall on one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from blockspin.cli._csv import numbers_in
from blockspin.cli._said import say

if TYPE_CHECKING:
    from blockspin.running.data_collapse import Collapse, Curve

NAMES = ("critical", "nu", "zeta")


def command(
    table: Path,
    /,
    *,
    start: Annotated[tuple[float, float, float], Parameter(negative_iterable="")],
    fixed: Annotated[list[str] | None, Parameter(negative_iterable="")] = None,
    seed: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Rescale curves of several system sizes so that they fall on one.

    Rescaled are x to (x - x_c) L^(1/nu) and y to y L^(-zeta/nu); errors and the p-value come from simulated data sets.

    Args:
        table: A CSV file with the columns size, x, y and error, one row a point, of at least three sizes.
        start: Guesses of x_c, of the exponent nu of the correlation length, and of the exponent zeta of y, which scales
            as L^(zeta/nu) at x_c.
        fixed: What is held at its guess: critical, nu or zeta (zeta for ratios without a dimension).
        seed: Randomness of the simulated data sets.
        as_json: Print JSON instead of text.
    """
    import torch

    from blockspin.running.data_collapse import collapse

    held = tuple(fixed or ())
    found = collapse(curves_in(table), start, generator=torch.Generator().manual_seed(seed), fixed=held)
    say(_plain(found, held), _text(found, held), as_json=as_json)
    return 0


def curves_in(table: Path) -> dict[float, Curve]:
    """Return the curves of a CSV file by size, each in ascending x.

    Raises:
        ConfigError: If it cannot be read, lacks a column, or holds what is no number.
    """
    from blockspin.running.data_collapse import Curve

    rows: dict[float, list[tuple[float, ...]]] = {}
    for size, *point in numbers_in(table, ("size", "x", "y", "error")):
        rows.setdefault(size, []).append(tuple(point))
    return {size: Curve(*map(list, zip(*sorted(points), strict=True))) for size, points in rows.items()}  # type: ignore[arg-type]


def _plain(found: Collapse, held: tuple[str, ...]) -> dict[str, Any]:
    numbers = {name: getattr(found, name).to_dict() for name in NAMES}
    least = dict(zip(NAMES, found.minimum, strict=True))
    x, y, error = (column.tolist() for column in found.master)
    told = {"quality": found.quality, "p_value": found.p_value, "minimum": least, "held": list(held)}
    return {**numbers, **told, "master": {"x": x, "y": y, "error": error}}


def _text(found: Collapse, held: tuple[str, ...]) -> str:
    words = {"critical": "x_c", "nu": "nu", "zeta": "zeta"}
    lines = [
        f"{words[name]} = {getattr(found, name).value:g} (held)"
        if name in held
        else f"{words[name]} = {getattr(found, name)}"
        for name in NAMES
    ]
    fits = "curves do not collapse within their errors" if found.p_value < 0.05 else "not refused"
    at = ", ".join(f"{words[name]} {value:.6g}" for name, value in zip(NAMES, found.minimum, strict=True))
    return "\n".join([*lines, f"S = {found.quality:.3g}, p = {found.p_value:.2g}: {fits}", f"least S at {at}"])
