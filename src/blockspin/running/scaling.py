"""Scaling: exponents of the linearised flow, by the fitted beta and by Swendsen's matrix, and which are relevant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import log, sqrt

import numpy as np
import torch
from scipy.stats import t as student

from blockspin.answer import Verdict
from blockspin.engine.errorbars import leave_one_out, merged
from blockspin.errors import FitFailedError, ShapeError
from blockspin.measurement import Measurement, holm
from blockspin.observables.base import Estimator, State
from blockspin.running.beta_function import BetaFunction
from blockspin.running.fixed_points import FixedPoint

REAL = 1e-9
"""Share of its modulus below which the imaginary part of an eigenvalue is rounding."""


class Relevance(Enum):
    """What a direction does along a coarsening flow with a length; elsewhere it grows or decays at a rate per step."""

    RELEVANT = "relevant"
    IRRELEVANT = "irrelevant"
    GROWING = "growing"
    DECAYING = "decaying"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, eq=False)
class Exponent:
    r"""An eigenvalue of the linearised flow.

    Args:
        sector: "even" or "odd" under the sign of the field, "" where sectors were not told apart.
        rate: y = d ln(delta g) / dl, or the growth rate per step where there is no length; NaN where the eigenvalue of
            a step is not positive.
        factor: The eigenvalue of a step, :math:`\lambda = e^{y \Delta l}`, None where none was taken (a fitted beta).
        coarsening: Whether the flow coarse-grains and has a length.
        operators: The direction: a number for each coupling or operator, of unit length.
    """

    sector: str
    rate: Measurement
    factor: Measurement | None
    coarsening: bool
    operators: tuple[float, ...]

    def p_value(self) -> float:
        """Return the probability of a direction so far from marginal if it were marginal (two-sided)."""
        measured, marginal = (self.rate, 0.0) if self.factor is None else (self.factor, 1.0)
        if not np.isfinite(measured.error) or measured.error == 0:
            return 1.0 if measured.error != 0 or measured.value == marginal else 0.0
        if self.factor is not None and measured.value < 0:  # what changes its sign decays if its modulus is below one
            marginal = -1.0
        return float(2 * student.sf(abs(measured.value - marginal) / measured.error, measured.dof))

    @property
    def grows(self) -> bool:
        """Whether the estimate itself grows."""
        return self.rate.value > 0 if self.factor is None else abs(self.factor.value) > 1


def stability(beta: BetaFunction, point: FixedPoint, sector: str = "") -> tuple[Exponent, ...]:
    """Return the eigenvalues of d beta / d g at a fixed point, largest first, with errors by the delta method.

    The fixed point moves with the coefficients, and that is in the errors.

    Args:
        beta: The fitted beta function.
        point: One of its zeros.
        sector: The sector that all couplings of beta belong to.

    Raises:
        FitFailedError: If eigenvalues are complex: couplings then spiral, and no direction has a rate of its own.
    """
    M = beta.jacobian(point.values)
    eigenvalues, vectors = np.linalg.eig(M)
    if np.abs(eigenvalues.imag).max() > REAL * np.abs(eigenvalues).max():
        raise FitFailedError(f"eigenvalues {eigenvalues} of the stability matrix are complex", "Couplings spiral here.")
    slopes = _eigenvalue_slopes(beta, point.values, np.linalg.inv(vectors).real, vectors.real)
    errors = np.sqrt(np.einsum("kp,pq,kq->k", slopes, beta.covariance, slopes))
    how = f"stability matrix of the fitted beta function of order {beta.order}, delta method"
    unit = "1" if beta.per == "ln length" else f"1/{beta.per}"
    return tuple(
        Exponent(
            sector,
            Measurement(float(eigenvalues[k].real), float(errors[k]), unit, beta.dof + 1, how, beta.dof),
            None,
            beta.coarsening,
            tuple(float(x) for x in vectors[:, k].real),
        )
        for k in np.argsort(-eigenvalues.real)
    )


def _eigenvalue_slopes(beta: BetaFunction, g: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the derivatives of the eigenvalues at the moving fixed point by the coefficients, [K, coefficients]."""
    K = len(g)
    slopes, phi = beta.basis.slopes(g), beta.basis.at(g)
    moved = -np.einsum("ij,a->jia", np.linalg.inv(beta.jacobian(g)), phi)  # dg*_j by theta_ia
    step = 1e-5 * beta.basis.width
    curved = np.stack(
        [(beta.jacobian(g + step * e) - beta.jacobian(g - step * e)) / (2 * step @ e) for e in np.eye(K)], -1
    )  # d M_ij / d g_k
    by_theta = np.einsum("ij,ak->ikja", np.eye(K), slopes) + np.einsum("ikn,nja->ikja", curved, moved)
    return np.einsum("mi,ikja,km->mja", left, by_theta, right).reshape(K, -1)


def step_exponents(estimator: Estimator, states: Sequence[State], b: float) -> tuple[Exponent, ...]:
    """Return the eigenvalues of the matrices of a step, sector by sector, with errors of the delete-group jackknife.

    Real ones, in order of their modulus: complex pairs have no rate of their own and are not among them. A sector
    without a matrix, in all groups' states or with some group left out, has none.

    Args:
        estimator: Gives "matrix_even" and "matrix_odd" (Swendsen's) from pairs (coarse, fine).
        states: The state of each group of units.
        b: Ratio of coarse to fine lattice spacing.

    Raises:
        FitFailedError: If neither sector has a matrix.

    Do not trust when:
        The matrix is truncated to few operators: the bias does not fall with the number of samples.

    Source:
        swendsen1979.
    """
    whole = estimator.value(merged(estimator.monoid, states))
    rest = [estimator.value(state) for state in leave_one_out(estimator.monoid, states)]
    sectors = [key for key in whole if key.startswith("matrix_")]
    if not sectors:
        raise FitFailedError("no sector has a matrix", "An operator does not fluctuate, or operators are collinear.")
    found: list[Exponent] = []
    for key in sectors:
        if all(key in row for row in rest):
            found += _sector(key.removeprefix("matrix_"), whole[key], [row[key] for row in rest], b)
    return tuple(found)


def _sector(sector: str, T: torch.Tensor, replicas: Sequence[torch.Tensor], b: float) -> list[Exponent]:
    """Return the real eigenvalues of a sector's matrix; complex ones have no rate and are left to ``rate`` NaN."""
    eigenvalues, vectors = np.linalg.eig(T.numpy())
    left = np.linalg.inv(vectors)
    G, found = len(replicas), []
    shifts = np.stack([R.numpy() - T.numpy() for R in replicas])
    # first order in the shift of the matrix: eigenvalues of replicas could not always be told apart
    moved = np.einsum("ki,gij,jk->gk", left, shifts, vectors)
    errors = moved.real.std(0, ddof=1) * (G - 1) / sqrt(G)
    how = f"matrix of a step by b = {b:g}, delete-group jackknife, {G} groups"
    for k in np.argsort(-np.abs(eigenvalues)):
        size, real = eigenvalues[k].real, abs(eigenvalues[k].imag) <= REAL * abs(eigenvalues[k])
        if not real:
            continue
        factor = Measurement(float(size), float(errors[k]), "1", G, how, G - 1)
        exists = size > 0
        y = log(size) / log(b) if exists else np.nan
        rate = Measurement(y, errors[k] / size / log(b) if exists else np.nan, "1", G, how, G - 1)
        found.append(Exponent(sector, rate, factor, True, tuple(float(x) for x in vectors[:, k].real)))
    return found


def classified(exponents: Sequence[Exponent], *, level: float = 0.05, looks: int = 0) -> tuple[Relevance, ...]:
    """Return what each direction does, where its interval excludes marginality after Holm's correction.

    Along coarsening flows with a length: relevant or irrelevant. Elsewhere: growing or decaying. "Cannot tell" where
    marginality is not excluded: a marginal direction is never proven.

    Args:
        exponents: All that were looked at, of all scales and sectors.
        level: Probability of calling any direction of marginal ones relevant or irrelevant.
        looks: How many were looked at in all, where more than those given.

    Source:
        holm1979.
    """
    adjusted = holm([exponent.p_value() for exponent in exponents], looks)
    return tuple(
        _kind(exponent) if p <= level else Relevance.CANNOT_TELL
        for exponent, p in zip(exponents, adjusted, strict=True)
    )


def _kind(exponent: Exponent) -> Relevance:
    if exponent.coarsening:
        return Relevance.RELEVANT if exponent.grows else Relevance.IRRELEVANT
    return Relevance.GROWING if exponent.grows else Relevance.DECAYING


def dimension_of(exponent: Exponent, dimension: int) -> Measurement:
    """Return the scaling dimension d - y of the operator that a direction belongs to.

    Raises:
        ShapeError: If the flow has no length or does not coarse-grain: there is no such dimension then.
    """
    if not exponent.coarsening or not np.isfinite(exponent.rate.value):
        raise ShapeError("a direction without length, or without a positive eigenvalue, has no scaling dimension")
    y = exponent.rate
    return Measurement(dimension - y.value, y.error, "1", y.n_eff, f"d - y; {y.how}", y.dof)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Whether two estimates of one number agree.

    Args:
        difference: The first less the second, with their joint error.
        p_value: Probability of a larger difference if both estimated the same.
        verdict: No if they differ, yes if they agree and their joint error is below the margin, else cannot tell.
        statement: In a sentence.
    """

    difference: Measurement
    p_value: float
    verdict: Verdict
    statement: str


def agreement(
    first: Measurement,
    second: Measurement,
    *,
    margin: float,
    covariance: float = 0.0,
    level: float = 0.05,
    left_out: Sequence[str] = (),
) -> Agreement:
    """Compare an exponent by the fitted beta with that by Swendsen's matrix.

    Either is truncated to the couplings, or operators, that it is given; what that shifts it by is in neither error.
    Name what is left out, and a difference beyond the errors says so.

    Args:
        first: One estimate.
        second: The other.
        margin: Joint error beyond which agreement says nothing.
        covariance: Of the two, where both come from the same samples; 0 for independent ones.
        level: Level of the test.
        left_out: What one of the two does not hold (``Coupling.left_out``).

    Raises:
        FitFailedError: If there is no joint error.
    """
    variance = first.error**2 + second.error**2 - 2 * covariance
    if not (np.isfinite(variance) and variance > 0):
        raise FitFailedError("two estimates without a joint error cannot be compared", "Give both their errors.")
    dof = _welch(first, second)
    difference = Measurement(first.value - second.value, sqrt(variance), first.unit, dof + 1, "difference", dof)
    p_value = float(2 * student.sf(abs(difference.value) / difference.error, dof))
    if p_value < level:
        why = f": truncation, their errors do not hold {' and '.join(left_out)}" if left_out else ""
        return Agreement(difference, p_value, Verdict.NO, f"{first} and {second} differ by {difference}{why}")
    if difference.error > margin:
        said = f"{first} and {second} do not differ, but would have to by more than {difference.error:.2g} to be told"
        return Agreement(difference, p_value, Verdict.CANNOT_TELL, said)
    return Agreement(difference, p_value, Verdict.YES, f"{first} and {second} agree within {difference.error:.2g}")


def _welch(first: Measurement, second: Measurement) -> float:
    parts = [(m.error**2, m.dof) for m in (first, second)]
    total = sum(v for v, _ in parts)
    spread = sum(v**2 / dof for v, dof in parts if np.isfinite(dof))
    return total**2 / spread if spread > 0 else float("inf")
