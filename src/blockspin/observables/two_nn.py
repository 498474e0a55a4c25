"""Two NN: the intrinsic dimension of a field from the ratio of the distances to its two nearest samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.observables._neighbours import check_apart, nearest, rows_of_units, whole_and_subsets
from blockspin.observables._rows import OfRows
from blockspin.observables.base import State, SubsetEstimator
from blockspin.registry import register


@register
@dataclass(frozen=True)
class TwoNn(OfRows, SubsetEstimator):
    r"""Intrinsic dimension at the smallest scale that the samples resolve.

    The ratio :math:`\mu = r_2 / r_1` of the distances to the second and the first nearest sample has
    :math:`P(\mu) = d \mu^{-d - 1}` wherever the density is constant over these distances, so that d is the slope
    through the origin of :math:`-\ln(1 - F(\mu))` against :math:`\ln \mu`, taken over the smallest ``kept`` share of
    the ratios.

    Quantities: "dimension"; "ratios", that of the maximum-likelihood estimate :math:`(n - 1) / \sum \ln \mu` of all
    ratios to it, which is 1 where the law holds. Both are at the scale of this many units: with more, the scale
    becomes smaller, and noise of small amplitude counts more.

    Evaluated on at most ``limit`` units drawn by hash, one sample of each. The error comes from halves without
    replacement, each with its own neighbours. It is that of the number at this many units: what changes between n / 2
    and n units (bias through curvature, edges and noise) is not in it, and ``gride`` shows it. It is too large rather
    than too small (by about 1.3): ratios depend on several samples at once, and thinning them changes neighbours.

    Args:
        limit: Most units that are kept.
        kept: Share of the ratios that are fitted.

    Raises:
        ConfigError: If ``kept`` is not in (0, 1].

    Do not trust when:
        The dimension is above some ten: n units then see too little of the space, and the number is too small (9.5
        for a curved sheet of dimension 10 with 10,000 units). Values are discrete or coincide (refused), or noise of
        higher dimension is as large as the distances.

    Source:
        facco2017.
    """

    name = "two-nn"
    source = "facco2017"
    units = {"dimension": "1", "ratios": "1"}
    kept: float = 0.9

    def __post_init__(self):
        if not 0 < self.kept <= 1:
            raise ConfigError("kept", self.kept, "a share in (0, 1].")

    def value(self, state: State) -> dict[str, Tensor]:
        """Find the neighbours and fit.

        Raises:
            TooFewSamplesError: If there are fewer than ten units.
            FitFailedError: If rows coincide or are discrete, or samples are weighted.
        """
        return self._fitted(nearest(rows_of_units(state), 2).distances)

    def values_of(self, state: State, masks: Tensor) -> list[dict[str, Tensor]]:
        """Return the numbers of many subsets, from one search for neighbours.

        Raises:
            TooFewSamplesError: If a subset has fewer than ten units.
            FitFailedError: If rows coincide or are discrete, or samples are weighted.
        """
        return [self._fitted(distances) for distances in whole_and_subsets(rows_of_units(state), masks, 2)]

    def _fitted(self, distances: Tensor) -> dict[str, Tensor]:
        n = len(distances)
        if n < 10:
            raise TooFewSamplesError(f"{n} units do not show a dimension", "Give at least ten.")
        check_apart(distances)
        mu = (distances[:, 1] / distances[:, 0]).log().sort().values
        rank = torch.arange(1, n + 1, dtype=torch.float64)[: min(int(self.kept * n), n - 1)]
        low, y = mu[: len(rank)], -torch.log1p(-rank / n)
        dimension = (low @ y) / (low @ low)
        return {"dimension": dimension, "ratios": (n - 1) / mu.sum() / dimension}
