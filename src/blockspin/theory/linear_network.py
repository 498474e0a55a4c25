"""Linear network: the tangent kernel of two linear layers in closed form."""

from __future__ import annotations

import numpy as np


def tangent_kernel(x: np.ndarray, W: np.ndarray, a: np.ndarray) -> np.ndarray:
    r"""Return the tangent kernel [n, n] of f(x) = a W x over both layers' weights.

    .. math:: K(x, x') = (W x) \cdot (W x') + |a|^2\, x \cdot x'

    Exact at every width and at these weights. Units of the output squared over those of the weights squared.

    Args:
        x: Inputs [n, d].
        W: First layer [width, d].
        a: Second layer [width].

    Source: jacot2018.
    """
    h = x @ W.T
    return h @ h.T + float(a @ a) * (x @ x.T)
