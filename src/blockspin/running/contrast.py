"""Contrast: whether couplings of two flows over the same samples differ, scale by scale, by their joint covariance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import f as fisher
from scipy.stats import t as student

from blockspin.errors import ShapeError, TooFewSamplesError
from blockspin.measurement import holm
from blockspin.running._joint import jackknife_covariance
from blockspin.running.replicas import Replicas

LEVEL = 0.05
ROUNDING = 1e-9
"""Share of a coupling below which a difference, or its error, is rounding; and that of a direction's variance."""


@dataclass(frozen=True)
class Contrast:
    """The couplings of one theory at one scale of two flows.

    Args:
        label: The scale.
        couplings: How many are known in both flows.
        largest: That which differs most, in its own errors.
        deviation: Its difference (first less second) in units of the error of the difference; infinite where that is
            known without error.
        p_value: Chance of differences as large if the flows had the same couplings.
        adjusted: The same after the number of all contrasts (Holm).
    """

    label: str
    couplings: int
    largest: str
    deviation: float
    p_value: float
    adjusted: float = 1.0

    def differs(self, level: float = LEVEL) -> bool:
        """Whether errors and the number of contrasts leave no doubt that the flows differ here."""
        return self.adjusted <= level


def contrast(label: str, first: Replicas, second: Replicas) -> Contrast:
    r"""Compare all couplings of a theory at one scale of two flows.

    Both are measured over the same groups of samples, and a group is left out of both at once: the jackknife covariance
    of the differences holds what the flows owe to the samples that they share. The statistic is Hotelling's,

    .. math:: T^2 = d^T \Sigma^{-1} d, \qquad \frac{\nu - r + 1}{\nu r} T^2 \sim F(r, \nu - r + 1)

    with r the directions that vary and :math:`\nu` = groups - 1. Of more than :math:`\nu / 2` couplings the covariance
    is too poorly known; the least likely one counts then, times their number.

    Args:
        label: The scale.
        first: Its couplings along one flow.
        second: Along the other.

    Raises:
        TooFewSamplesError: If no coupling exists in both, or there are fewer than three groups.
        ShapeError: If the flows were measured over different numbers of groups.

    Do not trust when:
        A coupling is far from linear in the averages that it is made of: its replicas are then not normal.

    Source:
        hotelling1931.
    """
    names = [name for name in first.values if name in second.values and _finite(name, first, second)]
    if not names:
        raise TooFewSamplesError(f"no coupling at {label} exists in both flows", "Look at other scales.")
    groups = {len(of.replicas[name]) for of in (first, second) for name in names}
    if len(groups) != 1:
        raise ShapeError(f"couplings of {sorted(groups)} groups", "Measure both flows over the same groups.")
    (count,) = groups
    if count < 3:
        raise TooFewSamplesError(f"{count} groups of units tell no difference", "Use at least three groups.")
    values = np.array([[of.values[name] for name in names] for of in (first, second)])
    rest = np.array([[of.replicas[name] for name in names] for of in (first, second)])
    C = jackknife_covariance(torch.tensor((rest[0] - rest[1]).T)).numpy()
    error = np.sqrt(np.clip(np.diag(C), 0, None))
    size = ROUNDING * np.abs(values).max(0)
    d = np.where(np.abs(values[0] - values[1]) > size, values[0] - values[1], 0.0)
    error = np.where(error > size, error, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(d == 0, 0.0, d / error)
    k = int(np.argmax(np.abs(z)))
    return Contrast(label, len(names), names[k], float(z[k]), _chance(z, C, error, count - 1))


def corrected(contrasts: Iterable[Contrast]) -> tuple[Contrast, ...]:
    """Return contrasts with their p-values corrected for the number of all of them.

    Source:
        holm1979.
    """
    rows = tuple(contrasts)
    adjusted = holm([row.p_value for row in rows])
    return tuple(replace(row, adjusted=p) for row, p in zip(rows, adjusted, strict=True))


def _finite(name: str, *rows: Replicas) -> bool:
    return all(np.isfinite([of.values[name], *of.replicas[name]]).all() for of in rows)


def _chance(z: np.ndarray, C: np.ndarray, error: np.ndarray, dof: int) -> float:
    """Return the p-value of differences in units of their errors; one that is known without error is certain."""
    if np.isinf(z).any():
        return 0.0
    varies = error > 0
    if not varies.any():
        return 1.0
    R = C[np.ix_(varies, varies)] / np.outer(error[varies], error[varies])
    value, direction = np.linalg.eigh(R)
    kept = value > ROUNDING * len(R)
    r = int(kept.sum())
    if 2 * r > dof:
        return min(1.0, float(2 * student.sf(np.abs(z).max(), dof)) * int(varies.sum()))
    statistic = float(((direction[:, kept].T @ z[varies]) ** 2 / value[kept]).sum())
    return float(fisher.sf(statistic * (dof - r + 1) / (dof * r), r, dof - r + 1))
