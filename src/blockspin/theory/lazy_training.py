"""Lazy training: what gradient descent makes of a network whose tangent kernel stays what it was at the start."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.errors import ConfigError


def descended(tangent: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    r"""Return what full-batch gradient descent has added to the outputs at all inputs, [inputs].

    .. math:: f_t - f_0 = \Theta_{\cdot, X}\, \Theta_{XX}^{-1} [1 - (1 - \eta \Theta_{XX})^t]\, (y - f_0(X))

    for the loss (1/2) sum (f - y)^2 over the first inputs, those that have a target. Exact for linear models; for a
    network of width n in the parametrisation of ``nngp.kernels`` its squared error is of order 1 / n, more the longer
    it is trained. With weight decay or a large rate kernels move, and it does not hold.

    Args:
        tangent: Tangent kernel of the inputs trained on, first, and others, [inputs, trained].
        target: y - f_0 of the former [trained].
        rate: eta.
        steps: t.

    Raises:
        ConfigError: If descent at this rate diverges.

    Source:
        jacot2018 for the flow, lee2020 for the comparison with networks.
    """
    values, vectors = torch.linalg.eigh(tangent[: len(target)])
    if rate * float(values[-1]) >= 2:
        raise ConfigError(
            "rate", rate, f"below {2 / float(values[-1]):.3g}, twice the inverse of the largest eigenvalue"
        )
    left = (1 - rate * values) ** steps
    share = torch.where(values.abs() > 1e-12 * values[-1], (1 - left) / values, torch.full_like(values, rate * steps))
    return tangent @ (vectors @ (share * (vectors.T @ target)))
