"""Beta function: how fast couplings run as a function of the couplings alone, fitted to runnings with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import f as fisher

from blockspin.errors import ConfigError, FitFailedError, TooFewSamplesError
from blockspin.running._constrained import Constraints, Solution, solve
from blockspin.running._polynomial import Basis, flowed
from blockspin.running._trajectories import Trajectories, inside, trajectories
from blockspin.running.base import Running
from blockspin.running.plateau import fit_constant

MOST = 4
"""Largest order that is tried where none is given."""


@dataclass(frozen=True, eq=False)
class BetaFunction:
    r"""A fitted :math:`\beta_i(g) = dg_i / dl = \sum_a \theta_{ia} \phi_a(g)` with polynomials phi.

    Args:
        names: The couplings.
        units: Their units.
        per: What rates are per: "ln length", or the axis's own unit where there is no length.
        coarsening: Whether the flow coarse-grains and has a length, so that directions may be called relevant.
        basis: The monomials.
        theta: Coefficients [couplings, monomials].
        covariance: Of the coefficients, row by row, [couplings * monomials, couplings * monomials].
        dof: Its degrees of freedom.
        p_value: Probability of a larger misfit if the flow obeyed a polynomial of this order.
        looks: How many orders were tried; a flow that obeys one of them is refused in at most 5 % of cases.
        corners: Points that span the range in which couplings were measured, [points, couplings].
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    per: str
    coarsening: bool
    basis: Basis
    theta: np.ndarray
    covariance: np.ndarray
    dof: float
    p_value: float
    looks: int
    corners: np.ndarray

    @property
    def order(self) -> int:
        """Total degree of the polynomial."""
        return int(self.basis.powers.sum(1).max())

    def inside(self, g: np.ndarray) -> bool:
        """Return whether couplings lie in the convex hull of the measured ones and their 95 % intervals."""
        return inside(self.corners, np.asarray(g, dtype=float))

    def at(self, g: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return beta at couplings g, [couplings], and its covariance.

        Raises:
            ConfigError: If g lies outside of the measured range.
        """
        point = np.atleast_1d(np.asarray(g, dtype=float))
        if not self.inside(point):
            low, high = self.corners.min(0), self.corners.max(0)
            raise ConfigError("g", point.tolist(), f"couplings between {low} and {high}, where they were measured.")
        return self.everywhere(point)

    def everywhere(self, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return beta [..., K] and its covariance [..., K, K] at points [..., K], whether or not inside the range."""
        phi, K = self.basis.at(g), len(self.names)
        C = self.covariance.reshape(K, -1, K, phi.shape[-1])
        return phi @ self.theta.T, np.einsum("...a,iajb,...b->...ij", phi, C, phi)

    def jacobian(self, g: np.ndarray, theta: np.ndarray | None = None) -> np.ndarray:
        """Return the stability matrix d beta_i / d g_j at a point, for these or for other coefficients."""
        return (self.theta if theta is None else theta) @ self.basis.slopes(np.asarray(g, dtype=float))

    def drawn(self, count: int, *, generator: torch.Generator) -> np.ndarray:
        """Return coefficients drawn around the fitted ones by Student's t, [count, couplings, monomials]."""
        eigenvalues, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(eigenvalues.clip(0))
        z = torch.randn(count, len(root), generator=generator, dtype=torch.float64).numpy() @ root.T
        if np.isfinite(self.dof):
            squares = torch.randn(count, max(round(self.dof), 1), generator=generator, dtype=torch.float64).square()
            z = z / squares.mean(1).sqrt().numpy()[:, None]
        return self.theta + z.reshape(count, *self.theta.shape)


def fit_beta(
    runs: Running | Sequence[Running],
    *,
    generator: torch.Generator,
    names: Sequence[str] | None = None,
    order: int | None = None,
    level: float = 0.05,
) -> BetaFunction:
    r"""Fit the beta function of couplings to how they run.

    Consecutive scales are tied by the flow of :math:`\dot g = \beta(g)` over the length of the step, so that a step by
    any b gives the same beta: a coupling that b multiplies by b^2 has beta = 2 g. Measured couplings are errors in both
    variables: the fit moves all of them, by their joint covariance, to where some beta holds exactly, which does not
    attenuate slopes as a regression of differences on couplings would. The order is the least of 1 to 4 that is not
    refused at ``level`` and that none of higher order improves on at ``level`` over their number.

    Args:
        runs: One running, or several that are independent of each other (several starting points).
        generator: Randomness of the simulated data sets that calibrate errors and p-values.
        names: The couplings that are taken to run on their own; by default all.
        order: Total degree of the polynomial, where it is known.
        level: Level of the tests.

    Raises:
        FitFailedError: If couplings do not run beyond their errors, if no order describes them, or if the couplings
            are exact.
        TooFewSamplesError: If there are not more steps than coefficients even at the lowest order.
        ShapeError: If a coupling is missing at some scale.

    Do not trust when:
        Couplings that are not named act on those that are: the flow is then no function of them, and the p-value says
        so only where trajectories part. The flow of a step has a negative eigenvalue: no differential flow does. Errors
        are so large that points overlap along the whole range: intervals are then those of a linearised fit.

    Source:
        britt1973 for the fit with errors in all variables.

    Example:
        >>> from blockspin.flow import Axis, Direction
        >>> steps = torch.arange(5.0)
        >>> l = steps * torch.log(torch.tensor(2.0))
        >>> r = 0.01 * torch.exp(2 * l)[:, None]  # the mass of a Gaussian field: r -> b^2 r
        >>> running = Running(Axis("momentum-shell", "steps", Direction.COARSENING), tuple("abcde"), steps, l, ("r",),
        ...                   ("1",), r, torch.diag((0.001 * r[:, 0]) ** 2), float("inf"), (None,) * 5, (), "exact")
        >>> beta = fit_beta(running, generator=torch.Generator().manual_seed(0))
        >>> beta.order, [round(float(x), 3) for x in beta.at([1.0])[0]]
        (1, [2.0])
    """
    data = trajectories(runs, names)
    still = fit_constant(data, generator)
    if still is not None and still.p_value >= level:
        raise FitFailedError(
            f"{', '.join(data.names)} do not run: constant within their errors (p = {still.p_value:.3g})",
            "Measure more precisely, or over more scales; a plateau is a fixed point as far as these data tell.",
        )
    return fit_moving(data, generator=generator, order=order, level=level)


def fit_moving(
    data: Trajectories, *, generator: torch.Generator, order: int | None = None, level: float = 0.05
) -> BetaFunction:
    """Fit the beta function of couplings that were found to move, as ``fit_beta`` does: whether they do is not asked.

    Args:
        data: The runnings.
        generator: Randomness of the simulated data sets that calibrate errors and p-values.
        order: Total degree of the polynomial, where it is known.
        level: Level of the tests.

    Raises:
        FitFailedError: If no order describes them.
        TooFewSamplesError: If there are not more steps than coefficients even at the lowest order.
    """
    found = {}
    tried = range(1, MOST + 1) if order is None else (order,)
    for degree in tried:
        basis = Basis.of(data.points, degree)
        if basis.powers.size > (len(data.time) - 1) * len(data.names):
            break
        solution = fit_order(data, basis, generator)
        if solution is not None:
            found[degree] = (basis, solution)
    if not found and len(data.time) <= len(data.names) + 1:
        raise TooFewSamplesError(f"{len(data.time)} steps do not determine a beta function", "Take more scales.")
    chosen = _chosen({degree: solution for degree, (_, solution) in found.items()}, data.dof, level)
    basis, solution = found[chosen]
    theta = solution.theta.reshape(len(data.names), -1)
    about = (data.names, data.units, data.per, data.coarsening, basis, theta, solution.covariance)
    return BetaFunction(*about, data.dof, solution.p_value, len(found), data.corners())


def _chosen(found: dict[int, Solution], dof: float, level: float) -> int:
    """Return the least order that is neither refused nor improved upon."""
    for degree, fit in found.items():
        higher = [other for d, other in found.items() if d > degree]
        if fit.p_value >= level and not any(_better(other, fit, dof, level / len(higher)) for other in higher):
            return degree
    tried = ", ".join(f"{degree} (p = {fit.p_value:.2g})" for degree, fit in found.items()) or "none that converged"
    raise FitFailedError(
        f"no beta function describes how the couplings run; orders tried: {tried}",
        "Name the couplings that act on each other together, or take a shorter range.",
    )


def _better(other: Solution, fit: Solution, dof: float, level: float) -> bool:
    more = fit.spare - other.spare
    dof = dof if np.isfinite(dof) else 1e9
    return bool(fisher.sf(max(fit.misfit - other.misfit, 0.0) / more, more, dof) < level)


def fit_order(data: Trajectories, basis: Basis, generator: torch.Generator) -> Solution | None:
    """Fit the beta function of one basis, its coefficients coupling by coupling; None if that fails."""
    middle = (data.points[data.before] + data.points[data.before + 1]) / 2
    rates = (data.points[data.before + 1] - data.points[data.before]) / data.time[:, None]
    start = np.linalg.lstsq(basis.at(middle), rates, rcond=None)[0].T
    constraints = _flow_constraints(data, basis)
    return solve(data.points.ravel(), data.covariance, data.dof, constraints, start.ravel(), generator=generator)


def _flow_constraints(data: Trajectories, basis: Basis) -> Constraints:
    """Return how far each point is from where the flow leads from the one before."""
    P, K = data.points.shape
    rows = np.arange(len(data.time))

    def constraints(y: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        g = y.reshape(P, K)
        after, by_g, by_theta = flowed(basis, theta.reshape(K, -1), g[data.before], data.time)
        J = np.zeros((len(rows), K, P, K))
        J[rows, :, data.before + 1] = np.eye(K)
        J[rows, :, data.before] = -by_g
        return (g[data.before + 1] - after).ravel(), J.reshape(-1, P * K), -by_theta.reshape(-1, theta.size)

    return constraints
