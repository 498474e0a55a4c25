"""Gride: the intrinsic dimension of a field against scale, from ratios of distances to neighbours k and 2 k."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from blockspin.errors import ConfigError, FitFailedError
from blockspin.observables._neighbours import check_apart, nearest, rows_of_units, whole_and_subsets
from blockspin.observables._rows import OfRows
from blockspin.observables.base import State, SubsetEstimator
from blockspin.registry import register

HIGHEST = 1e6
"""No dimension above this one is looked for."""


@register
@dataclass(frozen=True)
class Gride(OfRows, SubsetEstimator):
    r"""Intrinsic dimension at growing distances: a flow from the finest scale that the samples resolve.

    Where the density is constant, the ratio :math:`\mu` of the distances to neighbours 2 k and k has

    .. math:: P(\mu) = \frac{d\, (\mu^d - 1)^{k - 1}}{B(k, k)\, \mu^{(2 k - 1) d + 1}} ,

    and d is the maximum-likelihood estimate over all units, for k = 1, 2, 4, ... A plateau is a dimension; a rise
    toward small scales is noise, a fall toward large ones curvature and edges.

    Quantities: "dimension" [scales]; "distance" [scales], the mean distance to neighbour 2 k.

    Evaluated on at most ``limit`` units drawn by hash. The error comes from halves without replacement, each with its
    own neighbours, and is that of the number at this many units, too large (by 1.3 to 1.5) rather than too small.

    Args:
        limit: Most units that are kept.
        scales: How many, k up to ``2 ** (scales - 1)``.

    Raises:
        ConfigError: If ``scales`` is not between 1 and 12.

    Do not trust when:
        The dimension is above some ten, or values are discrete or coincide (refused). Estimates at different scales
        share their samples.

    Source:
        denti2022.
    """

    name = "gride"
    source = "denti2022"
    units = {"dimension": "1", "distance": "field"}
    scales: int = 4

    def __post_init__(self):
        if not 1 <= self.scales <= 12:
            raise ConfigError("scales", self.scales, "an integer between 1 and 12.")

    def value(self, state: State) -> dict[str, Tensor]:
        """Find the neighbours and maximise the likelihood at every scale.

        Raises:
            TooFewSamplesError: If there are not more units than neighbours.
            FitFailedError: If rows coincide or are discrete, or samples are weighted.
        """
        return self._fitted(nearest(rows_of_units(state), 2**self.scales).distances)

    def values_of(self, state: State, masks: Tensor) -> list[dict[str, Tensor]]:
        """Return the numbers of many subsets, from one search for neighbours.

        Raises:
            TooFewSamplesError: If a subset has not more units than neighbours.
            FitFailedError: If rows coincide or are discrete, or samples are weighted.
        """
        found = whole_and_subsets(rows_of_units(state), masks, 2**self.scales)
        return [self._fitted(distances) for distances in found]

    def _fitted(self, distances: Tensor) -> dict[str, Tensor]:
        check_apart(distances)
        orders = [2**scale for scale in range(self.scales)]
        ratios = [(distances[:, 2 * k - 1] / distances[:, k - 1]).log().numpy() for k in orders]
        found = [likeliest(ratio, k) for ratio, k in zip(ratios, orders, strict=True)]
        far = torch.stack([distances[:, 2 * k - 1].mean() for k in orders])
        return {"dimension": torch.tensor(found, dtype=torch.float64), "distance": far}


def likeliest(log_ratios: np.ndarray, k: int) -> float:
    r"""Return the d that is most likely, given ln of the ratios of the distances to neighbours 2 k and k.

    It solves :math:`n / d + (k - 1) \sum \ln\mu / (1 - \mu^{-d}) = (2 k - 1) \sum \ln\mu`, whose left side falls.

    Raises:
        FitFailedError: If the ratios are all 1, or the dimension would be above 1e6.
    """
    mean = float(log_ratios.mean())
    if not mean * HIGHEST > 1:
        raise FitFailedError(f"neighbours {k} and {2 * k} are equally far", "Neighbours need continuous values.")
    if k == 1:
        return 1 / mean
    positive = log_ratios[log_ratios > 0]
    lost = (k - 1) * (len(log_ratios) - len(positive)) / len(log_ratios)  # ln(mu) / (1 - mu^-d) tends to 1 / d

    def slope(d: float) -> float:
        inner = -(positive / np.expm1(-d * positive)).sum() / len(log_ratios)
        return (1 + lost) / d + (k - 1) * inner - (2 * k - 1) * mean

    low = 1e-3 / mean
    return float(brentq(slope, low, 2 * k / mean, xtol=1e-12, rtol=1e-12))
