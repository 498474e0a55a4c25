"""Windows: a planted change of beta is found, one smooth flow is left whole, and each model wins at home."""

from math import log

import numpy as np
import pytest
from planted import exact_flow, generator, running
from scipy.stats import binom

from blockspin.answer import Verdict
from blockspin.errors import TooFewSamplesError
from blockspin.running.windows import windows

SCALES, CHANGE, DOF, SIGMA = 10, 5, 19, 0.01


def noisy(values, seed, sigma=SIGMA):
    """Return a running whose scales share most of their noise, with a covariance estimated from 20 groups."""
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    rng, size = np.random.default_rng(seed), values.size
    C = sigma**2 * (0.6 * np.ones((size, size)) + 0.4 * np.eye(size))
    root = np.linalg.cholesky(C)
    z = rng.standard_normal((DOF, size)) @ root.T
    return running(values + (root @ rng.standard_normal(size)).reshape(values.shape), z.T @ z / DOF, DOF)


def changed(seed):
    """g' = -g up to the scale of the change, and g' = +0.5 g after it."""
    x = log(2) * (np.arange(SCALES) - CHANGE)
    return noisy(2 ** -float(CHANGE) * 8 * np.where(x < 0, np.exp(-x), np.exp(0.5 * x)), seed)


def smooth(seed):
    """One beta function, of second degree, over all scales."""
    return noisy(exact_flow(0.48, 8, lambda g: 1.0 * (g - 0.5) + 0.3 * (g - 0.5) ** 2), seed)


def still(seed):
    """Three couplings that stay."""
    return noisy(np.tile([1.0, -2.0, 0.0], (6, 1)), seed)


@pytest.mark.slow
def test_a_planted_change_is_found_and_each_model_wins_at_home():
    found = windows(changed(0), generator=generator())
    assert found.verdict is Verdict.YES
    first, _ = found.windows
    assert abs(int(first.labels[-1]) - CHANGE) <= 1
    assert [len(w.effective) for w in found.windows] == [1, 1]
    assert min(w.effective[0].order for w in found.windows) >= 1
    cells = {(c.model, c.window): c for c in found.table}
    for own, other in ((0, 1), (1, 0)):
        assert cells[other, own].miss > 10 * cells[own, own].miss
        assert cells[other, own].wins


@pytest.mark.slow
def test_the_change_is_found_within_one_scale():
    seeds = 20
    ends = [windows(changed(seed), generator=generator(seed)).windows for seed in range(seeds)]
    right = sum(len(w) == 2 and abs(int(w[0].labels[-1]) - CHANGE) <= 1 for w in ends)
    assert right >= binom.ppf(0.01, seeds, 0.95)


@pytest.mark.slow
def test_two_plateaus_of_one_coupling_are_two_windows_of_both():
    steps = np.arange(10)
    found = windows(noisy(np.stack([np.where(steps < 4, 1.0, 2.0), 0 * steps + 3.0], 1), 0), generator=generator())
    assert [w.labels[-1] for w in found.windows] == ["3", "9"]
    assert [[e.order for e in w.effective] for w in found.windows] == [[0, 0], [0, 0]]
    for window, level in zip(found.windows, (1.0, 2.0), strict=True):
        (g,), (h,) = (e.first for e in window.effective)
        assert abs(g.value - level) < 4 * g.error
        assert abs(h.value - 3.0) < 4 * h.error
    assert all(cell.wins for cell in found.table if cell.model != cell.window)
    assert found.statement.endswith("in 2 of 2 comparisons.")


def test_what_no_window_describes_yields_none():
    found = windows(noisy([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], 0), generator=generator())
    assert found.verdict is Verdict.CANNOT_TELL
    assert not found.windows
    with pytest.raises(TooFewSamplesError):
        windows(noisy([0.0, 1.0], 0), generator=generator())


@pytest.mark.parametrize("seeds", [5, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", [smooth, still])
def test_one_theory_is_left_whole(seeds, family):
    alarms = sum(windows(family(seed), generator=generator(seed)).verdict is not Verdict.NO for seed in range(seeds))
    assert alarms <= binom.ppf(0.99, seeds, 0.05)
