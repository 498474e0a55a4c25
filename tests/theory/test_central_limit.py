"""Theory of cumulants equals brute force over all configurations of small systems."""

from itertools import product

import numpy as np
import pytest

from blockspin.theory import central_limit as theory

P = 0.2


def enumerated(sites: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.array(list(product((0.0, 1.0), repeat=sites)))
    return x - P, np.prod(np.where(x > 0, P, 1 - P), axis=1)


def standardised(values: np.ndarray, weights: np.ndarray, order: int) -> float:
    values = values - weights @ values
    variance = weights @ values**2
    return weights @ values**order / variance ** (order / 2) - (3 if order == 4 else 0)


def test_bernoulli_cumulants_equal_their_definition():
    x, w = enumerated(1)
    assert theory.bernoulli_skewness(P) == pytest.approx(standardised(x[:, 0], w, 3), abs=1e-12)
    assert theory.bernoulli_excess_kurtosis(P) == pytest.approx(standardised(x[:, 0], w, 4), abs=1e-12)


@pytest.mark.parametrize(("order", "single"), [(3, theory.bernoulli_skewness), (4, theory.bernoulli_excess_kurtosis)])
@pytest.mark.parametrize("sites", [2, 4, 9])
def test_block_cumulants_equal_enumeration(order, single, sites):
    x, w = enumerated(sites)
    expected = theory.block_cumulant(single(P), order, sites)
    assert standardised(x.mean(axis=1), w, order) == pytest.approx(expected, abs=1e-12)


def test_growth_exponent_is_the_logarithmic_slope():
    slope = np.log(theory.block_cumulant(1.0, 4, 2**3) / theory.block_cumulant(1.0, 4, 1)) / np.log(2)
    assert slope == pytest.approx(theory.growth_exponent(4, 3), abs=1e-12)


def test_projected_kurtosis_equals_enumeration():
    x, w = enumerated(8)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 3)))[0]
    projector = Q @ Q.T
    expected = theory.projected_excess_kurtosis(projector, theory.bernoulli_excess_kurtosis(P))
    measured = [standardised(column, w, 4) for column in (x @ projector).T]
    assert measured == pytest.approx(expected, abs=1e-11)
