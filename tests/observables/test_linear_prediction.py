"""Linear prediction: exact on Gaussian laws, unbiased on samples, equal to regression done by hand."""

import pytest
import torch

from blockspin import Chain, Ensemble, GaussianLaw, Unordered, member
from blockspin.errors import ConfigError, ConstantUnitsError, NotLinearError, TooFewSamplesError
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.linear_prediction import JointMoments, LinearPrediction, law_state

DOUBLE = torch.float64


def pair(x, y):
    first = Ensemble.of(x)
    return first, first.with_values(y[:, :, None], Unordered(y.shape[1]))


def noise(samples, sites, seed):
    return torch.randn(samples, sites, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def test_the_plain_share_is_that_of_least_squares():
    x = noise(200, 4, 0)
    y = x[:, :2] @ noise(2, 3, 1) + noise(200, 3, 2)
    found = evaluate(LinearPrediction(), *pair(x, y))
    a, b = x - x.mean(0), y - y.mean(0)
    residual = b - a @ torch.linalg.lstsq(a, b).solution
    plain = 1 - residual.square().sum() / b.square().sum()
    torch.testing.assert_close(found["plain_second_from_first"], plain, rtol=1e-12, atol=0)
    adjusted = 1 - (residual.square().sum() / (199 - 4)) / (b.square().sum() / 199)
    torch.testing.assert_close(found["second_from_first"], adjusted, rtol=1e-12, atol=0)


def test_block_averages_of_independent_sites_are_exact_on_the_law():
    """A block of b white sites is a function of them, and gives back 1 / b of their variance."""
    law = GaussianLaw.of(torch.eye(12, dtype=DOUBLE), Chain(12), mean=torch.ones(12, 1))
    coarse = member("schemes", "block-average")(b=3).fit(law, generator=torch.Generator())
    found = LinearPrediction().value(law_state(law, coarse))
    for key, expected in {"second_from_first": 1, "first_from_second": 1 / 3, "rank_second": 4, "shared": 4}.items():
        assert float(found[key]) == pytest.approx(expected, abs=1e-12)
    assert found["canonical"].tolist() == pytest.approx([1.0] * 4 + [0.0] * 28, abs=1e-12)


def test_a_law_that_does_not_stay_gaussian_is_refused():
    law = GaussianLaw.of(torch.eye(9, dtype=DOUBLE), Chain(9))
    signs = Ensemble.of(noise(20, 9, 0).sign(), Chain(9))
    vote = member("schemes", "majority-rule")(b=3).fit(signs, generator=torch.Generator())
    with pytest.raises(NotLinearError):
        law_state(law, vote)


def test_independent_fields_read_zero_on_average_where_the_plain_share_does_not():
    rows = [evaluate(LinearPrediction(), *pair(noise(60, 8, s), noise(60, 12, s + 999))) for s in range(200)]
    for key in ("second_from_first", "first_from_second", "shared"):
        values = torch.stack([row[key] for row in rows])
        assert abs(float(values.mean())) < 4 * float(values.std()) / 200**0.5
    plain = torch.stack([row["plain_second_from_first"] for row in rows])
    assert float(plain.mean()) == pytest.approx(8 / 59, abs=4 * float(plain.std()) / 200**0.5)


def test_canonical_correlations_are_blind_to_linear_maps_and_singular_directions():
    x = noise(300, 5, 0)
    y = torch.cat([0.6 * x[:, :1] + 0.8 * noise(300, 1, 1), noise(300, 2, 2)], dim=1)
    plain = evaluate(LinearPrediction(), *pair(x, y))
    turned = evaluate(LinearPrediction(), *pair(x @ noise(5, 9, 3), 7 + y @ noise(3, 3, 4)))  # rank 5 of 9
    assert float(turned["rank_first"]) == 5
    for key in ("canonical", "shared"):
        torch.testing.assert_close(turned[key], plain[key], rtol=0, atol=1e-9)


def test_held_out_shares_are_those_of_the_fitted_map():
    x = noise(400, 4, 0)
    y = 3 + x[:, :2] @ noise(2, 3, 1) + noise(400, 3, 2)
    first, second = pair(x, y)
    parts = [
        accumulate(JointMoments(), e.select(rows), f.select(rows))
        for rows in torch.arange(400).split(200)
        for e, f in [(first, second)]
    ]
    found = LinearPrediction().held_out(*parts)
    a, b, c, d = x[:200], y[:200], x[200:], y[200:]
    B = torch.linalg.lstsq(a - a.mean(0), b - b.mean(0)).solution
    residual = d - b.mean(0) - (c - a.mean(0)) @ B
    expected = 1 - residual.square().sum() / (d - d.mean(0)).square().sum()
    torch.testing.assert_close(found["second_from_first"], expected, rtol=1e-12, atol=0)
    swapped = LinearPrediction().held_out(
        *(
            accumulate(JointMoments(), f.select(rows), e.select(rows))
            for rows in torch.arange(400).split(200)
            for e, f in [(first, second)]
        )
    )
    torch.testing.assert_close(found["first_from_second"], swapped["second_from_first"], rtol=1e-12, atol=0)


def test_what_does_not_suffice_is_refused_by_name():
    with pytest.raises(TooFewSamplesError, match="do not determine"):
        evaluate(LinearPrediction(), *pair(noise(6, 8, 0), noise(6, 2, 1)))
    with pytest.raises(ConstantUnitsError):
        evaluate(LinearPrediction(), *pair(noise(60, 2, 0), torch.ones(60, 2, dtype=DOUBLE)))
    with pytest.raises(ConfigError):
        LinearPrediction(tolerance=0.0)
