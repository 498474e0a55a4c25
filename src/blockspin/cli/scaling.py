"""Scaling: fit a power law to the losses of runs and predict the largest."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from blockspin.errors import ConfigError

if TYPE_CHECKING:
    from blockspin.couplings.scaling_law import HeldOut, ScalingLaw


def command(
    table: Path,
    /,
    *,
    size: str = "size",
    loss: str = "loss",
    held_out: int = 0,
    seed: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Fit a power law to the losses of runs and predict the largest.

    The law is L(N) = E + A N^-alpha, E being what no size reduces; runs are independent. Says whether losses follow
    such a law, have a break, or cannot tell.

    Args:
        table: A CSV file with a header and one row a run; several seeds a size.
        size: Its column of sizes: parameters, training samples, compute.
        loss: Its column of losses.
        held_out: How many of the largest sizes are predicted and not fitted.
        seed: Randomness of the p-value of a break.
        as_json: Print JSON instead of text.
    """
    import torch

    from blockspin.couplings.scaling_law import held_out as fitted

    losses = losses_in(table, size, loss)
    law, checks = fitted(losses, held_out, generator=torch.Generator().manual_seed(seed))
    print(json.dumps(_plain(law, checks), indent=1) if as_json else _text(law, checks))
    return 0


def losses_in(table: Path, size: str, loss: str) -> dict[float, list[float]]:
    """Return the losses of a CSV file by size.

    Raises:
        ConfigError: If it cannot be read, lacks a column, or holds what is no number.
    """
    found: dict[float, list[float]] = {}
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            missing = {size, loss} - set(rows.fieldnames or ())
            if missing:
                raise ConfigError("table", str(table), f"a CSV file with the columns {size} and {loss} in its header.")
            for row in rows:
                found.setdefault(float(row[size]), []).append(float(row[loss]))
    except (OSError, ValueError, TypeError, csv.Error) as reason:
        raise ConfigError("table", str(table), f"a readable CSV file of numbers ({reason}).") from None
    return found


def _plain(law: ScalingLaw, checks: tuple[HeldOut, ...]) -> dict[str, Any]:
    names = {"exponent": law.exponent, "irreducible": law.irreducible}
    numbers = {name: {"value": value, "interval": _finite(ends)} for name, (value, ends) in names.items()}
    return {
        "verdict": law.verdict.value,
        "level": law.level,
        **numbers,
        "p_value": law.p_value,
        "break": {"p_value": law.break_p, "at": law.break_at},
        "sizes": list(law.sizes),
        "runs": law.runs,
        "held_out": [{**asdict(check), "inside": check.inside} for check in checks],
    }


def _finite(ends: tuple[float, float]) -> list[float | None]:
    return [None if end == float("inf") else end for end in ends]  # JSON has no infinity


def _text(law: ScalingLaw, checks: tuple[HeldOut, ...]) -> str:
    (alpha, (low, high)), (floor, (least, most)) = law.exponent, law.irreducible
    lines = [
        f"L(N) = E + A N^-alpha on {len(law.sizes)} sizes, {law.runs} runs: {law.verdict.value}",
        f"alpha = {alpha:.4g} ({100 * law.level:g} %: {low:.4g} to {high:.4g})",
        f"E = {floor:.4g} ({100 * law.level:g} %: {least:.4g} to {most:.4g})",
        f"p = {law.p_value:.2g} for a worse misfit; p = {law.break_p:.2g} for so strong a break, at {law.break_at:.3g}",
    ]
    lines += [
        f"held out, N = {check.size:g}: {check.loss:.5g}, predicted {check.low:.5g} to {check.high:.5g}: "
        + ("inside" if check.inside else "OUTSIDE")
        for check in checks
    ]
    return "\n".join(lines)
