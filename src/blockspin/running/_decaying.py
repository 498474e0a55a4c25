"""Decaying: rows of values that fall off exponentially, all at one rate, fitted with their joint errors."""

from __future__ import annotations

import numpy as np
import torch

from blockspin.running._constrained import Solution, solve


def decaying(
    x: np.ndarray,
    y: np.ndarray,
    covariance: np.ndarray,
    dof: float,
    rows: np.ndarray,
    *,
    constant: bool,
    generator: torch.Generator,
) -> Solution | None:
    r"""Fit :math:`\sum_r q_{kr} y_r(x) = c + a_k e^{-\omega x}` for every row q of combinations, or return None.

    Args:
        x: Where values are, [points].
        y: Values, [R * points].
        covariance: Theirs, [R * points, R * points].
        dof: Its degrees of freedom.
        rows: The combinations q, [rows, R].
        constant: Whether there is a c, the same for all rows; else it is 0.
        generator: Randomness of the simulated data sets.

    Returns:
        The parameters are omega, then c where there is one, then each a.
    """
    count, J = len(rows), np.kron(rows, np.eye(len(x)))
    z = (J @ y).reshape(count, -1)
    end = float(z[:, -1].mean()) if constant else 0.0
    half = len(x) // 2
    early, late = (float(np.square(part - end).mean()) for part in (z[:, :half], z[:, -half:]))
    rate = -np.log(max(late / max(early, 1e-300), 1e-6)) / 2 / (x[-half:].mean() - x[:half].mean())
    start = np.concatenate([[rate], [end] * constant, (z[:, 0] - end) * np.exp(rate * x[0])])

    def constraints(y: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):  # the fit ends where this is not finite
            left, size = np.exp(-theta[0] * x), theta[1 + constant :]
            by_rate, said = np.outer(size, x * left).ravel(), np.outer(size, left)
            by_size = -np.kron(np.eye(count), left[:, None])
        F = np.column_stack([by_rate, *([-np.ones(len(by_rate))] * constant), by_size])
        return J @ y - said.ravel() - (theta[1] if constant else 0.0), J, F

    return solve(y, covariance, dof, constraints, start, generator=generator)
