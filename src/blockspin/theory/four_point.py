"""Four-point vertex: by how much the outputs of networks of finite width are correlated in their squares."""

from __future__ import annotations

import numpy as np
import torch

from blockspin.errors import ConfigError
from blockspin.theory.gaussian_average import Function, average, cloud, plane


def fresh_vertex(phi: Function, K: np.ndarray, weight_variance: float, nodes: int = 40) -> np.ndarray:
    r"""Return what one layer adds to the vertex, [n, n, n, n], for n inputs of covariance K.

    .. math:: V_{(ab)(cd)} = C_W^2 [\langle \phi_a \phi_b \phi_c \phi_d \rangle
        - \langle \phi_a \phi_b \rangle \langle \phi_c \phi_d \rangle]

    This is the vertex of a network with one hidden layer, exact at every width n: the covariance of
    :math:`q_{ab} = C_W n^{-1} \sum_i \phi_a \phi_b` with q_cd is V / n, and the connected four-point function of its
    outputs is the sum of V over the three pairings, over n.

    Args:
        phi: Activation, in torch.
        K: Covariance of the pre-activations [n, n].
        weight_variance: C_W.
        nodes: Of the Gauss-Hermite rule along each axis of K; its error for tanh at unit variance is about 1e-8, for
            activations with a kink 1e-3.

    Source:
        roberts2022, chapter 4.
    """
    z, w = cloud(K, nodes)
    p = phi(z)
    both = torch.einsum("qa,qb->qab", p, p).reshape(len(p), -1)
    mean = w @ both
    V = (both * w[:, None]).T @ both - torch.outer(mean, mean)
    n = len(K)
    return weight_variance**2 * V.reshape(n, n, n, n).numpy()


def kernel_jacobian(phi: Function, K: np.ndarray) -> np.ndarray:
    r"""Return :math:`J_{(ab)(cd)} = d \langle \phi_a \phi_b \rangle / d K_{cd}`, [n, n, n, n], symmetric in c and d.

    As a sum over all c and d it acts on symmetric changes of K, each off-diagonal pair counted twice by half. From the
    derivative of the Gaussian weight, so that phi may have a kink at zero.

    Args:
        phi: Activation, in torch.
        K: Covariance [n, n]; no two inputs may be parallel.

    Raises:
        ConfigError: If two inputs are nearly parallel.

    Source:
        roberts2022, chapter 4.
    """
    n = len(K)
    J = np.zeros((n, n, n, n))
    for a in range(n):
        J[a, a, a, a] = _variance_response(phi, float(K[a, a]))
        for b in range(a):
            block = K[np.ix_([a, b], [a, b])]
            if np.linalg.det(block) < 1e-8 * block[0, 0] * block[1, 1]:
                raise ConfigError("K", K[a, b], f"inputs {a} and {b} that are not parallel")
            inverse = torch.from_numpy(np.linalg.inv(block))
            u, v, w = plane((block[0, 0], block[0, 1], block[1, 1]))
            value = w * phi(u) * phi(v)
            pull = [inverse[i, 0] * u + inverse[i, 1] * v for i in (0, 1)]
            for i, c in enumerate((a, b)):
                for j, d in enumerate((a, b)):
                    found = float((value * (pull[i] * pull[j] - inverse[i, j])).sum() / 2)
                    J[a, b, c, d] = J[b, a, c, d] = found
    return J


def _variance_response(phi: Function, k: float) -> float:
    return average(lambda z: phi(z).square() * (z.square() - k), k) / (2 * k**2)


def vertices(
    phi: Function, initialisation: tuple[float, float], depth: int, kernel: np.ndarray, nodes: int = 40
) -> list[tuple[np.ndarray, np.ndarray]]:
    r"""Return covariance [n, n] and vertex [n, n, n, n] of each layer, for hidden layers of equal width.

    .. math:: V' = C_W^2\, J V J^T + \text{fresh}(K)

    Leading order in 1 / width. The first layer's vertex is zero.

    Args:
        phi: Activation, in torch.
        initialisation: (C_b, C_W).
        depth: Layers of pre-activations.
        kernel: Covariance of the first.
        nodes: Of the rule of ``fresh_vertex``.

    Source:
        roberts2022, chapter 4.
    """
    C_b, C_W = initialisation
    K, n = np.asarray(kernel, dtype=float), len(kernel)
    V = np.zeros((n,) * 4)
    found = [(K, V)]
    for _ in range(depth - 1):
        J = C_W * kernel_jacobian(phi, K) if V.any() else V
        V = np.einsum("abcd,cdef,ghef->abgh", J, V, J) + fresh_vertex(phi, K, C_W, nodes)
        z, w = cloud(K, nodes)
        p = phi(z)
        K = C_b + C_W * ((p * w[:, None]).T @ p).numpy()
        found.append((K, V))
    return found


def connected(V: np.ndarray) -> np.ndarray:
    """Return the sum of a vertex over the three pairings: width times the connected four-point function of an output.

    Source: roberts2022, chapter 4.
    """
    return V + V.transpose(0, 2, 1, 3) + V.transpose(0, 2, 3, 1)


def scale_invariant_moment(order: int, width: int, depth: int, growth: float = 5.0) -> float:
    r"""Return E z^order over that of a Gaussian of the same variance, at every width, at criticality without bias.

    .. math:: \frac{E z^4}{3 K^2} = (1 + \nu / n)^{L - 1}

    and for the sixth moment the product of :math:`(1 + 2/n)(1 + 4/n)` (linear, nu = 2), or of
    :math:`[60 n + 18 n (n - 1) + n (n - 1)(n - 2)] / n^3` (ReLU, nu = 5). Exact.

    Args:
        order: 4 or 6.
        width: n, of every hidden layer.
        depth: L, layers of pre-activations.
        growth: nu; for the sixth moment 2 or 5.

    Raises:
        ConfigError: If the moment has no closed form.

    Source:
        roberts2022, chapter 3, re-derived.
    """
    n = width
    if order == 4:
        return (1 + growth / n) ** (depth - 1)
    if order == 6 and growth in (2, 5):
        linear, relu = (1 + 2 / n) * (1 + 4 / n), (60 + 18 * (n - 1) + (n - 1) * (n - 2)) / n**2
        return (linear if growth == 2 else relu) ** (depth - 1)
    raise ConfigError("order", (order, growth), "4, or 6 with a growth of 2 or 5")
