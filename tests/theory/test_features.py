"""Learned kernels, residual scaling, learning coefficients and mazes against slow twins."""

import numpy as np
import pytest

from blockspin.errors import FitFailedError
from blockspin.theory import kernel_adaptation, learning_coefficient, linear_features, maze
from blockspin.theory.gaussian_average import hermite_rule
from blockspin.theory.noisy_training import hidden_moments, width_correction

X, Y = np.array([[1.0, 0.5], [-0.3, 1.0], [0.4, 0.8]]), np.array([1.0, -0.5])


def test_correction_is_the_sum_over_indices():
    z, w = hermite_rule(2, 8)
    K, V = hidden_moments((z @ X.T) ** 2, w)
    inverse = np.linalg.inv(K[:2, :2] + 0.3 * np.eye(2))
    g, total = inverse @ Y, 0.0
    U = lambda a, b, c, d: V[a, b, c, d] + V[a, c, b, d] + V[a, d, b, c]  # noqa: E731
    bar = lambda a, b, c: U(2, a, b, c) - sum((K[2, :2] @ inverse)[d] * U(d, a, b, c) for d in range(2))  # noqa: E731
    for a in range(2):
        for b in range(2):
            for c in range(2):
                total += bar(a, b, c) * (g[a] * g[b] * g[c] - 3 * inverse[a, b] * g[c]) / 6
    assert width_correction(K, V, Y, 0.3)[0] == pytest.approx(total, rel=1e-10)


def test_pull_is_the_derivative_of_the_evidence():
    rule = hermite_rule(2, 40)
    network = kernel_adaptation.TwoLayers(X, Y, 0.3, 10, np.tanh)
    Sigma = np.array([[0.6, 0.1], [0.1, 0.4]])

    def evidence(S: np.ndarray) -> float:
        A = kernel_adaptation.kernel(network, S, rule)[:2, :2] + 0.3 * np.eye(2)
        return -(Y @ np.linalg.solve(A, Y) + np.linalg.slogdet(A)[1])

    found, h = kernel_adaptation.pull(network, Sigma, rule), 1e-5
    for i, j in ((0, 0), (0, 1), (1, 1)):
        step = np.zeros((2, 2))
        step[i, j] = step[j, i] = h
        slope = (evidence(Sigma + step) - evidence(Sigma - step)) / (2 * h)
        assert (found * step / h).sum() == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_a_fixed_point_that_does_not_exist_is_refused():
    network = kernel_adaptation.TwoLayers(X, 1e4 * Y, 0.3, 1, lambda z: z)
    with pytest.raises(FitFailedError):
        kernel_adaptation.adapted(network, hermite_rule(2, 3), steps=50)


def test_two_hidden_layers_rescale_by_a_product():
    data = linear_features.Task(np.zeros((1, 2)), np.zeros(1), 1.0, 6)  # no data: the prior
    for layers, square in ((1, 1 + 2 / 6), (2, (1 + 2 / 6) ** 2)):
        assert linear_features.mean_over_scales(data, lambda Q: Q, layers) == pytest.approx(1, rel=1e-8)
        assert linear_features.mean_over_scales(data, lambda Q: Q**2, layers) == pytest.approx(square, rel=1e-8)


def test_loss_kernel_is_the_covariance_of_sampled_losses():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3, 2, 2))
    H, g = A @ A.transpose(0, 2, 1), rng.standard_normal((3, 2))
    S = np.array([[0.5, 0.1], [0.1, 0.3]])
    z, weight = hermite_rule(2, 4)
    w = z @ np.linalg.cholesky(S).T
    losses = w @ g.T + np.einsum("qa,iab,qb->qi", w, H, w) / 2
    centred = losses - weight @ losses
    expected = (centred * weight[:, None]).T @ centred
    assert learning_coefficient.loss_kernel(H, g, S) == pytest.approx(expected, rel=1e-10)


def test_running_coefficient_is_a_double_integral():
    x, w = np.polynomial.legendre.leggauss(200)
    x, w = (x + 1) / 2, w / 2
    K, t = np.outer(x, x) ** 2, 30.0
    p = np.outer(w, w) * np.exp(-t * K)
    assert learning_coefficient.running_normal_crossing((1, 1), t) == pytest.approx(
        t * (K * p).sum() / p.sum(), rel=1e-7
    )


def test_mazes():
    cells = np.zeros((5, 5), dtype=bool)
    cells[2, 2] = cells[2, 1] = True
    assert maze.depth_to_centre(cells) is None
    cells[2, 0] = True
    assert maze.depth_to_centre(cells) == 2
    cells[2, 2] = False
    assert maze.depth_to_centre(cells) is None
