"""Walking: a planted slow stretch is found, a power law and a fixed point are none, and errors leave it open."""

import numpy as np
import pytest
from planted import exact_flow, generator, running

from blockspin.answer import Verdict
from blockspin.errors import BlockspinError, ConfigError
from blockspin.running.beta_function import fit_beta
from blockspin.running.walking import walking


def fitted(rate, start, scales, sigma, seed=0):
    g = exact_flow(np.array([start]), scales, rate=rate)
    noise = sigma * np.random.default_rng(seed).standard_normal(g.shape)
    return fit_beta(running(g + noise, sigma**2 * np.eye(len(g)), 19.0), generator=generator(seed))


def slow(g):
    """Fast at both ends of -1 to 1, and twenty times slower at zero, without ever stopping."""
    return 0.05 + g**2


def test_a_planted_slow_stretch_is_found():
    found = walking(fitted(slow, -1.0, 12, 0.005))
    assert found.verdict is Verdict.YES
    assert found.at[0] == pytest.approx(0.0, abs=0.1)
    assert found.speeds[0].value == pytest.approx(0.05, abs=4 * found.speeds[0].error)
    assert "it walks" in found.statement


def test_a_fixed_point_is_not_walked_past():
    found = walking(fitted(lambda g: 0.5 - g, 0.0, 12, 0.003))
    assert found.verdict is Verdict.NO
    assert "fixed point" in found.statement


def test_a_power_law_does_not_walk():
    found = walking(fitted(lambda g: 0.5 * g, 0.1, 6, 0.003))
    assert found.verdict is Verdict.NO
    assert "not slowest inside" in found.statement


@pytest.mark.slow
def test_power_laws_are_called_walking_no_more_often_than_the_level():
    alarms = 0
    for seed in range(100):
        try:
            alarms += walking(fitted(lambda g: 0.5 * g, 0.1, 7, 0.01, seed)).verdict is Verdict.YES
        except BlockspinError:
            continue
    assert alarms <= 11  # one-sided 1 % of a binomial of 5 %


def test_several_couplings_have_no_one_speed():
    rows = np.stack([0.5 + 0.4 * 0.5 ** np.arange(7), 0.2 * 2.0 ** np.arange(7)], 1)
    both = fit_beta(running(rows, 1e-6 * np.eye(14)), generator=generator(), order=1)
    with pytest.raises(ConfigError, match="several"):
        walking(both)
