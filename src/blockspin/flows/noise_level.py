"""Noise level: the flow of a denoiser, as of a diffusion model, from fine to coarse: what each level of noise hides."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, NonFiniteError, ShapeError
from blockspin.flow import Axis, Direction, Flow, Scale
from blockspin.flows._jackknife import jackknifed

AXIS = Axis("noise level", "field", Direction.COARSENING)
UNITS = {
    "denoiser/mmse": "field^2",
    "denoiser/directions": "1",
    "denoiser/participation_ratio": "1",
    "denoiser/posterior_variance": "field^2",
    "denoiser/consistency": "1",
}
Denoiser = Callable[[Tensor, float], Tensor]
"""From noisy samples [samples, sites, components] and the standard deviation of the noise to what it makes of them."""


def noise_flow(
    name: str, denoiser: Denoiser, ensemble: Ensemble, levels: Sequence[float], *, generator: torch.Generator
) -> Flow:
    r"""Return the flow of a denoiser D over the level of noise, :math:`y = x + \sigma \epsilon`.

    Measured at every level, with the Jacobian J of D by y along random signs (one a sample; J is never made):

    - "denoiser/mmse": :math:`\langle |D(y) - x|^2 \rangle`, what cannot be told of x;
    - "denoiser/directions": :math:`\langle \operatorname{tr} J \rangle`, directions that noise does not hide yet;
    - "denoiser/participation_ratio": :math:`\langle \operatorname{tr} J \rangle^2 / \langle |J|^2 \rangle`;
    - "denoiser/posterior_variance": :math:`\sigma^2 \langle \operatorname{tr} J \rangle`;
    - "denoiser/consistency": the first over the last but this: 1 for the best denoiser of these data (the second-order
      formula of Tweedie: :math:`\sigma^2 J` is the covariance of x given y), larger for any other one where J is right.

    Gaussian data of covariance eigenvalues :math:`\lambda`: :math:`\operatorname{tr} J = \sum \lambda / (\lambda +
    \sigma^2)`.

    Args:
        name: What flows.
        denoiser: Each sample's result must depend on that sample alone.
        ensemble: Clean samples, their units independent.
        levels: Standard deviations of the noise, positive.
        generator: Randomness of the noise and of the signs.

    Raises:
        ConfigError: If a level is not positive, or one is given twice.
        ShapeError: If the denoiser changes the shape.
        NonFiniteError: If it gives NaN or infinity.
        TooFewSamplesError: If there are fewer than 40 units.

    Do not trust when:
        The samples are those that the denoiser was trained on: a denoiser that knows them by heart looks better than
        it is. The participation ratio is that of the mean of :math:`J^t J`, also where J differs from sample to sample.
    """
    if not levels or min(levels) <= 0 or len(set(levels)) < len(levels):
        raise ConfigError("levels", list(levels), "positive numbers, each once.")
    scales = []
    for sigma in sorted(levels):
        rows = _per_unit(_rows(denoiser, ensemble.values.to(torch.float64), sigma, generator), ensemble)
        found = jackknifed(rows, lambda kept, level=sigma: _numbers(kept, level), UNITS)  # type: ignore[misc]
        scales.append(Scale(float(sigma), f"noise {sigma:g}", measurements=found))
    return Flow(name, AXIS, tuple(scales))


def _rows(denoiser: Denoiser, x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Return squared error, trace and squared norm of the Jacobian along random signs, float64 [samples, 3]."""
    y = x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=generator)
    signs = torch.randint(2, x.shape, generator=generator).to(x.dtype) * 2 - 1
    with warnings.catch_warnings():  # of torch's own, when forward derivatives are first used
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        found = torch.func.jvp(lambda noisy: denoiser(noisy, sigma), (y,), (signs,))
    made, along = found[0], found[1]
    if made.shape != x.shape:
        raise ShapeError(f"the denoiser makes {tuple(made.shape)} of {tuple(x.shape)}", "It must keep the shape.")
    parts = ((made - x).square(), signs * along, along.square())
    rows = torch.stack([part.detach().flatten(1).sum(1) for part in parts], 1)
    if not bool(torch.isfinite(rows).all()):
        raise NonFiniteError(f"the denoiser gives NaN or infinity at noise {sigma:g}", "Check the denoiser.")
    return rows


def _per_unit(rows: Tensor, ensemble: Ensemble) -> Tensor:
    """Return weighted sums over the samples of each unit, and their weight, float64 [units, 4]."""
    units, index = torch.unique(ensemble.units, return_inverse=True)
    weighted = torch.cat([rows, torch.ones(len(rows), 1, dtype=rows.dtype)], 1) * ensemble.batch.weights[:, None]
    return torch.zeros(len(units), 4, dtype=rows.dtype).index_add(0, index, weighted)


def _numbers(rows: Tensor, sigma: float) -> dict[str, Tensor]:
    error, trace, square, weight = rows.sum(0)
    variance = sigma**2 * trace / weight
    return {
        "denoiser/mmse": error / weight,
        "denoiser/directions": trace / weight,
        "denoiser/participation_ratio": trace.square() / (square * weight),
        "denoiser/posterior_variance": variance,
        "denoiser/consistency": error / weight / variance,
    }
