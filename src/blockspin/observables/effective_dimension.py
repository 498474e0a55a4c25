"""Effective dimension: how many modes of the covariance a ridge leaves, and how many sit at its cut."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from blockspin.errors import ConfigError
from blockspin.observables.base import State
from blockspin.observables.covariance import OfMoments, varying
from blockspin.registry import register


@register
@dataclass(frozen=True)
class EffectiveDimension(OfMoments):
    r"""Effective number of modes of linear (or kernel) regression along a scan of its ridge.

    .. math:: N(\lambda) = \operatorname{tr} C (C + \lambda)^{-1} = \sum_k \frac{\mu_k}{\mu_k + \lambda}, \qquad
        R(\lambda) = -\frac{dN}{d \ln \lambda} = \sum_k \frac{\mu_k \lambda}{(\mu_k + \lambda)^2}

    with C the covariance of the field (of the features of a kernel, or a sketch of them) and :math:`\mu_k` its
    eigenvalues. Quantities, each [ridges]: "dimension" N; "response" R, the share of modes that the cut goes through,
    exact in the spectrum and no difference of neighbouring values. Regression on n samples with the penalty
    :math:`n \lambda |w|^2` has these effective degrees of freedom. Exact on a law.

    Args:
        ridges: Values of lambda, positive, in the square of the field's unit.

    Raises:
        ConfigError: If there is none, or one is not positive and finite.

    Do not trust when:
        Samples hardly outnumber the modes above the ridge: the number is that of the sample covariance, which spreads
        its eigenvalues (``theory.marchenko_pastur``), and the error bar does not hold that bias.

    Source:
        zhang2005.
    """

    name = "effective-dimension"
    source = "zhang2005"
    units = {"dimension": "modes", "response": "modes"}
    ridges: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)

    def __post_init__(self):
        if not self.ridges or any(not isfinite(ridge) or ridge <= 0 for ridge in self.ridges):
            raise ConfigError("ridges", self.ridges, "at least one positive number.")

    def value(self, state: State) -> dict[str, Tensor]:
        """Diagonalise once, for all ridges.

        Raises:
            TooFewSamplesError: If there are fewer than two samples.
            ConstantUnitsError: If the field does not vary.
        """
        mu = torch.linalg.eigvalsh(varying(state)).clamp(min=0)[:, None]
        lam = torch.tensor(self.ridges, dtype=torch.float64)
        kept = mu / (mu + lam)
        return {"dimension": kept.sum(0), "response": (kept * (1 - kept)).sum(0)}
