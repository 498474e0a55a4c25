"""Random-matrix surrogates: their law, and that their p-values say what they claim where the textbook's do not."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm

from blockspin.couplings.power_law import Tail, bootstrap_p_value, find_tail
from blockspin.spectra.surrogate import non_zero, power_law_population, surrogate_test, wishart_spectra


def quantiles(count):
    return (np.arange(count) + 0.5) / count


def power_law(count, alpha=2.5):
    return quantiles(count) ** (-1 / (alpha - 1))


def stepped(count):
    """Two fifths power law, alpha = 3, above a flat bulk."""
    tail = int(0.4 * count)
    return np.concatenate([power_law(tail, 3.0), np.linspace(0.9, 0.2, count - tail)])


POPULATIONS = {
    "power law": power_law,
    "stepped": stepped,
    "log-normal": lambda count: np.exp(norm.isf(quantiles(count))),
    "white": np.ones,
}


@cache
def outcomes(kind, columns, rows, seeds, most=99):
    """p-values, exponents and spreads on Wishart spectra, one a seed."""
    population, results = POPULATIONS[kind](columns), []
    for seed in range(seeds):
        spectrum = wishart_spectra(population, rows, 1, np.random.default_rng(1000 + seed))[0]
        tail = find_tail(spectrum)
        generator = torch.Generator().manual_seed(seed)
        test = surrogate_test(spectrum, tail, rows, generator=generator, most=most)
        results.append((test.p_value, tail.alpha, test.alpha_spread))
    return np.array(results).T


def not_too_small(p_values, levels=(0.05, 0.1, 0.2)):
    """No more p-values at or below a level than chance allows, one-sided 1 %."""
    return all((p_values <= q).sum() <= binom.ppf(0.99, len(p_values), q) for q in levels)


def test_spectra_are_those_of_gaussian_matrices():
    rng, population, rows, draws = np.random.default_rng(0), power_law(12), 20, 4000
    fast = wishart_spectra(population, rows, draws, rng)
    W = rng.standard_normal((draws, rows, 12)) * np.sqrt(population / rows)
    slow = np.linalg.svd(W, compute_uv=False) ** 2
    for statistic in (
        lambda s: np.log(s[:, 0]),
        lambda s: np.log(s[:, -1]),
        lambda s: s.sum(1),
        lambda s: s[:, 3] ** 0.5,
    ):
        first, second = statistic(fast), statistic(slow)
        error = np.hypot(first.std(), second.std()) / draws**0.5
        assert abs(first.mean() - second.mean()) < 4 * error
        assert first.std() == pytest.approx(second.std(), rel=0.15)


def test_population_has_the_tail_and_keeps_the_bulk_below():
    population = power_law_population(Tail(2.5, 1.0, 40, 0.0, 0.0), np.array([0.3, 5.0, 0.1]))
    assert (np.diff(population) <= 0).all()
    assert population[40] == 1.0
    slope = np.polyfit(np.log(quantiles(40)), np.log(population[:40]), 1)[0]
    assert -1 / slope + 1 == pytest.approx(2.5, rel=1e-12)


def test_the_test_has_no_scale_and_is_reproducible():
    spectrum = wishart_spectra(power_law(32), 64, 1, np.random.default_rng(3))[0]
    found = [
        surrogate_test(x, find_tail(x), 64, generator=torch.Generator().manual_seed(0), most=20)
        for x in (spectrum, spectrum * 1e6, spectrum[::-1])
    ]
    assert found[0].p_value == found[1].p_value == found[2].p_value
    assert found[0].alpha_spread == pytest.approx(found[1].alpha_spread, rel=1e-6)


def test_zero_is_what_rounding_makes():
    assert len(non_zero(np.array([1.0, 1e-3, 1e-15]), 100)) == 2


@pytest.mark.slow
def test_p_values_are_not_too_small_on_power_law_populations():
    assert not_too_small(outcomes("power law", 24, 48, 30, 39)[0])


def test_the_textbook_p_value_is_not_calibrated_for_eigenvalues():
    """It takes them as independent, so that rigid spectra fit too well: hardly a p below one half."""
    below = 0
    for seed in range(20):
        x = np.sort(wishart_spectra(power_law(48), 192, 1, np.random.default_rng(seed))[0])
        generator = torch.Generator().manual_seed(seed)
        below += bootstrap_p_value(x, find_tail(x), generator=generator, replicas=19) <= 0.5
    assert below < binom.ppf(1e-3, 20, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rows"), [("power law", 128), ("power law", 64), ("stepped", 128)])
def test_p_values_are_calibrated_over_200_seeds(kind, rows):
    p_values, alphas, spreads = outcomes(kind, 64, rows, 200)
    assert not_too_small(p_values)
    assert (p_values <= 0.5).sum() >= 40  # conservative, and not void
    assert np.mean(np.abs(alphas - alphas.mean()) < spreads) > 0.68 - 4 * 0.033


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["log-normal", "white"])
def test_other_populations_are_rejected_more_often_than_the_level(kind):
    p_values = outcomes(kind, 64, 128, 200)[0]
    assert (p_values <= 0.05).sum() > binom.ppf(0.999, 200, 0.05)
