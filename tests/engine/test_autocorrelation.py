"""The integrated autocorrelation time: right on chains where it is known, refused where it cannot be told."""

import pytest
import torch

from blockspin.engine.autocorrelation import integrated_time
from blockspin.errors import ConstantUnitsError, NonFiniteError, ShapeError, TooFewSamplesError


def ar1(keep: float, chains: int, times: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(chains, times, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for t in range(1, times):
        x[:, t] = keep * x[:, t - 1] + (1 - keep**2) ** 0.5 * x[:, t]
    return x


@pytest.mark.parametrize("keep", [-0.3, 0.0, 0.6, 0.9])
def test_an_autoregressive_chain_has_its_known_time(keep):
    found = integrated_time(ar1(keep, 20, 5000) + 100)
    # a window of 5 tau leaves out less than exp(-2.5 (1 + keep) ...) of the sum: below the error here
    assert abs(found.value - (1 + keep) / (1 - keep)) < 4 * found.error
    assert found.error < 0.1 * max(1.0, found.value)


def test_effective_samples_predict_the_error_of_the_mean():
    x = ar1(0.8, 400, 2000)
    found = integrated_time(x)
    assert x.numel() / found.n_eff == pytest.approx(found.value)
    predicted = (float(x.var()) * found.value / 2000) ** 0.5  # of the mean of one chain
    assert float(x.mean(1).std()) == pytest.approx(predicted, rel=4 / (2 * 400) ** 0.5)


@pytest.mark.slow
def test_its_errors_cover_the_truth():
    found = [integrated_time(ar1(0.5, 4, 1000, seed)) for seed in range(100)]
    inside = sum(abs(m.value - 3) < m.error for m in found)
    assert 48 <= inside <= 86  # binomial, 68 of 100 within four deviations


def test_short_chains_are_refused_with_the_estimate():
    with pytest.raises(TooFewSamplesError, match=r"shorter than 50 autocorrelation times \(tau is at least"):
        integrated_time(ar1(0.95, 10, 500))


@pytest.mark.parametrize(
    ("series", "error"),
    [
        (torch.ones(100), ConstantUnitsError),
        (torch.tensor([1.0, float("nan")] * 50), NonFiniteError),
        (torch.ones(2, 3, 4), ShapeError),
        (torch.ones(1), ShapeError),
    ],
)
def test_what_is_no_series_is_refused_by_name(series, error):
    with pytest.raises(error):
        integrated_time(series)
