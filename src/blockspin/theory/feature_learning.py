"""Feature learning: by how much data move the kernel of a wide layer, to first order in the inverse width."""

from __future__ import annotations

import numpy as np


def kernel_shift(K: np.ndarray, V: np.ndarray, y: np.ndarray, noise: float, width: int) -> np.ndarray:
    r"""Return the posterior mean of the layer's kernel less the prior's, [n, n], at leading order in 1 / N.

    .. math:: \Delta C_{ab} = \frac{1}{2N} \sum_{cd} V_{(ab)(cd)} \left( g g^T - \tilde K^{-1} \right)_{cd},
        \quad g = \tilde K^{-1} y, \quad \tilde K = K + \sigma^2

    The linear response of the kernel to the evidence: the more a network's kernel fluctuates over initialisations (V,
    which grows with depth at criticality), the more it learns. It aligns with y y^T. Units of the output squared.
    Do not trust when the shift is no longer small against K, as where the number of data grows with the width.

    Args:
        K: Kernel over the inputs that are trained on and then others [n, n].
        V: N times the covariance of the kernel's entries under the prior [n, n, n, n].
        y: Targets [p] of the first p inputs.
        noise: Variance of the noise.
        width: N.

    Source:
        fischer2024.
    """
    p = len(y)
    inverse = np.linalg.inv(K[:p, :p] + noise * np.eye(p))
    g = inverse @ y
    return np.tensordot(V[:, :, :p, :p], np.outer(g, g) - inverse, 2) / (2 * width)
