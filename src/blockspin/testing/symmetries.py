"""Symmetries: whether a transformation of the field commutes with a scheme's map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from blockspin.errors import StepNotPossibleError
from blockspin.geometry import Grid, Unordered
from blockspin.law import GaussianLaw
from blockspin.schemes.base import Scheme
from blockspin.testing._compare import close, fitted, same_up_to
from blockspin.testing.worlds import World


def holds(name: str, scheme: Scheme, world: World) -> bool | None:
    """Return whether a symmetry holds on a world; None where it cannot be asked there."""
    asked = {
        "translation": _translation,
        "sign": _sign,
        "scale": _scale,
        "permutation": _permutation,
        "rotation": _rotation,
    }
    try:
        return asked[name](scheme, world)
    except StepNotPossibleError:
        return None


def _translation(scheme: Scheme, world: World) -> bool | None:
    """Moving the field by one block moves the coarse field by one site, along the first axis."""
    geometry = world.law.geometry
    coarse = fitted(scheme, world)
    after = coarse.coarse(geometry)
    if not (isinstance(geometry, Grid) and geometry.periodic and isinstance(after, Grid)):
        return None
    field = world.fields().values
    b = geometry.shape[0] // after.shape[0]
    return close(coarse.values(_rolled(field, geometry, b)), _rolled(coarse.values(field), after, 1))


def _rolled(field: Tensor, grid: Grid, by: int) -> Tensor:
    return field.reshape(len(field), *grid.shape, -1).roll(by, 1).reshape(field.shape)


def _sign(scheme: Scheme, world: World) -> bool:
    coarse, field = fitted(scheme, world), world.fields().values
    return close(coarse.values(-field), -coarse.values(field))


def _scale(scheme: Scheme, world: World) -> bool:
    coarse, field = fitted(scheme, world), world.fields().values
    return close(coarse.values(2.5 * field), 2.5 * coarse.values(field))


def _permutation(scheme: Scheme, world: World) -> bool | None:
    """Renumbering unordered sites, in what is fitted and in what is mapped, changes nothing but the gauge."""
    if not (world.generic and isinstance(world.law, GaussianLaw) and isinstance(world.law.geometry, Unordered)):
        return None
    field = world.fields().values
    order = torch.randperm(field.shape[1], generator=torch.Generator().manual_seed(2))
    law = GaussianLaw.of(world.law.covariance[order][:, order], world.law.geometry)
    renumbered = scheme.fit(law, generator=torch.Generator().manual_seed(0))
    return same_up_to(scheme.claims.gauge, fitted(scheme, world).values(field), renumbered.values(field[:, order]))


def _rotation(scheme: Scheme, world: World) -> bool | None:
    """Turning the two components of a field turns those of the coarse field."""
    if not isinstance(world.law, GaussianLaw):
        return None
    doubled = GaussianLaw.of(torch.kron(world.law.covariance, torch.eye(2, dtype=torch.float64)), world.law.geometry)
    coarse = scheme.fit(doubled, generator=torch.Generator().manual_seed(0))
    field = torch.cat([world.fields(seed=5).values, world.fields(seed=6).values], dim=2)
    angle = 0.7
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    out = coarse.values(field)
    return out.shape[2] == 2 and close(coarse.values(field @ turn), out @ turn)
