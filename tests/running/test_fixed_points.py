"""Fixed points: found with regions that cover, none where there is none, and brackets from two sizes."""

from math import inf

import numpy as np
import pytest
from planted import FIXED, covers, exact_flow, generator, noisy, running

from blockspin.answer import Verdict
from blockspin.errors import FitFailedError, ShapeError
from blockspin.flow import Axis
from blockspin.running.beta_function import fit_beta
from blockspin.running.bracket import bracket
from blockspin.running.fixed_points import fixed_points
from blockspin.running.scaling import stability


def test_a_planted_fixed_point_is_found():
    found = fixed_points(fit_beta(noisy(1), generator=generator()), generator=generator())
    (point,) = found.points
    assert found.verdict is Verdict.YES
    assert point.measurement("g").value == pytest.approx(FIXED, abs=4 * point.measurement("g").error)
    ((low, high),) = point.region
    assert low < point.values[0] < high
    assert point.bounded
    assert 0.8 < point.share <= 1
    assert "fixed at" in found.statement


def test_none_in_range_is_an_answer():
    runs = noisy(0, sigma=0.003, starts=(0.7, 0.8), scales=4)
    found = fixed_points(fit_beta(runs, generator=generator()), generator=generator())
    assert found.points == ()
    assert found.verdict is Verdict.NO
    assert "no fixed point" in found.statement


def test_a_zero_beyond_the_range_is_not_told():
    runs = noisy(0, sigma=0.002, starts=(0.58, 0.7), scales=4)  # would vanish at 0.5
    fitted = fit_beta(runs, generator=generator())
    assert not fitted.inside(np.array([FIXED]))
    assert fixed_points(fitted, generator=generator()).points == ()


def test_two_couplings_have_a_saddle():
    M, star = np.array([[1.0, 0.3], [0.2, -0.8]]), np.array([0.3, -0.2])
    rng = np.random.default_rng(0)
    runs = []
    for start in ((0.2, 0.5), (-0.2, 0.4), (0.1, -0.5), (-0.15, -0.4)):
        g = exact_flow(np.array(start) + star, 4, rate=lambda g: M @ (g - star))
        runs.append(running(g + 3e-3 * rng.standard_normal(g.shape), 9e-6 * np.eye(8)))
    fitted = fit_beta(runs, generator=generator())
    (point,) = fixed_points(fitted, generator=generator()).points
    for name, truth in zip("gh", star, strict=True):
        assert point.measurement(name).value == pytest.approx(truth, abs=4 * point.measurement(name).error)
    rates = [e.rate for e in stability(fitted, point)]
    for rate, truth in zip(rates, sorted(np.linalg.eigvals(M), reverse=True), strict=True):
        assert rate.value == pytest.approx(truth, abs=4 * rate.error)


@pytest.mark.slow
@pytest.mark.parametrize("dof", [inf, 19.0])
def test_regions_and_exponents_cover(dof):
    counts, fits = np.zeros(3), 0
    for seed in range(100):
        try:
            fitted = fit_beta(noisy(seed, dof), generator=generator(seed))
        except FitFailedError:
            continue
        points = fixed_points(fitted, generator=generator(seed), level=0.9).points
        near = [p for p in points if abs(p.values[0] - FIXED) < 0.1]
        fits += 1
        if near:
            low, high = near[0].region[0]
            exponent = stability(fitted, near[0])[0].rate
            counts += [covers(near[0].measurement("g"), FIXED), low <= FIXED <= high, covers(exponent, 1.0)]
    assert fits >= 88
    assert (counts >= 0.8 * fits).all()  # four binomial errors below 90 % is 0.78


def two_sizes(seed, sigma):
    rng = np.random.default_rng(seed)
    x = np.linspace(0.40, 0.48, 9)
    axis = Axis("coupling", "k_B T")
    return [
        running(
            0.61 + 0.2 * (x - 0.44) * L + sigma * rng.standard_normal(9),
            sigma**2 * np.eye(9),
            19.0,
            axis=axis,
            lengths=False,
            positions=x,
        )
        for L in (32, 16)
    ]


def test_a_fixed_point_is_bracketed_by_two_sizes():
    larger, smaller = two_sizes(0, 0.005)
    found = bracket(larger, smaller, "g")
    assert found.low < 0.44 < found.high
    assert found.crossing.value == pytest.approx(0.44, abs=4 * found.crossing.error)
    with pytest.raises(FitFailedError, match="0 times"):
        bracket(*two_sizes(0, 5.0), "g")
    with pytest.raises(ShapeError, match="same values"):
        bracket(larger, smaller.select(scales=range(8)), "g")


def test_crossings_cover():
    held = sum(covers(bracket(*two_sizes(seed, 0.005), "g").crossing, 0.44) for seed in range(200))
    assert 165 <= held <= 197  # the errors are known here and taken as t with 19 degrees of freedom
