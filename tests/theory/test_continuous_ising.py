"""Averages of the continuous Ising field against integrals over a grid of points."""

import numpy as np
import pytest

from blockspin.theory import continuous_ising as theory


@pytest.mark.parametrize("K", [0.1, 0.4])
def test_averages_of_two_sites_are_those_of_an_integral(K):
    A, _ = theory.coupling_matrix(2, 1, K)
    x = np.linspace(-16, 16, 401)
    first, second = np.meshgrid(x, x, indexing="ij")
    P = np.linalg.inv(A)
    S = P[0, 0] * (first**2 + second**2) / 2 + P[0, 1] * first * second
    weight = np.exp(-S) * np.cosh(first) * np.cosh(second)
    weight /= weight.sum()
    M = (first + second) / 2
    expected = 1 - (weight * M**4).sum() / (3 * (weight * M**2).sum() ** 2)
    assert theory.binder(2, 1, K) == pytest.approx(expected, abs=1e-10)
    slope = P[0, 0] * first + P[0, 1] * second - np.tanh(first)  # <S''> = <S'^2>
    assert theory.curvature(2, 1, K) == pytest.approx(float((weight * slope**2).sum()), abs=1e-8)
