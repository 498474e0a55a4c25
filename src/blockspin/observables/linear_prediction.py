"""Linear prediction: how much of one field is a linear function of another, both ways, and canonical correlations."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isinf

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConstantUnitsError, TooFewSamplesError, check_between
from blockspin.law import GaussianLaw, PushMap
from blockspin.observables.base import Observable, PartMonoid, State, effective_samples
from blockspin.observables.covariance import Moments, covariance_of, estimated
from blockspin.registry import register

LEADING = 32
"""How many canonical correlations are reported."""


@dataclass(frozen=True)
class JointMoments(PartMonoid):
    """The moments of two aligned fields side by side: those of each, and their centred cross scatter.

    State: that of ``Moments`` on the D + D' values of both, and "split" int64 [], which is D.

    Args:
        double: Whether products are float64 whatever the field is: for numbers that are small differences.
    """

    inputs = 2
    double: bool = False

    def part(self, *batches: Batch) -> State:
        """Add up a joint batch."""
        first, second = batches
        x, y = first.values.flatten(1), second.values.flatten(1)
        both = torch.cat([x, y], dim=1)
        joint = Moments().part(first.with_values(both.to(torch.float64) if self.double else both))
        return {**joint, "split": torch.tensor(x.shape[1])}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        return {**Moments().joined(first, second), "split": first["split"]}


def law_state(law: GaussianLaw, map: PushMap) -> State:
    """Return the state of a Gaussian law and of what an affine map makes of it: exact, without samples.

    Raises:
        NotLinearError: If the map is not affine.
    """
    coarse, size = law.push(map), len(law.covariance)
    T = map.values(torch.eye(size, dtype=torch.float64).reshape(size, *law.mean.shape)).reshape(size, -1)
    T = (T - map.values(torch.zeros(1, *law.mean.shape, dtype=torch.float64)).reshape(1, -1)).T
    cross = law.covariance @ T.T
    scatter = torch.cat([torch.cat([law.covariance, cross], 1), torch.cat([cross.T, coarse.covariance], 1)])
    mean = torch.cat([law.mean.reshape(-1), coarse.mean.reshape(-1)])
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    return {"weight": one, "squares": zero, "mean": mean, "scatter": scatter, "split": torch.tensor(size)}


@dataclass(frozen=True, eq=False)
class _Whitened:
    """The covariance of one field on its numerical support: root [D, rank] takes the field to unit variance there."""

    root: Tensor
    total: Tensor

    @property
    def rank(self) -> int:
        return self.root.shape[1]


def _whitened(C: Tensor, tolerance: float) -> _Whitened:
    eigenvalues, vectors = torch.linalg.eigh(C)
    if not float(eigenvalues[-1]) > 0:
        raise ConstantUnitsError("a field does not vary over the samples", "Check the data.")
    kept = eigenvalues > tolerance * eigenvalues[-1]
    return _Whitened(vectors[:, kept] / eigenvalues[kept].sqrt(), C.trace())


@register
@dataclass(frozen=True)
class LinearPrediction(Observable):
    r"""Linear predictability of two fields over the same inputs (neighbouring scales, layers), and what they share.

    .. math:: R^2_{y|x} = 1 - \frac{\nu}{\nu - r_x}
        \left(1 - \frac{\operatorname{tr} C_{yx} C_{xx}^+ C_{xy}}{\operatorname{tr} C_{yy}}\right)

    the share of the variance of y that the best linear map from x gives, with :math:`r_x` the rank of :math:`C_{xx}`
    and :math:`\nu = n - 1`: the factor takes out what :math:`r_x` free directions explain of any n samples, so that
    independent fields read 0 on average (and may read below it). On a law it is 1. Without it the number is the plain
    one.

    Quantities: "second_from_first" and "first_from_second", adjusted; the same with "plain_" before them; "rank_first"
    and "rank_second", of the numerical supports; "canonical" [32], the leading canonical correlations on the supports,
    padded with zeros, not adjusted; "shared", the sum of their squares less that of independent fields,
    :math:`(\nu P - r_x r_y) / \sqrt{(\nu - r_x)(\nu - r_y)}`.

    Args:
        tolerance: Directions with less than this share of the largest variance are not in the support.

    Raises:
        ConfigError: If the tolerance is not between 0 and 1.

    Do not trust when:
        Samples are strongly dependent: n counts samples, not units, and the adjustment is then too small
        (``held_out`` on other units needs none). "canonical" with ranks that are not small against n: independent
        fields of ranks r have correlations up to about :math:`\sqrt{4 r / n}`. The relation is not linear: this is a
        lower bound of what y says about x.

    Source:
        hotelling1936.
    """

    name = "linear-prediction"
    source = "hotelling1936"
    units = {
        "second_from_first": "1",
        "first_from_second": "1",
        "plain_second_from_first": "1",
        "plain_first_from_second": "1",
        "rank_first": "1",
        "rank_second": "1",
        "canonical": "1",
        "shared": "1",
    }
    tolerance: float = 1e-6

    def __post_init__(self):
        check_between("tolerance", self.tolerance, 0, 1)

    @property
    def monoid(self) -> JointMoments:
        """Moments of both fields together."""
        return JointMoments()

    def value(self, state: State) -> dict[str, Tensor]:
        """Project, whiten, compare.

        Raises:
            TooFewSamplesError: If there are not more samples than directions in a support.
            ConstantUnitsError: If a field does not vary.
        """
        cross, (x, y), nu = self._parts(state)
        rho = torch.linalg.svdvals(x.root.T @ cross @ y.root).clamp(0, 1)
        plain = {
            "second_from_first": (cross.T @ x.root).square().sum() / y.total,
            "first_from_second": (cross @ y.root).square().sum() / x.total,
        }
        spare = [1.0 if isinf(nu) else 1 - field.rank / nu for field in (x, y)]
        chance = 0.0 if isinf(nu) else x.rank * y.rank / nu
        leading = torch.zeros(LEADING, dtype=torch.float64)
        leading[: len(rho)] = rho[:LEADING]
        adjusted = (1 - (1 - share) / room for share, room in zip(plain.values(), spare, strict=True))
        return {
            **dict(zip(plain, adjusted, strict=True)),
            **{f"plain_{key}": share for key, share in plain.items()},
            "rank_first": torch.tensor(float(x.rank), dtype=torch.float64),
            "rank_second": torch.tensor(float(y.rank), dtype=torch.float64),
            "canonical": leading,
            "shared": (rho.square().sum() - chance) / (spare[0] * spare[1]) ** 0.5,
        }

    def held_out(self, fitted: State, other: State) -> dict[str, Tensor]:
        """Return both R^2 of the linear maps fitted on one state, on another of independent units.

        It needs no adjustment, and is below 0 where the map is worse than the mean of the other's own field.

        Raises:
            TooFewSamplesError: If there are too few samples.
            ConstantUnitsError: If a field does not vary.
        """
        cross, (x, y), _ = self._parts(fitted)
        D = int(fitted["split"])
        C = covariance_of(other, unbiased=False)
        gap = other["mean"] - fitted["mean"]
        S = C + torch.outer(gap, gap)  # about the means of the fit
        found = {}
        to_y = (cross.T @ x.root) @ x.root.T
        to_x = (cross @ y.root) @ y.root.T
        for key, B, own, given in (
            ("second_from_first", to_y, slice(D, None), slice(D)),
            ("first_from_second", to_x, slice(D), slice(D, None)),
        ):
            residual = S[own, own].trace() - 2 * (B * S[own, given]).sum() + ((B @ S[given, given]) * B).sum()
            found[key] = 1 - residual / C[own, own].trace()
        return found

    def _parts(self, state: State) -> tuple[Tensor, tuple[_Whitened, _Whitened], float]:
        n = effective_samples(state)
        C = estimated(state)
        D = int(state["split"])
        both = _whitened(C[:D, :D], self.tolerance), _whitened(C[D:, D:], self.tolerance)
        nu = inf if isinf(n) else n - 1
        most = max(field.rank for field in both)
        if nu <= most:
            raise TooFewSamplesError(
                f"{n:.0f} effective samples do not determine linear maps from {most} directions", "Give more samples."
            )
        return C[:D, D:], both, nu
