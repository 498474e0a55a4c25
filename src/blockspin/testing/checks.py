"""Checks: what every coarse-graining is held against; each is failed by some control in ``testing.controls``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from blockspin.bibliography import entries
from blockspin.claims import SYMMETRIES, Semigroup
from blockspin.ensemble import Ensemble
from blockspin.errors import BlockspinError, ConfigError, ConformanceError, StepNotPossibleError
from blockspin.flows.rescaling import unit_variance
from blockspin.geometry import Chain, Unordered
from blockspin.law import EnumeratedLaw, GaussianLaw
from blockspin.schemes.base import LiftingMap, Map, Scheme
from blockspin.testing import symmetries
from blockspin.testing._compare import close, fitted, gap, same_up_to
from blockspin.testing.information import information_with
from blockspin.testing.worlds import World, worlds

PARTS = ("Shapes:", "Raises:", "Do not trust when:", "Tether:", "Source:", "Example:")
Check = Callable[..., bool | None]
"""Of a scheme, or of a scheme and a world. Raises ConformanceError; returns whether a property that is not claimed
holds on that world, or None where it cannot be asked."""


def checks() -> dict[str, Check]:
    """Return all checks of this module by name."""
    return {name.removeprefix("check_"): item for name, item in globals().items() if name.startswith("check_")}


def check_declared(scheme: Scheme) -> None:
    """Name = file, a known source, a docstring with all its parts, options that round-trip."""
    cls = type(scheme)
    file = cls.__module__.rpartition(".")[2].replace("_", "-")
    if cls.name != file:
        raise ConformanceError(f"{cls.__name__} is named {cls.name!r} and stands in the file of {file!r}")
    if cls.source not in entries():
        raise ConformanceError(f"{cls.name}: {cls.source!r} is not in references.bib")
    parts = PARTS + (("Args:",) if scheme.options() else ())
    missing = [part for part in parts if part not in (cls.__doc__ or "")]
    if missing:
        raise ConformanceError(f"{cls.name}: the docstring has no {', '.join(missing)}")
    if not any(accepts(scheme, world) for world in worlds()):
        raise ConformanceError(f"{scheme} accepts none of the worlds, so that nothing can be checked")
    if cls(**scheme.options()) != scheme or not cls.examples():
        raise ConformanceError(f"{cls.name}: options do not round-trip, or there are no examples")


def check_pure(scheme: Scheme, world: World) -> None:
    """Same input, same output, bit for bit; the input and the global randomness are left alone."""
    before = torch.get_rng_state()
    first, again = fitted(scheme, world), fitted(scheme, world)
    field = world.fields().values
    kept = field.clone()
    out, twice, other = first.values(field), first.values(field), again.values(field)
    if not torch.equal(field, kept):
        raise ConformanceError(f"{scheme} changes its input on {world.name}")
    if not (torch.equal(out, twice) and torch.equal(out, other)):
        raise ConformanceError(f"{scheme} gives different outputs for the same input on {world.name}")
    if not torch.equal(before, torch.get_rng_state()):
        raise ConformanceError(f"{scheme} touches the global randomness on {world.name}")


def check_batch(scheme: Scheme, world: World) -> None:
    """The map of a batch is the batch of the maps, in any order."""
    coarse, field = fitted(scheme, world), world.fields().values
    whole = coarse.values(field)
    one_by_one = torch.cat([coarse.values(row[None]) for row in field])
    turned = coarse.values(field.flip(0)).flip(0)
    for other, word in ((one_by_one, "alone"), (turned, "in another order")):
        if not close(whole, other):
            raise ConformanceError(f"{scheme} gives other values {word} on {world.name}: {gap(whole, other):.3g}")


def check_geometry(scheme: Scheme, world: World) -> None:
    """Sites and spacing follow from b, dtype is kept, and lifting is undone by the map."""
    coarse, geometry = fitted(scheme, world), world.law.geometry
    after = coarse.coarse(geometry)
    for dtype in (torch.float32, torch.float64):
        field = world.fields().values.to(dtype)
        out = coarse.values(field)
        if out.dtype != dtype or out.shape[:2] != (len(field), after.sites) or after.sites >= geometry.sites:
            raise ConformanceError(f"{scheme} gives {tuple(out.shape)} {out.dtype} for {after.sites} sites")
        if isinstance(coarse, LiftingMap) and not close(coarse.values(coarse.lift(out)), out):
            raise ConformanceError(f"{scheme}: the map does not undo its lift on {world.name}")
    if coarse.log_b is not None and not math.isclose(math.exp(coarse.log_b), after.spacing / geometry.spacing):
        raise ConformanceError(
            f"{scheme}: b = {math.exp(coarse.log_b):.4g}, spacing {after.spacing / geometry.spacing:.4g}"
        )


def check_identity(scheme: Scheme, world: World) -> None:
    """Where b = 1 is allowed it is the identity."""
    if "b" not in scheme.options():
        return
    try:
        nothing = fitted(_with(scheme, 1), world)
    except (ConfigError, StepNotPossibleError):
        return
    field = world.fields().values
    out = nothing.values(field)
    if out.shape != field.shape or not close(out, field):
        raise ConformanceError(f"{scheme}: b = 1 is allowed and is not the identity on {world.name}")


def check_semigroup(scheme: Scheme, world: World) -> bool | None:
    """Two steps by b against one by b squared: as claimed, up to the gauge."""
    if "b" not in scheme.options() or not _ranked(scheme, world):
        return None
    try:
        first = fitted(scheme, world)
        law = world.law.push(first)
        second = scheme.fit(law, generator=torch.Generator())
        at_once = fitted(_with(scheme, scheme.options()["b"] ** 2), world)
    except StepNotPossibleError:
        return None
    field = world.fields().values
    one, two = at_once.values(field), second.values(first.values(field))
    holds = same_up_to(scheme.claims.gauge, one, two)
    if scheme.claims.semigroup is Semigroup.EXACT and not holds:
        raise ConformanceError(f"{scheme}: two steps differ from one by {gap(one, two):.3g} on {world.name}")
    if scheme.claims.semigroup is Semigroup.IN_LAW and isinstance(law, EnumeratedLaw):
        laws: Any = law.push(second), world.law.push(at_once)
        if not (laws[0].values.shape == laws[1].values.shape and close(laws[0].weights, laws[1].weights)):
            raise ConformanceError(f"{scheme}: two steps differ from one in law on {world.name}")
    return holds if scheme.claims.semigroup is not Semigroup.EXACT else None


def check_symmetries(scheme: Scheme, world: World) -> bool | None:
    """Every claimed symmetry commutes with the map."""
    for name in SYMMETRIES:
        if name in scheme.claims.symmetries and symmetries.holds(name, scheme, world) is False:
            raise ConformanceError(f"{scheme}: the symmetry {name!r} is claimed and broken on {world.name}")
    return None


def check_unclaimed_symmetries(scheme: Scheme) -> None:
    """A symmetry that holds on every world where it can be asked is claimed, or its absence explained."""
    for name in set(SYMMETRIES) - set(scheme.claims.symmetries) - set(scheme.claims.exceptions):
        found = [symmetries.holds(name, scheme, other) for other in worlds() if accepts(scheme, other)]
        asked = [item for item in found if item is not None]
        if asked and all(asked):
            raise ConformanceError(f"{scheme}: the symmetry {name!r} holds on every world and is not claimed")


def check_linear(scheme: Scheme, world: World) -> bool | None:
    """Additive and homogeneous about the image of zero, as claimed."""
    coarse = fitted(scheme, world)
    x, y = world.fields(seed=1).values, world.fields(seed=2).values
    zero = coarse.values(torch.zeros_like(x))
    sums = coarse.values(x + 2.5 * y) - zero, coarse.values(x) - zero + 2.5 * (coarse.values(y) - zero)
    holds = close(*sums)
    if coarse.linear != scheme.claims.linear or (scheme.claims.linear and not holds):
        raise ConformanceError(f"{scheme} is called linear and misses by {gap(*sums):.3g} on {world.name}")
    return holds if not scheme.claims.linear else None


def check_information(scheme: Scheme, world: World) -> None:
    """What the field tells of a label never grows from step to step.

    For a pure map this is a theorem (data processing): the check guards the plumbing, such as hidden state.
    """
    law: Any = world.law
    if not isinstance(law, EnumeratedLaw):
        return  # samples of a real field are all different, so that they tell everything at every step
    values, weights = law.values, law.weights
    label = values.flatten(1)[:, 0] > 0
    known = information_with(label, values, weights)
    for _ in range(2):
        try:
            coarse: Map = scheme.fit(law, generator=torch.Generator().manual_seed(0))
            law = law.push(coarse)
        except StepNotPossibleError:
            return
        values = coarse.values(values)
        left = information_with(label, values, weights)
        if left > known + 1e-9:
            raise ConformanceError(f"{scheme}: a step on {world.name} adds {left - known:.3g} nats about the label")
        known = left


def check_fixed_points(scheme: Scheme, world: World) -> bool | None:
    """White noise stays white noise after a step and rescaling, if claimed."""
    if not (world.null and isinstance(world.law, GaussianLaw)):
        return None
    coarse = world.law.push(fitted(scheme, world))
    covariance = coarse.times(unit_variance(coarse)).covariance
    holds = close(covariance, torch.eye(len(covariance), dtype=torch.float64))
    if "white-noise" in scheme.claims.fixed_points and not holds:
        raise ConformanceError(f"{scheme}: white noise does not stay white on {world.name}")
    return holds if "white-noise" not in scheme.claims.fixed_points else None


def check_nulls(scheme: Scheme, world: World) -> None:
    """Fitted and measured on different samples of noise, no correlation of neighbours is found beyond its error."""
    if not world.null:
        return
    fit_half, measured = world.fields(2000, seed=3), world.fields(2000, seed=4)
    field = scheme.fit(fit_half, generator=torch.Generator().manual_seed(0))(measured).values[:, :, 0]
    field = field - field.mean(0)
    product = (field * field.roll(1, 1)).mean(1)
    error = float(product.std()) / len(product) ** 0.5
    if field.shape[1] > 2 and abs(float(product.mean())) > 4 * error + 1e-12:
        raise ConformanceError(f"{scheme}: neighbours correlate by {float(product.mean()):.3g} ± {error:.2g} on noise")


def check_refuses(scheme: Scheme) -> None:
    """Wrong options, geometries and sample numbers meet a named error, or a finite result of the right shape."""
    field = next(world for world in worlds() if accepts(scheme, world)).fields()
    bad: list[Callable[[], Any]] = [
        lambda: _finite(scheme, field.with_values(field.values * torch.nan)),
        lambda: _finite(scheme, field.select(torch.arange(1))),
        lambda: _finite(scheme, Ensemble.of(torch.ones(8, 13).cumsum(1) * torch.arange(8.0)[:, None], Chain(13))),
        lambda: _finite(scheme, Ensemble.of(torch.randn(8, 1, generator=torch.Generator()), Unordered(1))),
    ]
    if "b" in scheme.options():
        bad += [partial(_finite_with, scheme, b, field) for b in (0, -2, 2.5, "2", True)]
    for attempt in bad:
        try:
            attempt()
        except BlockspinError:
            continue
        except Exception as foreign:
            raise ConformanceError(
                f"{scheme}: {type(foreign).__name__} where a named error is due: {foreign}"
            ) from foreign


def accepts(scheme: Scheme, world: World) -> bool:
    """Whether the scheme can take a step on this world."""
    try:
        fitted(scheme, world)
    except StepNotPossibleError:
        return False
    return True


def _with(scheme: Scheme, b: Any) -> Any:
    return replace(scheme, b=b)  # type: ignore[type-var]


def _ranked(scheme: Scheme, world: World) -> bool:
    """Whether what the scheme ranks is free of ties on this world; schemes without a gauge rank nothing."""
    return scheme.claims.gauge == "none" or world.generic


def _finite_with(scheme: Scheme, b: Any, ensemble: Ensemble) -> None:
    _finite(_with(scheme, b), ensemble)


def _finite(scheme: Scheme, ensemble: Ensemble) -> None:
    coarse = scheme.fit(ensemble, generator=torch.Generator())(ensemble)
    if bool(torch.isfinite(ensemble.values).all()) and not bool(torch.isfinite(coarse.values).all()):
        raise ArithmeticError("the result is not finite")
    if coarse.values.shape[1] != coarse.geometry.sites or isinstance(scheme.options().get("b"), bool | str | float):
        raise ArithmeticError("a wrong input was accepted")
