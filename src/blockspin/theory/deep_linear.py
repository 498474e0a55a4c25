"""Deep linear network: the strength of each mode of the target along gradient flow, in closed form."""

from __future__ import annotations

from math import atan, exp, expm1, log, sqrt

from scipy.optimize import brentq

from blockspin.errors import FitFailedError

DEPTHS = (1, 2, 3)


def rate(u: float, s: float, depth: int) -> float:
    r"""Return du/dt of the strength u of one mode under gradient flow.

    .. math:: \dot u = L\, u^{2 - 2/L} (s - u)

    For the loss |W_L ... W_1 - M|^2 / 2 (inputs white) where the layers are balanced and aligned with the singular
    vectors of M: modes do not mix.

    Args:
        u: Strength of the mode in the product of all layers.
        s: Its strength in the target M.
        depth: Number of layers L.

    Source: saxe2014.
    """
    return float(depth * u ** (2 - 2 / depth) * (s - u))


def time_to(u: float, s: float, start: float, depth: int) -> float:
    """Return the time of gradient flow from strength ``start`` to ``u``, the integral of du / (du/dt).

    Args:
        u: Strength at the end, between ``start`` and s.
        s: Strength in the target.
        start: Strength at time 0, positive and below s.
        depth: Number of layers: 1, 2 or 3.

    Raises:
        FitFailedError: If the strengths are not in order, or the depth has no closed form here.

    Source: saxe2014.
    """
    if depth not in DEPTHS:
        raise FitFailedError(f"no closed form is held for {depth} layers", f"Take one of {DEPTHS}.")
    if not 0 < start <= u < s:
        raise FitFailedError(f"strengths {start} to {u} of {s} are not in order", "Need 0 < start <= u < s.")
    return _antiderivative(u, s, depth) - _antiderivative(start, s, depth)


def strength(t: float, s: float, start: float, depth: int) -> float:
    """Return the strength of a mode at time ``t`` of gradient flow.

    Explicit for one and two layers, the solution of ``time_to`` for three, to 1e-14 of s.

    Args:
        t: Time, at least 0: the learning rate times the number of steps.
        s: Strength in the target.
        start: Strength at time 0, positive and below s.
        depth: Number of layers: 1, 2 or 3.

    Raises:
        FitFailedError: As ``time_to``.

    Source: saxe2014.
    """
    time_to(start, s, start, depth)  # refuses
    if depth == 1:
        return start - (s - start) * expm1(-t)
    if depth == 2:
        decayed = exp(-2 * s * t)
        return s * start / (start + (s - start) * decayed)
    end = s * (1 - 1e-15)
    if t <= 0 or t >= time_to(end, s, start, depth):
        return start if t <= 0 else s
    return float(brentq(lambda u: time_to(u, s, start, depth) - t, start, end, xtol=1e-14 * s, rtol=1e-14))


def half_time(s: float, start: float, depth: int) -> float:
    """Return the time at which half of a mode is learned: for a small start, about 1 / (its strength) times a constant.

    Args:
        s: Strength in the target.
        start: Strength at time 0, below s / 2.
        depth: Number of layers: 1, 2 or 3.

    Raises:
        FitFailedError: As ``time_to``.

    Source: saxe2014.
    """
    return time_to(s / 2, s, start, depth)


def _antiderivative(u: float, s: float, depth: int) -> float:
    if depth == 1:
        return -log(s - u)
    if depth == 2:
        return (log(u) - log(s - u)) / (2 * s)
    w, a = u ** (1 / 3), s ** (1 / 3)  # strength of one layer: dw/dt = w^2 (s - w^3)
    square = w * w + a * w + a * a
    logs = 0.5 * log(square) - log((s - u) / square)  # s - u = (a - w) (w^2 + a w + a^2), without cancellation
    return (-1 / w + (logs - sqrt(3) * atan((2 * w + a) / (sqrt(3) * a))) / (3 * a)) / s
