"""Data collapse: the quality against its slow twin, planted scaling functions, and what is refused."""

import numpy as np
import pytest
from planted import generator

from blockspin.errors import ConfigError, FitFailedError, NonFiniteError, TooFewSamplesError
from blockspin.running.data_collapse import Curve, _Points, collapse

SIZES = np.array([16, 32, 64, 128])
T = np.linspace(2.20, 2.34, 21)
T_C, NU, ZETA = 2.269185, 1.0, -0.125
START = (2.26, 1.1, -0.1)


def curves(seed, share=0.01, sizes=SIZES, values=T):
    """The example that the package fssa is shown with: Ising |m| by a planted scaling function."""
    rng = np.random.default_rng(seed)
    found = {}
    for L in sizes:
        exact = L**ZETA * (1 / (1 + np.exp(1.2 * (values - T_C) * L)) + 0.15)
        error = share * exact
        found[float(L)] = Curve(values, exact + error * rng.standard_normal(len(values)), error)
    return found


def slow_quality(points, p):
    """Houdayer and Hartmann's S by a loop over points and sizes."""
    x, y, e = points.rescaled(p)
    terms = []
    for i in range(len(x)):
        rows = []
        for k in set(points.member) - {points.member[i]}:
            own = [j for j in range(len(x)) if points.member[j] == k]
            below, above = [j for j in own if x[j] < x[i]], [j for j in own if x[j] >= x[i]]
            if below and above:
                rows += [max(below, key=lambda j: x[j]), min(above, key=lambda j: x[j])]
        if rows:
            X = np.stack([np.ones(len(rows)), x[rows] - x[i]], 1)
            C = np.linalg.inv(X.T @ np.diag(e[rows] ** -2.0) @ X)
            Y = (C @ X.T @ (y[rows] / e[rows] ** 2))[0]
            terms.append((y[i] - Y) ** 2 / (e[i] ** 2 + C[0, 0]))
    return np.mean(terms)


def test_the_quality_is_that_of_the_slow_twin():
    points = _Points.of(curves(0), np.array(START), np.inf)
    for p in (START, (T_C, NU, ZETA), (2.28, 0.9, 0.0)):
        assert points.quality(np.array(p)) == pytest.approx(slow_quality(points, np.array(p)), rel=1e-9)


def test_the_known_example():
    found = collapse(curves(0), START, generator=generator(), resamples=20)
    for measured, truth in ((found.critical, T_C), (found.nu, NU), (found.zeta, ZETA)):
        assert measured.value == pytest.approx(truth, abs=4 * measured.error)
        assert measured.error < 0.02
    # fssa 0.7.6 on the same numbers: T_c 2.2698, nu 1.007, zeta -0.134; the minima lie within each other's errors
    assert found.minimum == pytest.approx((2.2698, 1.007, -0.134), abs=0.01)
    assert found.p_value > 0.05
    for (low, high), middle in zip(found.one_more, found.minimum, strict=True):
        assert low < middle < high


def test_what_is_held_is_held():
    found = collapse(curves(0), (T_C, 1.1, ZETA), generator=generator(), fixed=("critical", "zeta"), resamples=10)
    assert (found.critical.value, found.critical.error) == (T_C, 0)
    assert found.nu.value == pytest.approx(1.0, abs=4 * found.nu.error)


@pytest.mark.slow
def test_intervals_cover_planted_scaling_functions():
    z, p = [], []
    for seed in range(40):
        found = collapse(curves(seed + 1), START, generator=generator(seed), resamples=30)
        z.append([(m.value - t) / m.error for m, t in ((found.critical, T_C), (found.nu, NU), (found.zeta, ZETA))])
        p.append(found.p_value)
    inside = (np.abs(z) < 2).mean(0)
    assert (inside > 0.8).all()  # 95 % for errors known to 13 %, four binomial errors of 40 seeds below
    assert (np.array(p) < 0.05).mean() < 0.19


def test_what_does_not_collapse_is_told():
    broken = curves(0)
    broken[64.0] = Curve(T, 1.2 * broken[64.0].y, broken[64.0].error)
    found = collapse(broken, START, generator=generator(), resamples=8)
    assert found.p_value == 1 / 9  # the least that eight simulated data sets can tell
    assert found.quality > 5


def test_refusals():
    good = curves(0)
    with pytest.raises(TooFewSamplesError, match="2 sizes"):
        collapse({k: good[k] for k in (16.0, 32.0)}, START, generator=generator())
    with pytest.raises(TooFewSamplesError, match="window"):
        collapse(good, START, generator=generator(), window=0.1)
    with pytest.raises(ConfigError, match="start"):
        collapse(good, (2.2, -1.0, 0.0), generator=generator())
    with pytest.raises(ConfigError, match="fixed"):
        collapse(good, START, generator=generator(), fixed=("rho",))
    with pytest.raises(NonFiniteError):
        collapse({**good, 8.0: Curve(T, T, 0 * T)}, START, generator=generator())
    apart = {L: Curve(T + k, good[L].y, good[L].error) for k, L in enumerate(good)}
    with pytest.raises(FitFailedError, match="overlap"):
        collapse(apart, START, generator=generator())
