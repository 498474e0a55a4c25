"""Symmetry: whether the law of a field is the same after a transformation, by an exact randomisation test."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, GeometryError, TooFewSamplesError
from blockspin.geometry import Grid

Transform = Callable[[torch.Generator], Tensor]
"""Draws a group element for each independent unit and returns the transformed field."""


def symmetry_p_value(ensemble: Ensemble, symmetry: str, *, generator: torch.Generator, draws: int = 99) -> float:
    r"""Return the p-value of the field being symmetric, 1 / (draws + 1) at least.

    If the law is the same after every transformation of a group, so is that of the data after transforming each unit by
    an element of its own, drawn at random. The statistic S, how far averages are from being symmetric, is compared with
    its values on data so transformed,

    .. math:: p = \frac{1 + \#\{S_g \ge S\}}{1 + \mathrm{draws}},

    which rejects a symmetric law with a probability of at most the level, at any number of samples. A large p-value is
    no proof of symmetry: the statistics see first and second moments (of odd powers up to the third for "sign").

    Args:
        ensemble: The samples; units are independent.
        symmetry: "sign" (x and -x), "translation" (of a periodic lattice), "permutation" (of all sites), "rotation" (of
            the components, orthogonal).
        generator: Randomness of the group elements.
        draws: Transformed copies.

    Raises:
        ConfigError: If there is no such symmetry.
        GeometryError: If the symmetry needs a periodic lattice, or more than one component or site.
        TooFewSamplesError: If there are fewer than eight independent units.

    Source:
        phipson2010.
    """
    if symmetry not in SYMMETRIES:
        raise ConfigError("symmetry", symmetry, f"one of {', '.join(SYMMETRIES)}.")
    distinct, unit = torch.unique(ensemble.units, return_inverse=True)
    if len(distinct) < 8:
        raise TooFewSamplesError(f"{len(distinct)} units are too few for a randomisation test", "Give more samples.")
    x = ensemble.values.to(torch.float64)
    x = x / x.square().mean(dim=(0, 2), keepdim=True).sqrt().clamp(min=1e-300) if symmetry == "sign" else x
    transform, statistic = SYMMETRIES[symmetry](ensemble, x, unit, len(distinct))
    w = ensemble.weights / ensemble.weights.sum()
    observed = statistic(x, w)
    beyond = sum(statistic(transform(generator), w) >= observed * (1 - 1e-12) for _ in range(draws))
    return (1 + int(beyond)) / (1 + draws)


Statistic = Callable[[Tensor, Tensor], float]


def _sign(ensemble: Ensemble, x: Tensor, unit: Tensor, units: int) -> tuple[Transform, Statistic]:
    def transform(generator: torch.Generator) -> Tensor:
        sign = torch.randint(2, (units,), generator=generator, dtype=torch.float64) * 2 - 1
        return x * sign[unit][:, None, None]

    def statistic(field: Tensor, w: Tensor) -> float:
        odd = torch.cat([field.flatten(1), field.flatten(1) ** 3], dim=1)
        return float((w @ odd).square().sum())

    return transform, statistic


def _translation(ensemble: Ensemble, x: Tensor, unit: Tensor, units: int) -> tuple[Transform, Statistic]:
    grid = ensemble.geometry
    if not (isinstance(grid, Grid) and grid.periodic):
        raise GeometryError("translations need a periodic lattice", "Ask for another symmetry.")
    position, shape = grid.coordinates(), torch.tensor(grid.shape)
    stride = torch.tensor([int(torch.tensor(grid.shape[k + 1 :]).prod()) for k in range(len(grid.shape))])

    def transform(generator: torch.Generator) -> Tensor:
        shift = torch.stack([torch.randint(n, (units,), generator=generator) for n in grid.shape], dim=1)
        site = (((position[None] + shift[:, None]) % shape) * stride).sum(-1)
        return _reordered(x, site[unit])

    def beside(field: Tensor) -> Tensor:
        on_lattice = field.reshape(len(field), *grid.shape, -1)
        shifted = [on_lattice.roll(1, 1 + k) for k in range(len(grid.shape))]
        return torch.stack(shifted).sum(0).reshape(field.shape)

    return transform, lambda field, w: _spread_over_sites(field, w, field * beside(field))


def _permutation(ensemble: Ensemble, x: Tensor, unit: Tensor, units: int) -> tuple[Transform, Statistic]:
    if x.shape[1] < 2:
        raise GeometryError("a single site has no order", "Ask for another symmetry.")

    def transform(generator: torch.Generator) -> Tensor:
        order = torch.rand(units, x.shape[1], generator=generator).argsort(dim=1)
        return _reordered(x, order[unit])

    return transform, lambda field, w: _spread_over_sites(field, w, field * field.sum(dim=1, keepdim=True))


def _rotation(ensemble: Ensemble, x: Tensor, unit: Tensor, units: int) -> tuple[Transform, Statistic]:
    components = x.shape[2]
    if components < 2:
        raise GeometryError("a single component cannot be rotated", "Ask for another symmetry.")

    def transform(generator: torch.Generator) -> Tensor:
        drawn = torch.randn(units, components, components, dtype=torch.float64, generator=generator)
        Q, R = torch.linalg.qr(drawn)
        Q = Q * R.diagonal(dim1=1, dim2=2).sign()[:, None]  # uniform over the orthogonal group
        return x @ Q[unit]

    def statistic(field: Tensor, w: Tensor) -> float:
        mean = torch.einsum("n,nsc->sc", w, field)
        second = torch.einsum("n,nsc,nsd->cd", w, field, field)
        round_part = second.trace() / components * torch.eye(components, dtype=torch.float64)
        scale = second.trace()
        return float(mean.square().sum() / scale + (second - round_part).square().sum() / scale**2)

    return transform, statistic


SYMMETRIES = {"sign": _sign, "translation": _translation, "permutation": _permutation, "rotation": _rotation}


def _reordered(x: Tensor, site: Tensor) -> Tensor:
    """Return the field with the sites of each sample taken in the order [samples, sites]."""
    return x.gather(1, site[:, :, None].expand_as(x))


def _spread_over_sites(field: Tensor, w: Tensor, product: Tensor) -> float:
    """Return how much the averages of the field, of its square and of a product differ between sites, each by scale."""
    total = 0.0
    square = field.square()
    scale = torch.einsum("n,nsc->", w, square) / field.shape[1]
    for feature, unit in ((field, scale.sqrt()), (square, scale), (product, scale)):
        mean = torch.einsum("n,nsc->sc", w, feature) / unit
        total += float((mean - mean.mean(0)).square().sum())
    return total
