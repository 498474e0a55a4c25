"""Scaling: fit a power law to the losses of runs and predict the largest."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from blockspin.cli._csv import numbers_in
from blockspin.cli._said import say
from blockspin.errors import TooFewSamplesError

if TYPE_CHECKING:
    from blockspin.couplings.scaling_law import HeldOut, ScalingLaw

FEWEST = 4
"""Sizes without which no law is fitted, and repeats without which seeds do not tell the noise."""
OVER_RECORDS = "errors of the losses over the records; what another training of the same network changes is not in it"


def command(
    table: Path,
    /,
    *,
    size: str = "",
    loss: str = "loss",
    held_out: int = 0,
    seed: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Fit a power law to the losses of runs and predict the largest.

    The law is L(N) = E + A N^-alpha, E being what no size reduces; runs are independent. Says whether losses follow
    such a law, have a break, or cannot tell.

    Args:
        table: A CSV file with a header and one row a run, several seeds a size; or the folder of a sweep over models,
            or of a run on a family, whose losses were measured (give --targets there).
        size: Its column of sizes (parameters, training samples, compute), by default size; of a folder, parameters by
            default, or a field that the sweep varied.
        loss: Its column of losses.
        held_out: How many of the largest sizes are predicted and not fitted.
        seed: Randomness of the p-value of a break.
        as_json: Print JSON instead of text.
    """
    import torch

    from blockspin.answer import Verdict
    from blockspin.couplings.scaling_law import held_out as fitted

    left_out: tuple[str, ...] = ()
    noise: tuple[float, int] | None = None
    if table.is_dir():
        losses, noise, left_out = losses_of(table, size)
    else:
        losses = losses_in(table, size or "size", loss)
    law, checks = fitted(losses, held_out, generator=torch.Generator().manual_seed(seed), noise=noise)
    if noise is not None and law.verdict is Verdict.NO:  # by as much as another training might differ
        law = replace(law, verdict=Verdict.CANNOT_TELL)
    told = {"noise": "scatter of seeds" if noise is None else OVER_RECORDS, "left_out": list(left_out)}
    lines = [_text(law, checks), *(() if noise is None else (f"noise: {OVER_RECORDS}",))]
    lines += [f"left out, {row}" for row in left_out]
    say({**_plain(law, checks), **told}, "\n".join(lines), as_json=as_json)
    return 0


def losses_of(folder: Path, size: str) -> tuple[dict[float, list[float]], tuple[float, int] | None, tuple[str, ...]]:
    """Return the losses of a sweep's or a family's networks by size, their noise, and what was left out.

    The noise is None where seeds are enough to tell it.

    Raises:
        TooFewSamplesError: If fewer than four sizes have a loss, naming what the others lack.
    """
    from blockspin.flows.sizes import PARAMETERS, sizes_of

    found = sizes_of(folder, size or PARAMETERS)
    if len(found.losses) < FEWEST:
        lacks = "; ".join(found.left_out) or "the folder holds no others"
        raise TooFewSamplesError(f"{len(found.losses)} sizes in {folder} have a loss, of {FEWEST} needed ({lacks})")
    repeats = len(found.networks) - len(found.losses)
    return found.losses, None if repeats >= FEWEST else found.noise, found.left_out


def losses_in(table: Path, size: str, loss: str) -> dict[float, list[float]]:
    """Return the losses of a CSV file by size.

    Raises:
        ConfigError: If it cannot be read, lacks a column, or holds what is no number.
    """
    found: dict[float, list[float]] = {}
    for at, value in numbers_in(table, (size, loss)):
        found.setdefault(at, []).append(value)
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
