"""Relative entropy: how distinguishable two ensembles over the same sites are, as far as means and covariances tell."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from blockspin.errors import ConstantUnitsError, ShapeError, TooFewSamplesError, check_between
from blockspin.law import GaussianLaw
from blockspin.observables.base import Observable, State, effective_samples
from blockspin.observables.covariance import estimated
from blockspin.observables.linear_prediction import JointMoments
from blockspin.registry import register


def pair_state(first: GaussianLaw, second: GaussianLaw) -> State:
    """Return the state of two Gaussian laws, taken as independent: exact, without samples."""
    mean = torch.cat([first.mean.reshape(-1), second.mean.reshape(-1)])
    scatter = torch.block_diag(first.covariance, second.covariance)
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    split = torch.tensor(len(first.covariance))
    return {"weight": one, "squares": zero, "mean": mean, "scatter": scatter, "split": split}


@register
@dataclass(frozen=True)
class RelativeEntropy(Observable):
    r"""Relative entropy D(first || second) of two ensembles over the same sites, closed at second moments.

    With means m and covariances S of the flattened fields,

    .. math:: D = \tfrac12 \big[\operatorname{tr} S_2^{-1} S_1 - n - \ln\det(S_2^{-1} S_1)
        + (m_1 - m_2)^t S_2^{-1} (m_1 - m_2)\big]

    which is exact for Gaussian fields. It never grows when both are coarse-grained by the same map, is not symmetric,
    and does not change when both are mapped linearly and invertibly. From samples it is too large: by n (n + 1) / (4 T)
    for each estimated covariance of equal fields, less where the two are samples of the same inputs and correlated.
    The bias of first order in 1 / T is subtracted, worked out for Gaussian fields from the covariances and the cross
    covariance; "divergence" can therefore fall below 0 where the fields are alike.

    Both fields are projected first on what their supports have in common (directions that vary by more than
    ``tolerance`` of the largest variance); directions in which only one of them varies are counted, since D is infinite
    there.

    Quantities: "divergence"; "plain_divergence", without the subtraction; "from_means", the part of the last term, its
    own bias subtracted; "rank", the common directions; "degenerate", those in which only one field varies: where it is
    not 0 the divergence of the whole fields is infinite, and what is given is that of their projections.

    Args:
        tolerance: Directions with less than this share of the largest variance are not in the support.

    Raises:
        ConfigError: If the tolerance is not between 0 and 1.

    Do not trust when:
        Fields are far from Gaussian: other fields may share two moments, and the bias is then another one. n is not
        small against T: the first order is 5 % off at n = T / 10. Samples are strongly dependent: T counts samples.
        Fields are alike: D is then quadratic in the noise, and the jackknife's error is too large. Supports
        differ ("degenerate" is not 0), or the numbers of sites that are compared (D grows with them).

    Source:
        erdmenger2022.
    """

    name = "relative-entropy"
    source = "erdmenger2022"
    units = {"divergence": "nat", "plain_divergence": "nat", "from_means": "nat", "rank": "1", "degenerate": "1"}
    tolerance: float = 1e-6

    def __post_init__(self):
        check_between("tolerance", self.tolerance, 0, 1)

    @property
    def monoid(self) -> JointMoments:
        """Moments of both fields together."""
        return JointMoments(double=True)

    def value(self, state: State) -> dict[str, Tensor]:
        """Diagonalise one covariance in terms of the other on their support.

        Raises:
            ShapeError: If the fields do not have as many sites times components.
            TooFewSamplesError: If there are not more samples than directions.
            ConstantUnitsError: If a field does not vary.
        """
        n = effective_samples(state)
        D = int(state["split"])
        if len(state["mean"]) != 2 * D:
            raise ShapeError(
                f"fields of {D} and {len(state['mean']) - D} numbers are not over the same sites",
                "Compare fields of one size: coarse-grain both by the same map.",
            )
        C = estimated(state)
        first, second, cross = C[:D, :D], C[D:, D:], C[D:, :D]
        basis, ratio, degenerate = self._common(first, second)
        rank = len(ratio)
        if n - 1 <= rank + 1:
            raise TooFewSamplesError(
                f"{n:.0f} effective samples do not tell covariances over {rank} directions", "Give more samples."
            )
        gap = (state["mean"][:D] - state["mean"][D:]) @ basis
        K = basis.T @ cross @ basis
        shape, shift = (ratio - 1 - ratio.log()).sum() / 2, gap.square().sum() / 2
        noise = _bias(ratio, K, 0.0 if n == inf else 1 / (n - 1))
        moved = shift - _bias_of_means(ratio, K, shift, 0.0 if n == inf else 1 / n)
        return {
            "divergence": shape - noise + moved,
            "plain_divergence": shape + shift,
            "from_means": moved,
            "rank": torch.tensor(float(rank), dtype=torch.float64),
            "degenerate": torch.tensor(float(degenerate), dtype=torch.float64),
        }

    def _common(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, int]:
        """Return directions [D, rank] in which the second is the identity and the first diagonal, with its variances.

        Also the number of directions that were left out because only one of the fields varies there.
        """
        one, two = (self._support(C) for C in (first, second))
        overlap, angles, _ = torch.linalg.svd(one.T @ two)
        common = one @ overlap[:, : len(angles)][:, angles > 1 - self.tolerance]
        a, b = (common.T @ C @ common for C in (first, second))
        eigenvalues, vectors = torch.linalg.eigh(b)
        white = vectors / eigenvalues.sqrt()
        ratio, turned = torch.linalg.eigh(white.T @ a @ white)
        union = one.shape[1] + two.shape[1] - common.shape[1]
        return common @ white @ turned, ratio, union - common.shape[1]

    def _support(self, covariance: Tensor) -> Tensor:
        """Return an orthonormal basis [D, rank] of the directions in which a field varies."""
        eigenvalues, vectors = torch.linalg.eigh(covariance)
        if not float(eigenvalues[-1]) > 0:
            raise ConstantUnitsError("a field does not vary over the samples", "Check the data.")
        return vectors[:, eigenvalues > self.tolerance * eigenvalues[-1]]


def _bias(ratio: Tensor, K: Tensor, rate: float) -> Tensor:
    r"""Return what sampling adds to the part of the covariances, to first order in rate = 1 / (T - 1).

    From the log determinants :math:`\mp n (n + 1) / 4`, from the inverse :math:`(n + 1) \operatorname{tr} \rho / 2`,
    and from samples in common :math:`-[\operatorname{tr} K^2 + (\operatorname{tr} K)^2] / 2`, of the whitened cross
    covariance K.
    """
    n = len(ratio)
    common = ((K * K.T).sum() + K.trace() ** 2) / 2
    return rate * ((n + 1) * ratio.sum() / 2 - common)


def _bias_of_means(ratio: Tensor, K: Tensor, shift: Tensor, rate: float) -> Tensor:
    """Return what sampling adds to the part of the means, to first order in rate = 1 / T."""
    n = len(ratio)
    return rate * ((n + ratio.sum() - 2 * K.trace()) / 2 + (n + 1) * shift)
