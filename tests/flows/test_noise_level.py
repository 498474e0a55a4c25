"""The flow over the level of noise: everything is known of the best denoiser of Gaussian data."""

import pytest
import torch

from blockspin import Ensemble
from blockspin.errors import ConfigError, NonFiniteError, ShapeError
from blockspin.flows.noise_level import noise_flow

EIGENVALUES = torch.tensor([9.0, 4.0, 1.0, 0.25, 0.01], dtype=torch.float64)
LEVELS = (0.05, 0.5, 3.0)


def data(samples=4000):
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(samples, 5, dtype=torch.float64, generator=generator) * EIGENVALUES.sqrt()
    return Ensemble.of(field, units=torch.arange(samples))


def best(y, sigma):
    return y * (EIGENVALUES / (EIGENVALUES + sigma**2))[:, None]


def flow_of(denoiser, levels=LEVELS):
    return noise_flow("gaussian", denoiser, data(), levels, generator=torch.Generator().manual_seed(1))


def test_the_best_denoiser_of_gaussian_data_is_known():
    for scale in flow_of(best):
        sigma, found = scale.position, scale.measurements
        gain = EIGENVALUES / (EIGENVALUES + sigma**2)
        expected = {
            "mmse": sigma**2 * gain.sum(),
            "directions": gain.sum(),
            "participation_ratio": gain.sum() ** 2 / gain.square().sum(),
            "posterior_variance": sigma**2 * gain.sum(),
            "consistency": 1.0,
        }
        for key, value in expected.items():
            number = found[f"denoiser/{key}"]
            assert abs(number.value - float(value)) <= 4 * number.error + 1e-12, key


def test_noise_hides_directions_one_after_the_other():
    directions = [scale.measurements["denoiser/directions"].value for scale in flow_of(best)]
    assert directions == sorted(directions, reverse=True)


def test_another_denoiser_is_not_consistent():
    number = flow_of(lambda y, sigma: 0.5 * y, (0.5,))[0].measurements["denoiser/consistency"]
    assert number.value > 1 + 10 * number.error


def test_what_is_no_denoiser_is_refused():
    with pytest.raises(ConfigError, match="levels"):
        flow_of(best, (0.0,))
    with pytest.raises(ShapeError):
        flow_of(lambda y, sigma: y[:, :2])
    with pytest.raises(NonFiniteError):
        flow_of(lambda y, sigma: y / 0)
