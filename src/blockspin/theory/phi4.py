"""Phi4: exact moments on a ring by its transfer operator, and of the free field on any torus."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import numpy as np


def ring_moments(
    sites: int, hopping: float, coupling: float, points: int = 600, reach: float = 8.0
) -> dict[str, float]:
    r"""Return <phi^2>, <phi^4> and <phi_x phi_{x+1}> on a ring, with the action of the source ``phi4``.

    The transfer operator :math:`e^{2 \kappa \phi \phi' - V(\phi)/2 - V(\phi')/2}`, V = phi^2 + lambda (phi^2 - 1)^2, on
    Gauss-Legendre points in [-reach, reach]; to 1e-10 where the field is much smaller than that. Keys "phi2", "phi4",
    "bond". Valid for sites >= 2, and for lambda = 0 where kappa < 1/2. Source: brower1989 for the action.
    """
    x, w = np.polynomial.legendre.leggauss(points)
    x, w = reach * x, reach * w
    V = x**2 + coupling * (x**2 - 1) ** 2
    T = np.exp(2 * hopping * np.outer(x, x) - (V[:, None] + V[None]) / 2) * np.sqrt(np.outer(w, w))
    eigenvalues, vectors = np.linalg.eigh(T)
    ratio = eigenvalues / eigenvalues[-1]
    Z = (ratio**sites).sum()
    diagonal = {key: np.einsum("xi,x,xi->i", vectors, x**n, vectors) for key, n in (("phi2", 2), ("phi4", 4))}
    field = vectors.T @ (x[:, None] * vectors)
    bond = np.einsum("i,ij,j->", ratio, field**2, ratio ** (sites - 1)) / Z
    return {**{key: float(d @ ratio**sites / Z) for key, d in diagonal.items()}, "bond": float(bond)}


def free_moments(shape: Sequence[int], hopping: float) -> tuple[float, float]:
    """Return <phi^2> and <phi_x phi_{x+a}> (mean over axes) at lambda = 0: sums of 1 / (2 - 4 kappa sum_a cos k_a).

    Exact on every torus, 2 kappa d < 1. Units of the field squared. Source: wilson1974.
    """
    waves = np.meshgrid(*(np.cos(2 * pi * np.arange(n) / n) for n in shape), indexing="ij")
    cosines = np.sum(waves, axis=0)
    spectrum = 1 / (2 - 4 * hopping * cosines)
    return float(spectrum.mean()), float((spectrum * cosines).mean() / len(shape))


def schwinger_dyson(phi2: float, phi4: float, bond: float, dimension: int, hopping: float, coupling: float) -> float:
    """Return <phi dS/dphi> = 2 <phi^2> + 4 lambda (<phi^4> - <phi^2>) - 4 d kappa <phi_x phi_{x+a}>.

    By integration by parts it is 1, on every torus and for every coupling. Source: brower1989 for the action.
    """
    return 2 * phi2 + 4 * coupling * (phi4 - phi2) - 4 * dimension * hopping * bond
