"""Quotient: divide out the scale of each site and the exchange of sites that cannot be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from math import atanh, inf, sqrt, tanh

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.ensemble import Ensemble
from blockspin.errors import NothingFoundError, StepNotPossibleError, check_between
from blockspin.geometry import Unordered
from blockspin.law import Source
from blockspin.observables.covariance import moments
from blockspin.registry import register
from blockspin.schemes._clusters import ClusterMeanMap, in_order
from blockspin.schemes._correlation import correlation_of, independent_units, require_silent
from blockspin.schemes.base import Scheme

SLACK = 1e-9
"""Correlations of a law that differ by less are equal."""
COARSEST = 0.5
"""Samples that would let a difference correlated by this pass for chance tell nothing."""
SHUFFLES, MOST = 99, 2000
"""Shuffles of the test of the orbits as a whole, at a level of 1 %, and the units that it looks at."""


@register
@dataclass(frozen=True)
class Quotient(Scheme):
    r"""Divide out the scale of each site and the exchange of sites that cannot be told apart.

    Two symmetries of a representation carry nothing: the positive factor that a unit can pass on to the next layer
    (ReLU), and the order of units that play the same part. Each site is divided by its standard deviation sigma_i, and
    the sites of an orbit, any two of which may be exchanged without changing a correlation, become their mean:

    .. math:: \phi'_o = \frac{1}{|o|} \sum_{i \in o} \phi_i / \sigma_i .

    On samples, two sites stay together unless a correlation of their difference with another site is beyond chance:
    exchangeable sites are parted, anywhere in the matrix, with a probability of at most ``level`` (Fisher's z,
    Bonferroni's correction; units count, not samples). A site joins the first orbit whose first member it agrees with.
    Single correlations of few samples part little, so that the orbits are then tested as a whole: exchanging the
    members of each orbit at random, anew in every unit, changes nothing if they are exchangeable. Where the matrix is
    further from the symmetric one than in each of 99 such shuffles, members differ in ways that these samples show but
    cannot place, and the step is refused; so it is where a difference correlated by 1/2 would pass for chance.

    Args:
        level: Error rate of parting what is exchangeable, between 0 and 1.
        silent: Share of the largest variance up to which a site counts as silent: these are an orbit of their own, and
            keep their units; at 0 sites that do not vary are refused.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, orbits, components]

    Raises:
        ConfigError: If an option cannot be used.
        NothingFoundError: If no two sites are exchangeable.
        StepNotPossibleError: If there is only one site, too few samples to tell sites apart, or members of the orbits
            differ.
        ConstantUnitsError: If a site does not vary and ``silent`` is 0.

    Do not trust when:
        Sites differ by less than samples can show: what cannot be told apart is joined. Second moments alone are
        compared; the shuffles (one refusal in 100 of what is exchangeable) also assume that higher ones agree.

    Tether:
        White noise is one orbit, the leaves of a regular tree are orbits of siblings, planted orbits are found.

    Source:
        votaw1948, for the symmetry; its test by single correlations is ours.

    Example:
        >>> from blockspin import GaussianLaw
        >>> C = torch.tensor([[1.0, 0.5, 0.2], [0.5, 1.0, 0.2], [0.2, 0.2, 4.0]])
        >>> Quotient().fit(GaussianLaw.of(C, Unordered(3)), generator=torch.Generator()).cluster.tolist()
        [0, 0, 1]
    """

    name = "quotient"
    source = "votaw1948"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("sign", "scale", "rotation"),
        gauge="permutation",
        fixed_points=("white-noise",),
    )
    level: float = 0.01
    silent: float = 0.0

    def __post_init__(self):
        require_silent(self.silent)
        check_between("level", self.level, 0, 1)

    def fit(self, source: Source, *, generator: torch.Generator) -> ClusterMeanMap:
        """Return means over orbits of standardised sites."""
        geometry, sites = source.geometry, source.geometry.sites
        if sites < 2:
            raise StepNotPossibleError("a single site is left, which has no other to be exchanged with")
        C = correlation_of(source, self.silent).to(torch.float64).numpy()
        active = C.diagonal() > 0.5
        label = np.full(sites, -1)
        label[active] = _orbits(C[active][:, active], self._least(source))
        cluster = in_order(label)
        count = int(cluster.max()) + 1
        if count == sites:
            raise NothingFoundError(
                f"no two of {sites} sites are exchangeable", "There is no such symmetry to divide out: leave it."
            )
        if isinstance(source, Ensemble) and count < sites:
            _require_exchangeable(source, cluster, self.silent, generator)
        coarse = Unordered(count, geometry.spacing * sites / count)
        scale = torch.where(torch.from_numpy(active), _deviations(source), 1.0)
        return ClusterMeanMap(cluster, coarse, scale)

    def _least(self, source: Source) -> float:
        """Return the correlation, of either sign, that parts two sites."""
        n, sites = independent_units(source), source.geometry.sites
        if n == inf:
            return SLACK
        deviations = float(norm.isf(self.level / (sites * sites * (sites - 1))))
        if n <= 8 or tanh(deviations / sqrt(n - 3)) > COARSEST:
            need = 4 + (deviations / atanh(COARSEST)) ** 2
            raise StepNotPossibleError(
                f"{n:g} independent samples cannot tell {sites} sites apart", f"Give {need:.0f} at least."
            )
        return tanh(deviations / sqrt(n - 3))

    @classmethod
    def examples(cls) -> tuple[Quotient, ...]:
        """Return the default error rate."""
        return (cls(),)


def _orbits(C: np.ndarray, least: float) -> np.ndarray:
    """Return the orbit [N] of each site, given correlations and the largest one of a difference that is chance."""
    label = np.full(len(C), -1)
    for first in range(len(C)):
        if label[first] >= 0:
            continue
        gap = C[first] - C  # covariance of x_first - x_i with x_k, [i, k]
        deviation = np.sqrt(np.maximum(2 - 2 * C[first], 0.0))  # of x_first - x_i
        index = np.arange(len(C))
        gap[index, index], gap[:, first] = 0.0, 0.0  # the two themselves: standardised, so that they always agree
        label[(label < 0) & (np.abs(gap).max(axis=1) <= least * np.maximum(deviation, SLACK))] = first
        label[first] = first
    return label


def _require_exchangeable(ensemble: Ensemble, cluster: Tensor, silent: float, generator: torch.Generator) -> None:
    """Refuse orbits whose members' correlations differ by more than after exchanging them at random in every unit."""
    _, unit = torch.unique(ensemble.units, return_inverse=True)
    if int(unit.max()) >= MOST:
        rows = (unit < MOST).nonzero()[:, 0]
        ensemble, unit = ensemble.select(rows), unit[rows]
    scale = _deviations(ensemble)
    x = ensemble.values / torch.where(scale > 0, scale, 1.0).to(ensemble.values.dtype)[:, None]
    found = _misfit(ensemble, cluster, silent)
    order = torch.argsort(cluster, stable=True)  # an orbit's members side by side
    for _ in range(SHUFFLES):
        key = torch.rand(int(unit.max()) + 1, len(cluster), dtype=torch.float64, generator=generator) + cluster[order]
        place = torch.empty_like(key, dtype=torch.int64)
        place[:, order] = order[key.argsort(dim=1)]
        moved = x.gather(1, place[unit][:, :, None].expand_as(x))
        if _misfit(ensemble.with_values(moved), cluster, silent) >= found:
            return
    units, orbits = int(unit.max()) + 1, int(cluster.max()) + 1
    raise StepNotPossibleError(
        f"members of {orbits} orbits differ beyond chance, but {units} independent samples do not tell which",
        "Give more samples, or take it that sites are not exchangeable.",
    )


def _misfit(ensemble: Ensemble, cluster: Tensor, silent: float) -> float:
    """Return the sum of squares of correlations less their means over pairs of sites in the same two orbits."""
    C = correlation_of(ensemble, silent).to(torch.float64)
    C = C - torch.diag(C.diagonal())
    hot = torch.nn.functional.one_hot(cluster).to(torch.float64)
    size = hot.sum(0)
    pairs = torch.outer(size, size) - torch.diag(size)
    mean = (hot.T @ C @ hot) / pairs.clamp(min=1)
    return float(C.square().sum() - (pairs * mean.square()).sum())


def _deviations(source: Source) -> Tensor:
    """Return the standard deviation of each site, float64 [sites], over all components together."""
    if isinstance(source, Ensemble):
        w = source.weights / source.weights.sum()
        x = source.values.to(torch.float64)
        x = x - torch.einsum("n,nsc->sc", w, x)
        return torch.einsum("n,nsc->s", w, x.square()).sqrt()
    variance = moments(source)[1].diagonal()
    return variance.reshape(source.geometry.sites, -1).sum(1).sqrt()
