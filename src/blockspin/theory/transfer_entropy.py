"""Transfer entropy: what flows between two linear processes, one driving the other."""

from __future__ import annotations

from math import log1p

import numpy as np


def driven(a: float, b: float, c: float) -> float:
    r"""Return the transfer entropy in nats from Y to X, with one step of the past of X known.

    X' = a X + c Y + e and Y' = b Y + u, with e and u independent of unit variance:

    .. math:: T_{Y \to X} = \tfrac12 \ln \big(1 + c^2 \operatorname{Var}(Y | X)\big) .

    Nothing flows from X to Y. Exact for |a|, |b| < 1. Source: barnett2009 for Gaussian processes.
    """
    y = 1 / (1 - b * b)
    across = b * c * y / (1 - a * b)
    x = (1 + c * c * y + 2 * a * c * across) / (1 - a * a)
    return 0.5 * log1p(c * c * (y - across**2 / x))


def linear_closure_gap(A: np.ndarray, group: np.ndarray) -> float:
    r"""Return I(X ; Z' | Z) in nats of the sums Z over groups of a process X' = A X + e with unit noise.

    .. math:: \tfrac12 \ln \frac{\det \Sigma(Z' | Z)}{\det \Sigma(Z' | X)},

    with the stationary covariance of X from the series :math:`\sum_k A^k (A^k)^t`. Zero where every unit of a group
    drives every group alike. Exact for a spectral radius below 1. Source: rosas2024 for the notion.
    """
    S = np.eye(int(group.max()) + 1)[group].T
    C, power = np.eye(len(A)), A.copy()
    for _ in range(64):  # doubling: C and A^(2^k)
        C, power = C + power @ C @ power.T, power @ power
        if np.abs(power).max() < 1e-30:
            break
    z, across = S @ C @ S.T, S @ A @ C @ S.T
    left = z - across @ np.linalg.solve(z, across.T)
    return float(np.linalg.slogdet(left)[1] - np.linalg.slogdet(S @ S.T)[1]) / 2
