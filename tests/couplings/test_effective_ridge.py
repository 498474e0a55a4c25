"""The ridge by errors, by the kernel and by the self-consistent equation are one."""

import numpy as np
import pytest
import torch
from grouped import group_states

from blockspin.couplings.effective_ridge import EffectiveRidge, regression_sample
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, FitFailedError, ShapeError, TooFewSamplesError
from blockspin.observables.base import accumulate
from blockspin.theory.kernel_regression_rg import effective_ridge

SAMPLES, MODES, RIDGE, NOISE = 100, 150, 0.5, 0.3
SPECTRUM = torch.arange(1, MODES + 1, dtype=torch.float64) ** -1.5


def regressions(count: int, seed: int, *, tied: bool = False) -> Ensemble:
    """Return regressions on Gaussian features; ``tied``: every training input stands there twice."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(MODES, dtype=torch.float64, generator=generator) * SPECTRUM.sqrt()
    rows = []
    for _ in range(count):
        x = torch.randn(2 * SAMPLES, MODES, dtype=torch.float64, generator=generator)
        if tied:
            x[1:SAMPLES:2] = x[0:SAMPLES:2]
        y = x @ target + NOISE * torch.randn(2 * SAMPLES, dtype=torch.float64, generator=generator)
        K = (x * SPECTRUM) @ x[:SAMPLES].T
        rows.append(regression_sample(K[:SAMPLES], K[SAMPLES:], y[:SAMPLES], y[SAMPLES:], RIDGE))
    return Ensemble.of(torch.stack(rows), units=torch.arange(count))


def test_both_ridges_are_that_of_the_equation():
    coupling = EffectiveRidge(RIDGE)
    found = jackknife(coupling, group_states(coupling, regressions(200, 0), chain=False))
    expected = effective_ridge(SPECTRUM.numpy(), SAMPLES, RIDGE)
    assert expected > 1.2 * RIDGE
    for key in ("ridge", "kernel_ridge"):  # the equation is of leading order in 1 / samples
        assert abs(found[key].value - expected) < 4 * found[key].error + expected / SAMPLES


def test_a_regression_that_the_theory_holds_for_fits():
    coupling = EffectiveRidge(RIDGE)
    parts = [accumulate(coupling.monoid, half) for half in regressions(200, 1).halves()]
    p_value = coupling.goodness(*parts).p_value
    assert p_value is not None
    assert p_value > 0.01


def test_inputs_that_stand_twice_do_not_fit():
    coupling = EffectiveRidge(RIDGE)
    parts = [accumulate(coupling.monoid, half) for half in regressions(200, 1, tied=True).halves()]
    p_value = coupling.goodness(*parts).p_value
    assert p_value is not None
    assert p_value < 1e-3


def test_a_sample_agrees_with_a_slow_twin():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(6, 4)), generator.normal(size=6)
    K = x @ x.T
    found = regression_sample(*map(torch.from_numpy, (K[:4, :4], K[4:, :4], y[:4], y[4:])), 0.7)
    weights = np.linalg.solve(x[:4].T @ x[:4] + 0.7 * np.eye(4), x[:4].T @ y[:4])  # the primal problem
    errors = [np.mean((part_y - part @ weights) ** 2) for part, part_y in ((x[:4], y[:4]), (x[4:], y[4:]))]
    trace = sum(1 / (value + 0.7) for value in np.linalg.eigvalsh(K[:4, :4]))
    assert found.tolist() == pytest.approx([*errors, 4 / trace], rel=1e-10)


def test_what_shows_no_ridge_is_refused():
    K, y = torch.eye(3), torch.ones(3)
    with pytest.raises(ConfigError):
        regression_sample(K, K, y, y, 0.0)
    with pytest.raises(ConfigError):
        EffectiveRidge(-1.0)
    with pytest.raises(ShapeError):
        regression_sample(K, K, y[:2], y, 1.0)
    coupling = EffectiveRidge()
    with pytest.raises(TooFewSamplesError):
        coupling.value({})
    with pytest.raises(ShapeError):
        coupling.value(accumulate(coupling.monoid, Ensemble.of(torch.randn(5, 2, generator=torch.Generator()))))
    with pytest.raises(FitFailedError):
        coupling.value(accumulate(coupling.monoid, Ensemble.of(torch.zeros(5, 3))))
