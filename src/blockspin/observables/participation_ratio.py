"""Participation ratio: how many directions share the variance of a field."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf

from torch import Tensor

from blockspin.errors import TooFewSamplesError
from blockspin.observables.base import State, effective_samples
from blockspin.observables.covariance import OfMoments, varying
from blockspin.registry import register


@register
@dataclass(frozen=True)
class ParticipationRatio(OfMoments):
    r"""Effective number of directions that share the variance, between 1 and the dimension D.

    .. math:: P = (\operatorname{tr} C)^2 / \operatorname{tr} C^2

    Quantities: "plain", P of the sample covariance, which cannot exceed the number of samples and is too small by a
    share of about P / n; "debiased", with both traces replaced by estimates that are unbiased for independent Gaussian
    samples, with :math:`\nu = n - 1`,

    .. math::

        \widehat{\operatorname{tr} C^2} = \frac{\nu^2}{(\nu - 1)(\nu + 2)}
        \left(\operatorname{tr} S^2 - \frac{(\operatorname{tr} S)^2}{\nu}\right), \qquad
        \widehat{(\operatorname{tr} C)^2} = (\operatorname{tr} S)^2 - \frac{2}{\nu} \widehat{\operatorname{tr} C^2} .

    On a law both are exact.

    Do not trust when:
        "debiased" where samples are strongly dependent (n counts samples, not units) or tails are heavy; it may even
        exceed D.

    Source:
        srivastava2005 for the two traces.
    """

    name = "participation-ratio"
    source = "srivastava2005"
    units = {"plain": "1", "debiased": "1"}

    def value(self, state: State) -> dict[str, Tensor]:
        """Return both ratios.

        Raises:
            TooFewSamplesError: If there are fewer than three samples.
            ConstantUnitsError: If the field does not vary.
        """
        n = effective_samples(state)
        S = varying(state)
        trace_square, square = S.trace().square(), S.square().sum()
        plain = trace_square / square
        if isinf(n):
            return {"plain": plain, "debiased": plain}
        nu = n - 1
        if nu <= 1:
            raise TooFewSamplesError(f"a debiased ratio needs at least three samples, not {n:g}", "Give more samples.")
        second = nu**2 / ((nu - 1) * (nu + 2)) * (square - trace_square / nu)
        return {"plain": plain, "debiased": (trace_square - 2 * second / nu) / second}
