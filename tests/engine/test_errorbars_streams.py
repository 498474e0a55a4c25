"""Error bars of quantiles and of pairs of fields cover as often as they say."""

import pytest
import torch
from engine.test_errorbars import assert_covers, read
from scipy.stats import norm

from blockspin import Ensemble, Measurement, Unordered
from blockspin.observables.linear_prediction import LinearPrediction
from blockspin.observables.quantiles import Quantiles


def entry(measurement, index):
    """One number of an array of them."""
    return Measurement(measurement.value[index], measurement.error[index], dof=measurement.dof)


@pytest.fixture(scope="module")
def measured():
    """Two fields of three sites: x white, y = x + noise of the same variance."""
    rows = []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        x, e = torch.randn(2, 400, 3, dtype=torch.float64, generator=generator)
        first = Ensemble.of(x)
        fields = {"x": first, "y": first.with_values((x + e)[:, :, None], Unordered(3))}
        found = read(fields, [Quantiles((0.05, 0.5)), LinearPrediction()]).measurements()
        rows.append({**found[("x",)], **found[("x", "y")]})
    return rows


@pytest.mark.parametrize("level", [0.05, 0.5])
@pytest.mark.slow
def test_halves_of_groups_cover_for_quantiles(measured, level):
    index = (0.05, 0.5).index(level)
    assert_covers([entry(row["quantiles/quantiles"], index) for row in measured], norm.ppf(level))
    assert_covers([entry(row["quantiles/magnitudes"], index) for row in measured], norm.ppf(0.5 + level / 2))


@pytest.mark.parametrize("quantity", ["second_from_first", "first_from_second", "shared"])
@pytest.mark.slow
def test_jackknife_covers_for_linear_prediction(measured, quantity):
    truth = 1.5 if quantity == "shared" else 0.5
    assert_covers([row[f"linear-prediction/{quantity}"] for row in measured], truth)
