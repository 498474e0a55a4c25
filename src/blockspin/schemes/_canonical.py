"""Canonical: the linear combinations of one field that tell most of another, and how many of them are chance."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, exp, inf, log, sin, sqrt, tan

import torch
from torch import Tensor

from blockspin.errors import ConfigError, NothingFoundError, StepNotPossibleError

UNITS_A_DIRECTION = 10
"""Independent units for each principal component that is kept of either field."""
TRACY_WIDOM = 2.0233
"""The 99 % quantile of the Tracy-Widom law of order 1."""
ROUNDING = 1e-6
"""Canonical correlations of a law below it are zero: the root of rounding, with room."""
LEAST_LAMBDA = 1e-6
"""Share of a variable's variance that y is taken to leave open at least: a relation without noise has no price."""
SHRINKAGE = (1e-3, 1e-2, 1e-1, 1.0)
"""Shares of the mean variance that may be added to a covariance."""


@dataclass(frozen=True, eq=False)
class Canonical:
    """Canonical variables of x about y, beyond chance.

    Args:
        filters: float64 [p, found]; columns w with variance w^t C_xx w = 1, uncorrelated.
        correlations: float64 [found]; the canonical correlation of each, descending.
    """

    filters: Tensor
    correlations: Tensor


def canonical(xx: Tensor, xy: Tensor, yy: Tensor, units: float = inf) -> Canonical:
    """Return the canonical variables of x whose correlation with y is beyond chance.

    On samples, each field is first projected on its leading principal components, a tenth as many as there are
    independent units, and a correlation must exceed what independent fields show once in a hundred.

    Args:
        xx: Covariance of x [p, p].
        xy: Covariance of x with y [p, q].
        yy: Covariance of y [q, q].
        units: Independent units; infinite for a law.

    Raises:
        StepNotPossibleError: If there are too few units, or a field does not vary.
        NothingFoundError: If no correlation is beyond chance.
    """
    most = len(xx) + len(yy) if units == inf else int(units / UNITS_A_DIRECTION)
    if most < 1:
        raise StepNotPossibleError(f"{units:g} independent units cannot show what fields share", "Give more samples.")
    x, y = _root(xx, most), _root(yy, most)
    left, rho, _ = torch.linalg.svd(x.T @ xy @ y, full_matrices=False)
    least = ROUNDING if units == inf else sqrt(chance_level(x.shape[1], y.shape[1], units))
    found = int((rho > least).sum())
    if not found:
        raise NothingFoundError(
            f"the largest canonical correlation, {float(rho[0]):.3g}, is not above that of independent fields "
            f"({least:.3g})",
            "Give more samples, a smaller buffer, or take it that there is nothing to keep.",
        )
    filters = x @ left[:, :found]
    largest = filters.gather(0, filters.abs().argmax(0, keepdim=True))
    return Canonical(filters * largest.sign(), rho[:found].clamp(max=1.0))


def worth_keeping(found: Canonical, beta: float) -> Tensor:
    r"""Return the filters [p, kept] of the variables that the Gaussian bottleneck keeps, each with its weight.

    .. math:: \alpha_i^2 = \frac{\beta \rho_i^2 - 1}{1 - \rho_i^2} \quad (\beta \rho_i^2 > 1)

    Args:
        found: Canonical variables of x about y.
        beta: Nats about x that a nat about y is worth, above 1.

    Raises:
        NothingFoundError: If none is worth its cost.

    Source:
        chechik2005.
    """
    shared = found.correlations.square()
    active = beta * shared > 1
    if not bool(active.any()):
        raise NothingFoundError(
            f"at beta = {beta:g} nothing is worth keeping: the first threshold is {1 / float(shared[0]):.4g}",
            "Take a larger beta.",
        )
    shared = shared[active].clamp(max=1 - LEAST_LAMBDA)
    return found.filters[:, active] * ((beta * shared - 1) / (1 - shared)).sqrt()


def require_price(beta: object) -> None:
    """Check the price of a bottleneck.

    Raises:
        ConfigError: If it is not a finite number above 1.
    """
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 1 < beta < inf:
        raise ConfigError("beta", beta, "a finite number above 1: below, nothing is worth keeping.")


def ridge_canonical(x: Tensor, y: Tensor, modes: int) -> tuple[Tensor, Tensor]:
    """Return filters [p, modes] and [q, modes] of two fields that correlate most, from covariances shrunk to unity.

    How far they are shrunk is chosen on the last fifth of the rows, by the correlations that are found there of what
    the others gave: a start for what is learned, of which nothing is claimed. What is filtered has unit variance.

    Args:
        x: float32 [rows, p], rows of one unit one after the other.
        y: float32 [rows, q].
        modes: How many filters.
    """
    first = len(x) - len(x) // 5
    train, test = (_covariances(a, b) for a, b in ((x[:first], y[:first]), (x[first:], y[first:])))
    found = [_shrunk(train, share, modes) for share in SHRINKAGE]
    told = [float(_correlations(test, left, right).square().sum()) for left, right in found]
    left, right = found[told.index(max(told))]
    return _scaled(left, train[0]), _scaled(right, train[2])


def _scaled(filters: Tensor, C: Tensor) -> Tensor:
    return filters / (filters.T @ C @ filters).diagonal().clamp(min=1e-12).sqrt()


def _shrunk(moments: tuple[Tensor, Tensor, Tensor], share: float, modes: int) -> tuple[Tensor, Tensor]:
    """Return the leading canonical filters of both fields, a share of their mean variance added to each direction."""
    xx, xy, yy = moments
    x, y = (_root(C + share * C.diagonal().mean() * torch.eye(len(C), dtype=C.dtype), len(C)) for C in (xx, yy))
    left, _, right = torch.linalg.svd(x.T @ xy @ y)
    return x @ left[:, :modes], y @ right[:modes].T


def _correlations(moments: tuple[Tensor, Tensor, Tensor], left: Tensor, right: Tensor) -> Tensor:
    """Return the correlation of each pair of filtered fields; pairs that are opposite count as none."""
    spread = ((left.T @ moments[0] @ left).diagonal() * (right.T @ moments[2] @ right).diagonal()).clamp(min=1e-24)
    return ((left.T @ moments[1] @ right).diagonal() / spread.sqrt()).clamp(min=0.0)


def _covariances(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, y = x - x.mean(0), y - y.mean(0)
    return tuple((a.T @ b).to(torch.float64) / len(x) for a, b in ((x, x), (x, y), (y, y)))  # type: ignore[return-value]


def chance_level(p: int, q: int, units: float) -> float:
    """Return the square of the canonical correlation that independent fields of p and q directions exceed in 1 %.

    Johnstone's Tracy-Widom approximation of the largest root of a double Wishart matrix; for n - 1 > p + q.
    Source: johnstone2008.
    """
    total = units - 2  # of the degrees of freedom of both Wishart matrices, less one
    gamma, phi = (2 * asin(sqrt(min(1.0, (k - 0.5) / total))) for k in (min(p, q), max(p, q)))
    centre = 2 * log(tan((phi + gamma) / 2))
    width = (16 / (total**2 * sin(phi + gamma) ** 2 * sin(phi) * sin(gamma))) ** (1 / 3)
    return 1 / (1 + exp(-(centre + width * TRACY_WIDOM)))


def _root(C: Tensor, most: int) -> Tensor:
    """Return the matrix [size, rank] that takes a field to unit variance along its leading principal components."""
    eigenvalues, vectors = torch.linalg.eigh(C)
    kept = eigenvalues > eigenvalues[-1].clamp(min=0) * len(C) * torch.finfo(torch.float32).eps
    kept &= torch.arange(len(C)) >= len(C) - most
    if not bool(kept.any()):
        raise StepNotPossibleError("a field does not vary over the samples", "Leave out what is constant.")
    return vectors[:, kept] / eigenvalues[kept].sqrt()
