"""Scan: a flow along a parameter that somebody sets: a learning rate, a ridge, a temperature, an initial variance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log

import numpy as np

from blockspin.errors import ConfigError, FitFailedError, NonFiniteError, ShapeError, TooFewSamplesError
from blockspin.flow import Axis, Flow, Scale
from blockspin.measurement import Measurement

RESPONSE = ":response"
"""Ending of the derivative of a quantity by the logarithm of the parameter."""

Runs = Sequence[Mapping[str, float]]
"""What independent runs at one value of the parameter measured: a number a quantity, one mapping a seed."""


def scan_flow(name: str, axis: Axis, runs: Mapping[float, Runs], *, units: Mapping[str, str] | None = None) -> Flow:
    """Return a scan of a parameter as a flow: mean over seeds at every value, with its standard error.

    Args:
        name: What flows.
        axis: The parameter, its unit, and which way larger values lead where known: ``Axis("learning rate")``.
        runs: The measurements of each seed, {value: [{quantity: number}]}; values are put in ascending order.
        units: Units of the quantities; "1" where none is given.

    Raises:
        TooFewSamplesError: If a value has fewer than two seeds: they give no error.
        ShapeError: If seeds measured different quantities.
        NonFiniteError: If a number, or a value of the parameter, is NaN or infinite; a run that diverged is left out by
            the caller, who says so, or its loss is capped.

    Example:
        >>> flow = scan_flow("loss", Axis("learning rate"), {0.1: [{"loss": 2.0}, {"loss": 2.2}]})
        >>> print(flow[0].label, flow[0].measurements["loss"])
        0.1 2.10 ± 0.10
    """
    known = units or {}
    scales = []
    for value in sorted(runs):
        seeds = runs[value]
        if len(seeds) < 2:
            raise TooFewSamplesError(
                f"{axis.name} = {value:g} was run with {len(seeds)} seed(s), which give no error", "Run at least two."
            )
        if any(seed.keys() != seeds[0].keys() for seed in seeds):
            raise ShapeError(f"seeds at {axis.name} = {value:g} measured different quantities")
        rows = {key: _over_seeds(axis, value, key, seeds, known.get(key, "1")) for key in seeds[0]}
        scales.append(Scale(value, f"{value:g}", measurements=rows))
    return Flow(name, axis, tuple(scales))


def scan_of(name: str, axis: Axis, values: Sequence[float], measured: Mapping[str, Measurement]) -> Flow:
    """Return a scan whose quantities were measured at all values at once, as an array of a measurement each.

    What the observables ``effective-dimension`` (ridge) and ``softmax-energy`` (temperature) give in one pass over the
    data; their errors at different values come from the same samples and are not independent.

    Args:
        name: What flows.
        axis: The parameter.
        values: Its values, in the order of the arrays.
        measured: Arrays [values] by quantity.

    Raises:
        ShapeError: If an array has another length than ``values``.
    """
    for key, m in measured.items():
        if np.shape(m.value) != (len(values),):
            raise ShapeError(f"{key} has the shape {np.shape(m.value)} for {len(values)} values of {axis.name}")
    order = sorted(range(len(values)), key=lambda k: values[k])
    scales = (
        Scale(
            values[k],
            f"{values[k]:g}",
            measurements={
                key: Measurement(m.value[k], m.error[k], m.unit, m.n_eff, m.how, m.dof) for key, m in measured.items()
            },
        )
        for k in order
    )
    return Flow(name, axis, tuple(scales))


def with_response(flow: Flow, keys: Iterable[str]) -> Flow:
    r"""Return a scan with the derivative :math:`dX / d \ln \theta` of some quantities beside them: its heat capacity.

    Of the energy along the temperature T that is T C. By the parabola through three neighbouring values (ends: through
    the last three), with errors of the values taken as independent. Names end in ``":response"``.

    Args:
        flow: A scan over positive values; each quantity measured at every one.
        keys: Quantities, one number at each value.

    Raises:
        TooFewSamplesError: If there are fewer than three values.
        ConfigError: If a value is not positive: it has no logarithm.

    Do not trust when:
        Neighbouring values differ by so much that the third derivative counts: the error holds noise alone, not the
        step. The same seeds, or the same samples, were used at all values: the errors are then too large or too small.
    """
    weights = _derivative(_log_positions(flow))
    rows: dict[str, dict[str, Measurement]] = {label: {} for label in flow.labels}
    for key in keys:
        found = [scale.measurements[key] for scale in flow]
        value, error = (np.array([getattr(m, what) for m in found], dtype=float) for what in ("value", "error"))
        slopes, noise = weights @ value, np.sqrt(weights**2 @ error**2)
        dof = min(m.dof for m in found)
        how = f"three-point derivative by ln {flow.axis.name}; errors of the values independent"
        for k, label in enumerate(flow.labels):
            unit, n_eff = found[k].unit, found[k].n_eff
            rows[label][key + RESPONSE] = Measurement(slopes[k], noise[k], unit, n_eff, how, dof)
    return flow.with_measurements(rows)


def crossing(flow: Flow, key: str, level: float) -> Measurement:
    """Return the value of the parameter at which a quantity passes a level: a critical line, an edge of stability.

    On the straight line in ln of the parameter between the two values that bracket it; the error is that of the
    quantity there over its slope. Dimension: that of the parameter.

    Args:
        flow: A scan over positive values.
        key: The quantity.
        level: What it passes (chi = 1).

    Raises:
        FitFailedError: If it passes the level at no value, or more than once: which of them it is cannot be told.
        ConfigError: If a value of the parameter is not positive.
        TooFewSamplesError: If there are fewer than three values.

    Do not trust when:
        Values are far apart on a bent curve: the error holds noise alone.
    """
    t = _log_positions(flow)
    found = [scale.measurements[key] for scale in flow]
    gap = np.array([m.value - level for m in found], dtype=float)
    at = np.flatnonzero(np.sign(gap[:-1]) != np.sign(gap[1:]))
    if len(at) != 1:
        raise FitFailedError(f"{key} passes {level:g} {len(at)} times along {flow.axis.name}", "Scan another range.")
    k = int(at[0])
    share = gap[k] / (gap[k] - gap[k + 1])
    slope = (gap[k + 1] - gap[k]) / (t[k + 1] - t[k])
    noise = np.hypot((1 - share) * found[k].error, share * found[k + 1].error)
    where = exp(t[k] + share * (t[k + 1] - t[k]))
    dof = min(found[k].dof, found[k + 1].dof)
    how = f"{key} = {level:g} on the line through two values; error over slope"
    return Measurement(where, where * noise / abs(slope), flow.axis.unit, found[k].n_eff, how, dof)


def _over_seeds(axis: Axis, value: float, key: str, seeds: Runs, unit: str) -> Measurement:
    numbers = np.array([seed[key] for seed in seeds], dtype=float)
    if not np.isfinite([value, *numbers]).all():
        raise NonFiniteError(
            f"{key} at {axis.name} = {value:g} is NaN or infinite for {int((~np.isfinite(numbers)).sum())} seed(s)",
            "Leave the value out, or cap what diverged.",
        )
    error = numbers.std(ddof=1) / len(numbers) ** 0.5
    how = f"mean over {len(numbers)} seeds"
    return Measurement(numbers.mean(), error, unit, len(numbers), how, len(numbers) - 1)


def _log_positions(flow: Flow) -> np.ndarray:
    positions = [scale.position for scale in flow]
    if len(positions) < 3:
        raise TooFewSamplesError(f"{len(positions)} values of {flow.axis.name} are too few", "Scan at least three.")
    if min(positions) <= 0:
        raise ConfigError(flow.axis.name, min(positions), "positive values: the derivative is by the logarithm.")
    return np.array([log(position) for position in positions])


def _derivative(t: np.ndarray) -> np.ndarray:
    """Return the matrix of three-point derivatives at the points t, exact on parabolas."""
    weights = np.zeros((len(t), len(t)))
    for k in range(len(t)):
        start = min(max(k - 1, 0), len(t) - 3)
        near = t[start : start + 3] - t[k]
        powers = np.vander(near, 3, increasing=True).T  # 1, x, x^2
        weights[k, start : start + 3] = np.linalg.solve(powers, [0.0, 1.0, 0.0])
    return weights
