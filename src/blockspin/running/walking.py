"""Walking: where a coupling runs slowly between faster stretches without a fixed point: a crossover of two limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from blockspin.answer import Verdict
from blockspin.errors import ConfigError
from blockspin.measurement import Measurement
from blockspin.running.beta_function import BetaFunction

GRID = 401
"""Points of the measured range that are looked at."""


@dataclass(frozen=True, eq=False)
class Walking:
    """Whether a coupling walks.

    Args:
        verdict: Yes if it runs slower somewhere than on either side beyond errors, and does not stop; no if its speed
            cannot be least inside the range (it has no such minimum); else cannot tell.
        statement: The answer in a sentence.
        speeds: Where it is slowest and where it is fastest on either side; none where there is no minimum.
        at: The coupling there.
    """

    verdict: Verdict
    statement: str
    speeds: tuple[Measurement, ...] = ()
    at: tuple[float, ...] = ()


def walking(beta: BetaFunction, *, level: float = 0.05) -> Walking:
    r"""Say whether one coupling runs slowly between two limits.

    Its speed is :math:`|\beta(g)|`. It walks where that has a minimum above zero inside the measured range, and where
    each of the fastest points on either side is faster beyond errors: both differences, and the minimum itself, are
    tested with the joint covariance of beta at the level divided among the three. A coupling that grows or falls as
    one power of the length has a straight beta, and never walks.

    Args:
        beta: Of one coupling.
        level: Chance of calling a coupling walking whose speed is monotone.

    Raises:
        ConfigError: If beta is of several couplings.

    Do not trust when:
        The polynomial of beta is of higher order than the flow needs: it then has bends of its own.

    Source:
        holdom1985.
    """
    if len(beta.names) != 1:
        raise ConfigError("couplings", len(beta.names), "one; several have no one speed.")
    (name,) = beta.names
    g = np.linspace(beta.corners.min(), beta.corners.max(), GRID)
    value = beta.everywhere(g[:, None])[0][:, 0]
    inner = np.flatnonzero((np.abs(value[1:-1]) < np.abs(value[:-2])) & (np.abs(value[1:-1]) <= np.abs(value[2:]))) + 1
    crossed = bool((np.sign(value[:-1]) * np.sign(value[1:]) <= 0).any())
    if not len(inner) or crossed:
        why = "stops at a fixed point" if crossed else "is not slowest inside the measured range"
        return Walking(Verdict.NO, f"{name} does not walk: it {why}.")
    low = int(inner[np.abs(value[inner]).argmin()])
    sides = [int(np.abs(value[:low]).argmax()), low + 1 + int(np.abs(value[low + 1 :]).argmax())]
    sign = np.sign(value[low])
    points = g[[low, *sides]][:, None]
    phi = sign * beta.basis.at(points)
    C = phi @ beta.covariance @ phi.T
    speeds = np.abs(value[[low, *sides]])
    rise = [(speeds[k] - speeds[0]) / np.sqrt(C[k, k] + C[0, 0] - 2 * C[k, 0]) for k in (1, 2)]
    least = min(float(speeds[0] / np.sqrt(C[0, 0])), *map(float, rise))
    seen = 3 * float(student.sf(least, beta.dof)) < level
    unit = f"{beta.units[0]}/{beta.per}" if beta.units[0] != "1" else f"1/{beta.per}"
    found = tuple(
        Measurement(float(v), float(np.sqrt(C[k, k])), unit, beta.dof + 1, "fitted beta function", beta.dof)
        for k, v in enumerate(speeds)
    )
    head = f"{name} is slowest at {g[low]:.4g}, at {found[0]}, between {found[1]} and {found[2]}"
    if seen:
        return Walking(Verdict.YES, f"{head}: it walks.", found, tuple(g[[low, *sides]].tolist()))
    return Walking(
        Verdict.CANNOT_TELL, f"{head}, which errors allow to be none.", found, tuple(g[[low, *sides]].tolist())
    )
