"""Kernels of infinite networks: pair by pair, between batches, by quadrature, and what is refused."""

from math import acos, asin, pi, sin, sqrt

import numpy as np
import pytest
import torch
from torch.nn import functional

from blockspin.errors import ConfigError, FitFailedError
from blockspin.theory import nngp
from blockspin.theory.dual_activation import Erf, PiecewiseLinear, Series
from blockspin.theory.gaussian_average import average, pair_average, slope
from blockspin.theory.lazy_training import descended


def slow_relu(a, b, c):
    t = acos(max(-1.0, min(1.0, c / sqrt(a * b))))
    return sqrt(a * b) * (sin(t) + (pi - t) * c / sqrt(a * b)) / (2 * pi), (pi - t) / (2 * pi)


def slow_erf(a, b, c):
    both = 2 / pi * asin(2 * c / sqrt((1 + 2 * a) * (1 + 2 * b)))
    return both, 4 / pi / sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * c**2)


def slow_kernels(pair, depth, C_W, C_b, x, y):
    """One pair of inputs at a time, with the formulas as they are printed."""
    a, b, c = (C_b + C_W * float(u @ v) / len(x) for u, v in ((x, x), (y, y), (x, y)))
    theta = c
    for _ in range(depth):
        both, bent = pair(a, b, c)
        a, b, c = C_b + C_W * pair(a, a, a)[0], C_b + C_W * pair(b, b, b)[0], C_b + C_W * both
        theta = c + C_W * bent * theta
    return c, theta


def inputs(count, dimension=7, seed=0):
    return torch.randn(count, dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("dual", "pair"), [(PiecewiseLinear(), slow_relu), (Erf(), slow_erf)])
@pytest.mark.parametrize("tile", [3, 256])
def test_batches_agree_with_pairs(dual, pair, tile, monkeypatch):
    monkeypatch.setattr(nngp, "TILE", tile)
    x, y = inputs(8), inputs(5, seed=1)
    network = nngp.Network(4, dual, 1.7, 0.2)
    for found, other in ((nngp.kernels(network, x), x), (nngp.kernels(network, x, y), y)):
        slow = np.array([[slow_kernels(pair, 4, 1.7, 0.2, a, b) for b in other] for a in x])
        # within 1e-8 of the correlation 1 the arc cosine has lost half of the digits
        assert found.covariance.numpy() == pytest.approx(slow[..., 0], abs=1e-12)
        assert found.tangent.numpy() == pytest.approx(slow[..., 1], abs=1e-6)
        apart = ~np.eye(len(x), dtype=bool)[:, : len(other)] if other is x else np.ones((8, 5), dtype=bool)
        assert found.tangent.numpy()[apart] == pytest.approx(slow[..., 1][apart], abs=1e-11)


def test_the_kernel_of_a_batch_is_symmetric_with_its_diagonal_exact():
    x = inputs(20)
    network = nngp.Network(3, PiecewiseLinear(), 2.0, 0.1)
    found = nngp.kernels(network, x)
    assert torch.equal(found.covariance, found.covariance.T)
    assert torch.equal(found.tangent, found.tangent.T)
    k, theta = [0.1 + 2 * x.square().mean(1)], 0.1 + 2 * x.square().mean(1)
    for _ in range(3):
        k.append(0.1 + k[-1])
        theta = k[-1] + theta
    assert torch.allclose(found.tangent.diagonal(), theta, rtol=1e-14)


def test_threads_and_modes_change_nothing():
    x, network = inputs(400), nngp.Network(2, Erf(), 1.5, 0.1)
    one = nngp.kernels(network, x)
    try:
        torch.set_num_threads(2)
        with torch.inference_mode():
            two = nngp.kernels(network, x)
    finally:
        torch.set_num_threads(1)
    assert torch.allclose(one.covariance, two.covariance, rtol=1e-13)
    assert torch.allclose(one.tangent, two.tangent, rtol=1e-12)


@pytest.mark.parametrize(
    ("phi", "dual"),
    [
        (torch.relu, PiecewiseLinear()),
        (lambda z: functional.leaky_relu(z, 0.3), PiecewiseLinear(0.3)),
        (torch.abs, PiecewiseLinear(-1.0)),
        (lambda z: z, PiecewiseLinear(1.0)),
        (torch.erf, Erf()),
        (lambda z: torch.erf(0.4 * z), Erf(0.4)),
        (torch.tanh, Series(torch.tanh)),
        (functional.gelu, Series(functional.gelu)),
    ],
)
def test_closed_forms_and_series_agree_with_quadrature(phi, dual):
    a, b, c = 0.8, 1.9, -0.9
    k = torch.tensor([a, b], dtype=torch.float64)
    both, bent = dual.pairs(torch.tensor([[c]], dtype=torch.float64), k[:1], k[1:])
    assert float(both) == pytest.approx(pair_average(phi, phi, (a, c, b)), abs=1e-11)
    assert float(bent) == pytest.approx(pair_average(slope(phi), slope(phi), (a, c, b)), abs=1e-9)
    square, bend = dual.single(k)
    assert float(square[1]) == pytest.approx(average(lambda z: phi(z).square(), b), abs=1e-12)
    assert float(bend[1]) == pytest.approx(average(lambda z: slope(phi)(z).square(), b), abs=1e-12)


def test_a_series_that_does_not_suffice_is_refused():
    with pytest.raises(FitFailedError, match="terms leave out"):
        nngp.kernels(nngp.Network(1, Series(torch.relu), 2.0), inputs(3))
    with pytest.raises(ConfigError, match="terms"):
        Series(torch.tanh, most=401)


def test_inputs_that_do_not_fit_are_refused():
    network = nngp.Network(1, PiecewiseLinear(), 2.0)
    with pytest.raises(ConfigError, match="dimensions"):
        nngp.kernels(network, inputs(3), inputs(3, 5))
    with pytest.raises(ConfigError, match="no correlation"):
        nngp.kernels(network, torch.zeros(2, 3))


def test_descent_is_that_of_explicit_steps_and_ends_at_regression():
    x = inputs(9)
    tangent = nngp.kernels(nngp.Network(1, Erf(), 1.5, 0.1), x).tangent[:, :6]
    target = x[:6, 0].sin()
    f = torch.zeros(9, dtype=torch.float64)
    for _ in range(37):
        f = f - 0.1 * tangent @ (f[:6] - target)
    assert torch.allclose(descended(tangent, target, 0.1, 37), f, atol=1e-13)
    assert torch.allclose(
        descended(tangent, target, 0.1, 10**6), tangent @ torch.linalg.solve(tangent[:6], target), atol=1e-9
    )
    with pytest.raises(ConfigError, match="rate"):
        descended(tangent, target, 10.0, 3)
