"""Negentropy: how far from Gaussian sites and random directions are, whatever the signs of their cumulants."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf

from torch import Tensor

from blockspin.observables.base import Observable, State
from blockspin.observables.cumulants import PowerSums, check_sites, dimension_of, standardised
from blockspin.registry import register


@register
@dataclass(frozen=True)
class Negentropy(Observable):
    r"""Entropy that a field lacks to that of a Gaussian of equal variance, to leading order of the Edgeworth expansion.

    .. math:: J = \left\langle \frac{\gamma_3^2 - v_3}{12} + \frac{\gamma_4^2 - v_4}{48} \right\rangle

    with the standardised cumulants :math:`\gamma_3` (skewness) and :math:`\gamma_4` (excess kurtosis), and the
    variances :math:`v_3, v_4` that their estimates have for n independent Gaussian samples: for those J is zero on
    average at every n. Means of cumulants cancel where some sites are skewed to the left and others to the right; this
    does not.
    Quantities, in nats: "sites", the mean over the sites that vary; "directions", that over at most 64 fixed random
    directions. Shares its sums with the cumulants.

    Do not trust when:
        Cumulants are of order one: J then grows far beyond the entropy, and says only that it is not small. Samples of
        one unit are alike: the noise is that of fewer samples than are counted, and J is too large by about their ratio
        less one times 1 / n.

    Source:
        comon1994 for the expansion, joanes1998 for the variances.
    """

    name = "negentropy"
    source = "comon1994"
    units = {"sites": "nats", "directions": "nats"}

    @property
    def monoid(self) -> PowerSums:
        """Power sums, shared with the cumulants."""
        return PowerSums()

    def value(self, state: State) -> dict[str, Tensor]:
        """Square, take the noise away, average.

        Raises:
            TooFewSamplesError: If there are fewer than four samples.
            ConstantUnitsError: If no site varies.
        """
        g1, g2, varies, n = standardised(state)
        sites = dimension_of(len(g1))
        check_sites(varies[:sites])
        third, fourth = gaussian_variances(n)
        J = (g1.square() - third) / 12 + (g2.square() - fourth) / 48
        return {"sites": J[:sites][varies[:sites]].mean(), "directions": J[sites:][varies[sites:]].mean()}


def gaussian_variances(n: float) -> tuple[float, float]:
    """Return the variances of the corrected skewness and excess kurtosis of n independent Gaussian samples, n > 3."""
    if isinf(n):
        return 0.0, 0.0
    third = 6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3))
    return third, 24 * n * (n - 1) ** 2 / ((n - 3) * (n - 2) * (n + 3) * (n + 5))
