"""Rescaling: what the field is multiplied by after a step, Wilson's third move, kept apart from the scheme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import ConstantUnitsError
from blockspin.law import EnumeratedLaw, GaussianLaw, Source

Rescaling = Callable[[Source], float | Tensor]


def no_rescaling(source: Source) -> float:
    """Leave the field alone."""
    return 1.0


def unit_variance(source: Source) -> float:
    """Return the factor that gives the field unit variance on average over sites and components.

    Raises:
        ConstantUnitsError: If the field does not vary at all.
    """
    variance = _mean_variance(source)
    if variance <= 0:
        raise ConstantUnitsError(
            "the coarse field does not vary over the samples", "Check the data, or take fewer steps."
        )
    return variance**-0.5


def spins_kept(source: Source) -> float:
    """Return the factor that gives a field unit variance, and 1 for spins: what they are is fixed, not their variance.

    Raises:
        ConstantUnitsError: If the field does not vary at all.
    """
    if not isinstance(source, GaussianLaw) and bool((source.values.abs() == 1).all()):
        return 1.0
    return unit_variance(source)


@dataclass(frozen=True)
class PowerRescaling:
    """Multiply by b ** exponent at every step: a fixed scaling dimension instead of a measured normalisation.

    Args:
        b: Ratio of new to old lattice spacing of the scheme.
        exponent: The scaling dimension of the field.

    Example:
        >>> from blockspin import Chain, iterate, member  # white noise is a fixed point at d / 2
        >>> noise = GaussianLaw.of(torch.eye(8), Chain(8))
        >>> scheme, fixed = member("schemes", "block-average")(b=2), PowerRescaling(b=2, exponent=0.5)
        >>> flow = iterate(noise, scheme, rescaling=fixed, generator=torch.Generator(), steps=2)
        >>> torch.allclose(flow[2].ensemble.covariance, torch.eye(2, dtype=torch.float64))
        True
    """

    b: float
    exponent: float

    def __call__(self, source: Source) -> float:
        """Return the factor."""
        return self.b**self.exponent


def _mean_variance(source: Source) -> float:
    if isinstance(source, GaussianLaw):
        return float(source.covariance.diagonal().mean())
    batch = source.ensemble.batch if isinstance(source, EnumeratedLaw) else source.batch
    weights = (batch.weights / batch.weights.sum()).to(torch.float64)
    field = batch.values.to(torch.float64)
    mean = torch.einsum("n,nsc->sc", weights, field)
    return float(torch.einsum("n,nsc->sc", weights, (field - mean).square()).mean())
