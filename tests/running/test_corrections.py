"""Corrections to scaling: planted laws are covered, extrapolations widen, too few sizes are refused."""

from math import inf

import numpy as np
import pytest
from planted import COARSENING, running

from blockspin.errors import ConfigError, FitFailedError, NonFiniteError, TooFewSamplesError
from blockspin.running.corrections import extrapolate, extrapolate_running

L = np.array([8, 12, 16, 24, 32, 48, 64.0])


def planted(seed, amplitude, omega, dof=inf, sigma=0.01):
    rng = np.random.default_rng(seed)
    y = 0.6 + amplitude * L**-omega + sigma * rng.standard_normal(7)
    return y, np.diag(np.full(7, sigma**2) if np.isinf(dof) else sigma**2 * rng.chisquare(dof, 7) / dof)


@pytest.mark.parametrize("dof", [inf, 19.0])
@pytest.mark.parametrize(("amplitude", "omega"), [(1.0, 1.0), (1.0, 2.0), (0.1, 0.8), (0.0, 1.0)])
def test_limits_and_predictions_are_covered(amplitude, omega, dof):
    held, predicted, failed, seeds = 0, 0, 0, 200
    for seed in range(seeds):
        y, C = planted(seed, amplitude, omega, dof)
        try:
            found = extrapolate(L, y, C, dof=dof, level=0.9)
        except FitFailedError:
            failed += 1
            continue
        low, high = found.limit[1]
        held += low <= 0.6 <= high
        low, high = found.predict(128)[1]
        predicted += low <= 0.6 + amplitude * 128.0**-omega <= high
    assert failed <= 10  # refused at 1 %
    assert min(held, predicted) >= 0.86 * (seeds - failed)


def test_a_correction_is_told_where_it_is_needed():
    assert extrapolate(L, *planted(0, 1.0, 1.0)).needed
    found = extrapolate(L, *planted(0, 0.0, 1.0))
    assert not found.needed
    low, high = found.limit[1]
    assert high - low > 2 * found.constant[1]  # what could still be there widens


def test_extrapolations_widen():
    found = extrapolate(L, *planted(0, 1.0, 1.0))
    widths = [np.diff(found.predict(size)[1])[0] for size in (64, 128, 512, 4096)]
    assert widths == sorted(widths)
    assert widths[-1] < np.diff(found.limit[1])[0]
    assert found.predict(1e12)[0] == pytest.approx(found.limit[0], abs=1e-3)


def test_a_known_exponent_narrows():
    y, C = planted(0, 1.0, 1.0)
    free, known = extrapolate(L, y, C), extrapolate(L, y, C, exponents=(1.0, 1.0))
    assert np.diff(known.limit[1]) < np.diff(free.limit[1]) / 2
    assert free.exponent[1][0] <= 1.0 <= free.exponent[1][1]


def test_of_a_running():
    y, C = planted(0, 1.0, 1.0)
    run = running(y, C, positions=L, axis=COARSENING, lengths=False)
    assert extrapolate_running(run, "g").limit == extrapolate(L, y, C).limit


@pytest.mark.parametrize(
    ("sizes", "options", "error"),
    [
        (L[:3], {}, TooFewSamplesError),
        (L[:2], {"exponents": (1.0, 1.0)}, TooFewSamplesError),
        (np.array([8, 8, 16, 32.0]), {}, ConfigError),
        (-L[:4], {}, ConfigError),
        (L[:4], {"exponents": (0.0, 1.0)}, ConfigError),
    ],
)
def test_refusals(sizes, options, error):
    n = len(sizes)
    with pytest.raises(error):
        extrapolate(sizes, np.linspace(1, 2, n), np.eye(n), **options)


def test_values_must_be_finite_and_follow_the_law():
    with pytest.raises(NonFiniteError):
        extrapolate(L, np.full(7, np.nan), np.eye(7))
    with pytest.raises(FitFailedError, match="no single power"):
        extrapolate(L, (-1.0) ** np.arange(7), 1e-4 * np.eye(7))
    with pytest.raises(ConfigError):
        extrapolate(L, *planted(0, 1.0, 1.0)).predict(-1.0)
