"""Canonical dimensions of data: refusals, surrogates, and what finds which signal."""

import pytest
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, ConstantUnitsError, FitFailedError, TooFewSamplesError
from blockspin.geometry import Chain
from blockspin.law import enumerate_law
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.canonical_dimensions import CanonicalDimensions
from blockspin.observables.noise_surrogates import against_noise, phase_randomised, shuffled, white_noise

SITES, SAMPLES = 200, 401


def data(seed: int = 0, spikes: int = 0, variance: float = 1.0) -> Ensemble:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(SAMPLES, SITES, dtype=torch.float64, generator=generator)
    values[:, :spikes] *= variance**0.5
    turn = torch.linalg.qr(torch.randn(SITES, SITES, dtype=torch.float64, generator=generator)).Q
    return Ensemble.of(values @ turn.T)


def test_scales_of_the_sites_do_not_matter():
    plain = data(1)
    scaled = plain.times(torch.linspace(1, 50, SITES, dtype=torch.float64)[:, None])
    first, second = evaluate(CanonicalDimensions(), plain), evaluate(CanonicalDimensions(), scaled)
    assert all(torch.allclose(first[key], second[key], rtol=1e-9) for key in first)


def test_what_cannot_be_measured_is_refused_by_name():
    observable, ensemble = CanonicalDimensions(), data()
    with pytest.raises(ConfigError):
        CanonicalDimensions(window=(0.3, 0.1))
    with pytest.raises(TooFewSamplesError, match="not more than"):
        evaluate(observable, ensemble.select(torch.arange(SITES)))
    narrow = CanonicalDimensions(window=(1e-4, 1e-3))
    state = accumulate(narrow.monoid, ensemble)
    assert set(narrow.value(state)) == {"beyond", "largest"}
    assert "wider" in narrow.absent(state)["quartic"]
    dead = ensemble.with_values(torch.cat([ensemble.values[:, :-1], torch.ones(SAMPLES, 1, 1)], dim=1))
    with pytest.raises(ConstantUnitsError):
        evaluate(observable, dead)
    with pytest.raises(FitFailedError, match="exact law"):
        evaluate(observable, enumerate_law(Chain(4), (-1.0, 1.0), lambda s: s.sum(1)))


def test_surrogates_keep_what_they_promise_and_lose_the_correlations():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(64, 3, 1, dtype=torch.float64, generator=generator).cumsum(0)
    mixed = shuffled(values, generator)
    assert torch.equal(mixed.sort(0).values, values.sort(0).values)
    turned = phase_randomised(values, generator)
    power = [torch.fft.rfft(x, dim=0).abs() for x in (values, turned)]
    assert torch.allclose(*power, atol=1e-9)
    assert white_noise(values, generator).shape == values.shape


def test_noise_is_called_noise_and_strong_signal_is_not():
    generator = torch.Generator().manual_seed(0)
    noise = against_noise(data(3), CanonicalDimensions(), generator=generator, count=39)
    assert min(row.p_value for row in noise.values()) > 0.05
    single = against_noise(data(4, 1, 6.0), CanonicalDimensions(), white_noise, generator=generator, count=39)
    assert single["largest"].p_value == pytest.approx(2 / 40)
    with pytest.raises(TooFewSamplesError):
        against_noise(data(), CanonicalDimensions(), generator=generator, count=3)


def rejections(spikes: int, variance: float, seeds: int) -> dict[str, int]:
    """Count the data sets that lie outside of what 95 % of noise does."""
    keys = ("quadratic", "largest")
    null, found = ([evaluate(CanonicalDimensions(), data(seed)) for seed in range(1000, 1200)], dict.fromkeys(keys, 0))
    bounds = {key: torch.stack([row[key] for row in null]) for key in keys}
    for seed in range(seeds):
        row = evaluate(CanonicalDimensions(), data(seed, spikes, variance))
        low, high = bounds["quadratic"].quantile(0.025), bounds["quadratic"].quantile(0.975)
        found["quadratic"] += not low <= row["quadratic"] <= high
        found["largest"] += bool(row["largest"] > bounds["largest"].quantile(0.95))
    return found


@pytest.mark.slow
def test_the_largest_eigenvalue_finds_a_spike_and_dimensions_find_what_is_spread():
    noise = rejections(0, 1.0, 200)
    assert all(count <= 20 for count in noise.values())  # one in a hundred has more at 5 % (and an estimated bound)
    spike = rejections(1, 2.5, 100)
    assert spike["largest"] > 80 > 40 > spike["quadratic"]
    spread = rejections(100, 1.3, 100)
    assert spread["quadratic"] > spread["largest"] + 10
