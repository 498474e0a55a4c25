"""Slopes of measured on predicted responses: known where parents are left out, with intervals that keep their level."""

import numpy as np
import pytest
import torch
from interventions.linear_layers import constant, grouped, hop
from scipy.stats import binom

from blockspin.answer import Verdict
from blockspin.interventions.responses import GIVEN, SHARE, SLOPE, WHOLE, Groups, Response, response
from blockspin.theory import linear_response as theory

J = torch.tensor([[0.8, 0.0, 0.3], [-0.5, 0.6, 0.0]], dtype=torch.float64)
NOISE, SAMPLES, GROUPS = 1.0, 400, 10


def answered(generator: torch.Generator, confounder: float = 0.0, strength: float = 1.0) -> Response:
    """Return the response of y = J^T x + noise, where the noise holds what moved x too, and shifts move strength J."""
    halves = []
    for _ in range(2):
        hidden = torch.randn(SAMPLES, 1, generator=generator, dtype=torch.float64)
        x = torch.randn(SAMPLES, 2, generator=generator, dtype=torch.float64) + hidden
        noise = torch.randn(SAMPLES, 3, generator=generator, dtype=torch.float64)
        halves.append(grouped(torch.cat([x, x, x @ J + confounder * hidden + NOISE * noise], 1), GROUPS))
    moved = strength * J.flatten()
    none = torch.zeros(6, dtype=torch.float64)
    answers = torch.cat([moved, none, none, torch.eye(2, dtype=torch.float64).flatten()])
    return response(hop(2, 3), Groups(*halves, constant(answers, 10, GROUPS)), 1.0)


@pytest.mark.slow
def test_intervals_cover_the_slope_and_the_share_as_often_as_they_say():
    """That of the share errs on the safe side where it is 1: it is 1 less a product of two errors then."""
    generator, inside, count = torch.Generator().manual_seed(0), {SLOPE: 0, SHARE: 0}, 100
    verdicts = []
    for _ in range(count):
        found = answered(generator)
        for key in inside:
            low, high = found.numbers[GIVEN][key].interval(0.9)
            inside[key] += bool(low <= 1 <= high)
        verdicts.append(found.verdict(GIVEN, 0.2, 0.95))
    lowest, highest = binom.interval(0.9999, count, 0.9)
    assert lowest <= inside[SLOPE] <= highest
    assert inside[SHARE] >= lowest
    assert verdicts.count(Verdict.NO) <= binom.ppf(0.99, count, 0.05)
    assert verdicts.count(Verdict.YES) > count / 2


def test_a_confounder_gives_the_slope_that_theory_says():
    covariance = np.ones((3, 3)) + np.diag([1.0, 1.0, 0.0])  # of x, x', and the hidden one
    whole = np.vstack([J.numpy(), np.ones(3)]).T
    p, m = theory.regression(whole, covariance, [0, 1]), J.numpy().T
    deviation = np.sqrt(np.diag(whole @ covariance @ whole.T) + NOISE**2)
    p, m = p / deviation[:, None], m / deviation[:, None]
    found = [answered(torch.Generator().manual_seed(seed), confounder=1.0) for seed in range(30)]
    for key, expected in ((SLOPE, theory.slope(m, p)), (SHARE, theory.share_explained(m, p))):
        values = torch.tensor([one.numbers[GIVEN][key].value for one in found])
        assert abs(float(values.mean()) - expected) < 4 * float(values.std()) / 30**0.5, key
        assert expected < 0.9
    assert [one.verdict(GIVEN, 0.2, 0.95) for one in found].count(Verdict.YES) == 0


def test_responses_half_as_large_are_told():
    generator = torch.Generator().manual_seed(0)
    verdicts = [answered(generator, strength=0.5).verdict(GIVEN, 0.2, 0.95) for _ in range(20)]
    assert verdicts.count(Verdict.NO) >= 19


def test_no_coupling_gives_no_slope():
    generator = torch.Generator().manual_seed(3)
    found = []
    for _ in range(20):
        halves = [grouped(torch.randn(SAMPLES, 7, generator=generator, dtype=torch.float64), GROUPS) for _ in range(2)]
        answers = torch.randn(22, generator=generator, dtype=torch.float64)
        found.append(response(hop(2, 3), Groups(*halves, constant(answers, 10, GROUPS)), 1.0))
    missing = [one for one in found if np.isnan(one.numbers[WHOLE][SLOPE].value)]
    assert len(missing) >= 15
    assert all(one.verdict(WHOLE, 0.2, 0.95) is Verdict.CANNOT_TELL for one in missing)
    assert all("not told from zero" in one.numbers[WHOLE][SLOPE].how for one in missing)


def test_a_shift_of_the_error_function_is_its_derivative_where_it_is_small():
    for variance in (0.1, 2.0):
        assert theory.erf_shift(1e-4, variance) == pytest.approx(1e-4 * theory.erf_slope(variance), rel=1e-6)
        h = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * variance**0.5
        change = (torch.erf(h + 0.7) - torch.erf(h - 0.7)) / 2
        assert abs(float(change.mean()) - theory.erf_shift(0.7, variance)) < 4 * float(change.std()) / 400_000**0.5
