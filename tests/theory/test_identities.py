"""Identities across systems: one object computed by the theories of several."""

import numpy as np
import pytest
import torch

from blockspin.theory import edge_of_chaos, four_point, nn_qft, nonperturbative_nn
from blockspin.theory.criticality import running_couplings
from blockspin.theory.lpa_collocation import lpa_collocation

INPUTS = np.array([[0.3, 1.0], [-0.7, 0.4], [1.2, 0.1], [0.5, -0.9]])


def vertex(phi, C_W: float, C_b: float, x: np.ndarray, nodes: int = 60) -> np.ndarray:
    """The four-point vertex of one hidden layer: the object that every section has its own name for."""
    return four_point.fresh_vertex(phi, C_b + C_W * x @ x.T / x.shape[1], C_W, nodes)


def test_vertex_of_networks_as_fields():
    """Connected four-point functions of outputs, times the width, are the vertex summed over pairings."""
    for hidden, phi in (
        (nn_qft.Erf(1.3, 0.4), torch.erf),
        (nn_qft.Gauss(0.8, 0.2), None),
    ):
        if phi is None:  # its units are normalised by the input: taken out of the vertex of the exponential
            k = np.exp(-hidden.bias_variance - hidden.weight_variance * np.square(INPUTS).mean(1))
            V = vertex(torch.exp, hidden.weight_variance, hidden.bias_variance, INPUTS)
            V = np.einsum("abcd,a,b,c,d->abcd", V, k, k, k, k)
        else:
            V = vertex(phi, hidden.weight_variance, hidden.bias_variance, INPUTS)
        found = four_point.connected(V)[0, 1, 2, 3]
        assert found == pytest.approx(nn_qft.connected_four(hidden, INPUTS), rel=1e-6)


def test_vertex_of_the_rectifier():
    x = np.array([[0.3], [0.9]])
    relu = nn_qft.Relu(1.7)
    k = lambda *i: relu.moment(x[list(i)])  # noqa: E731
    V = 1.7**2 * (k(0, 0, 1, 1) - k(0, 0) * k(1, 1))
    one = running_couplings(torch.relu, (0.0, 1.7), 2, 1.7).vertex[1]
    assert pytest.approx(one * 0.3**2 * 0.9**2, rel=1e-12) == V  # parallel inputs: one input, scaled
    assert nn_qft.connected_four(relu, np.ones((4, 1))) == pytest.approx(3 * one, rel=1e-12)


def test_vertex_of_norms_at_the_edge_of_chaos():
    """The kernel that a linear layer feeds on is the squared norm before: N times its variance is the vertex."""
    C_W, C_b, q = 0.9, 0.1, 1.3
    for width in (3, 100):
        mean, square = edge_of_chaos.moments(edge_of_chaos.LinearNetwork(width, C_W, C_b), q, 1)[1]
        K = C_b + C_W * q
        V = four_point.fresh_vertex(lambda z: z, np.array([[K]]), C_W)[0, 0, 0, 0]
        assert width * C_W**2 * (square - mean**2) == pytest.approx(V, rel=1e-12)


def test_vertex_of_norms_after_several_layers_to_leading_order():
    C_W, C_b, q, width, depth = 0.9, 0.1, 1.3, 10**6, 6
    run = running_couplings(lambda z: z, (C_b, C_W), depth + 1, C_b + C_W * q)
    mean, square = edge_of_chaos.moments(edge_of_chaos.LinearNetwork(width, C_W, C_b), q, depth)[-1]
    assert width * C_W**2 * (square - mean**2) == pytest.approx(run.vertex[-1], rel=10 * depth / width)


def test_the_truncated_potential_of_networks_is_that_of_the_wilson_fisher_fixed_point():
    """Flows of the quadratic and the quartic coupling close on three: they vanish at the whole potential's values."""
    whole = lpa_collocation(3, 1)
    first, second, third = (float(whole.value(np.array(0.0), n)) for n in (1, 2, 3))
    flow = nonperturbative_nn.scaled_flow(np.array([first, 3 * second, 15 * third]), 3)
    assert flow[:2] == pytest.approx([0, 0], abs=1e-6)
    exponents = [nonperturbative_nn.truncated_fixed_point(3, sextic).correlation_exponent for sextic in (False, True)]
    assert exponents == sorted(exponents)
    assert exponents[-1] < -1 / whole.eigenvalues[0].real
    eps = 1e-4
    for sextic in (False, True):
        nu = nonperturbative_nn.truncated_fixed_point(4 - eps, sextic).correlation_exponent
        assert (nu - 0.5) / eps == pytest.approx(1 / 12, abs=10 * eps)
