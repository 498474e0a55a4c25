"""Course: what couplings do along a running: they stay, obey a beta function with its fixed points, or obey none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch

from blockspin.answer import Verdict
from blockspin.errors import BlockspinError, FitFailedError, TooFewSamplesError
from blockspin.running._trajectories import trajectories
from blockspin.running.base import Running
from blockspin.running.beta_function import BetaFunction, fit_moving
from blockspin.running.fixed_points import GRID, FixedPoint, FixedPoints, fixed_points
from blockspin.running.plateau import Plateau, plateau
from blockspin.running.scaling import Exponent, Relevance, classified, stability
from blockspin.running.walking import Walking, walking

FEWEST = 3
"""Scales without which nothing is said: two points lie on some line, and whether they stay is the error's affair."""
LEVEL = 0.05


class Kind(Enum):
    """What couplings do."""

    STAYS = "stays"
    RUNS = "runs"
    NO_BETA = "no beta function"
    UNTOLD = "cannot tell"


@dataclass(frozen=True, eq=False)
class Course:
    """What couplings that were taken to run by themselves do along one running.

    Args:
        names: The couplings.
        labels: The scales at which all of them exist.
        kind: What they do.
        statement: One sentence.
        plateau: Where they would stay, with the chance of so much movement; None where that could not be fitted.
        beta: The beta function, where one describes them.
        fixed: Its fixed points within the measured range.
        rates: For every fixed point that is bounded, the eigenvalues there, largest first; none where complex.
        walking: Whether one coupling runs slowly between two limits; None of several, or without a beta function.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    kind: Kind
    statement: str
    plateau: Plateau | None = None
    beta: BetaFunction | None = None
    fixed: FixedPoints | None = None
    rates: tuple[tuple[Exponent, ...], ...] = ()
    walking: Walking | None = None

    @property
    def bounded(self) -> tuple[FixedPoint, ...]:
        """The fixed points whose region ends within the measured range."""
        return bounded_of(self.fixed)


def course(running: Running, names: Sequence[str], *, generator: torch.Generator) -> Course:
    """Say what couplings do along a running, by themselves.

    First whether they move at all, then by which beta function, then where that vanishes and how fast couplings leave
    or approach it there. Scales at which one of them does not exist are passed over. What cannot be said is told with
    its reason, and yields no number.

    Args:
        running: Along any axis.
        names: The couplings that run together, others playing no part.
        generator: Randomness of the simulated data sets.

    Do not trust when:
        Other couplings act on these: their flow is then no function of themselves, and the fit refuses it only where
        that shows. Couplings that stay have not been shown to be at a fixed point, as the statement says.

    Source:
        britt1973 for fits with errors in all variables, fieller1954 for regions of fixed points.
    """
    known = running.select(names=names).known().all(1).nonzero().flatten().tolist()
    part = running.select(names=names, scales=known)
    about = (part.names, part.labels)
    try:
        if len(part) < FEWEST:
            raise TooFewSamplesError(f"{len(part)} scales do not tell what a coupling does", f"Measure {FEWEST}.")
        still = plateau(part, generator=generator)
    except (BlockspinError, np.linalg.LinAlgError) as reason:
        return Course(*about, Kind.UNTOLD, f"{_listed(part.names)}: {reason}")
    if still.p_value >= LEVEL:
        return Course(*about, Kind.STAYS, _staying(still, len(part)), still)
    try:
        beta = fit_moving(trajectories(part, None), generator=generator)  # that they move was asked once
        fixed = fixed_points(beta, generator=generator) if len(beta.names) in GRID else None
    except TooFewSamplesError as reason:
        return Course(*about, Kind.UNTOLD, f"{_listed(part.names)}: {reason}", still)
    except (BlockspinError, np.linalg.LinAlgError) as reason:
        return Course(*about, Kind.NO_BETA, f"{_listed(part.names)}: {reason}", still)
    rates = tuple(_rates(beta, point) for point in bounded_of(fixed))
    walks = walking(beta) if len(beta.names) == 1 else None
    return Course(*about, Kind.RUNS, _running(beta, fixed, walks), still, beta, fixed, rates, walks)


def relevances(courses: Sequence[Course], *, level: float = LEVEL) -> list[tuple[tuple[Relevance, ...], ...]]:
    """Return what every direction at every bounded fixed point does, all of them having been looked at (Holm).

    Args:
        courses: All that were looked at.
        level: Probability of calling any direction relevant or irrelevant, growing or decaying, if all are marginal.

    Returns:
        By course, then by bounded fixed point.

    Source:
        holm1979.
    """
    kinds = iter(classified([e for found in courses for point in found.rates for e in point], level=level))
    return [tuple(tuple(next(kinds) for _ in point) for point in found.rates) for found in courses]


def bounded_of(fixed: FixedPoints | None) -> tuple[FixedPoint, ...]:
    """Return the fixed points whose region ends within the measured range."""
    return () if fixed is None else tuple(point for point in fixed.points if point.bounded)


def _rates(beta: BetaFunction, point: FixedPoint) -> tuple[Exponent, ...]:
    try:
        return stability(beta, point)
    except FitFailedError:  # complex: no direction has a rate of its own
        return ()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _staying(still: Plateau, scales: int) -> str:
    at = ", ".join(f"{name} = {value}" for name, value in still.values.items())
    return (
        f"{_listed(tuple(still.values))}: no movement beyond errors over {scales} scales (p = {still.p_value:.2g}), at "
        f"{at}; whether it is a fixed point cannot be told from what does not move."
    )


def _running(beta: BetaFunction, fixed: FixedPoints | None, walks: Walking | None) -> str:
    head = f"runs by a beta function of order {beta.order} per {beta.per} (p = {beta.p_value:.2g})"
    if fixed is None:
        return f"{_listed(beta.names)}: {head}; fixed points of {len(beta.names)} couplings are not looked for."
    _, _, rest = fixed.statement.partition(": ")
    certain = " " if fixed.verdict is not Verdict.CANNOT_TELL else " cannot be told: "
    slowly = f" {walks.statement}" if walks is not None and walks.verdict is Verdict.YES else ""
    return f"{_listed(beta.names)}: {head};{certain}{rest}.{slowly}"
