"""Neural RG: keep the slow half of a trained hierarchy of invertible maps and forget the independent fast half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log, pi

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.ensemble import Ensemble
from blockspin.errors import (
    ConfigError,
    ConstantUnitsError,
    FitFailedError,
    GeometryError,
    StepNotPossibleError,
    check_whole,
)
from blockspin.geometry import Geometry, Grid
from blockspin.law import GaussianLaw, Source
from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.schemes._bijectors import (
    Level,
    couplings_of,
    drawn_fields,
    from_latents,
    log_density,
    new_levels,
    with_gradients,
)
from blockspin.schemes._held_out import held_out, mean_of_units, samples_of
from blockspin.schemes.base import LiftingMap, Scheme

BATCH = 256
"""Samples a step of the training."""
FINAL = 50
"""Batches over which a free energy is averaged after the training."""


@dataclass(frozen=True, eq=False)
class NeuralRGMap(LiftingMap):
    """The finest level of a hierarchy of invertible maps, and the density that all of them give the field.

    Args:
        levels: The levels, the finest first.
        mean: float64 [components]; what is subtracted before the finest level.
        scale: float64 [components]; what is divided by.
        score: Mean log-density a site of units held out, in nats; None where an action was trained on.
        gain: The same less that of independent Gaussian sites, sample by sample.
        free_energy: Upper bound of -ln Z, with the error of its average; None where samples were trained on.
        symmetric: Whether the density is the average over both signs of the field; the mean is then zero.
    """

    levels: tuple[Level, ...]
    mean: Tensor
    scale: Tensor
    score: Measurement | None = None
    gain: Measurement | None = None
    free_energy: Measurement | None = None
    symmetric: bool = False
    linear = False

    @property
    def log_b(self) -> float:
        """Logarithm of two."""
        return log(2)

    def values(self, values: Tensor) -> Tensor:
        """Return the slow half of the finest level."""
        return self.levels[0].forward(self._standard(values))[0].to(values.dtype)

    def fast(self, values: Tensor) -> Tensor:
        """Return what ``values`` forgets, [samples, blocks, 2^d - 1, components]: near independent unit Gaussians."""
        return self.levels[0].forward(self._standard(values))[1].to(values.dtype)

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of blocks."""
        return geometry.blocks(2).coarse

    def lift(self, values: Tensor) -> Tensor:
        """Return the fine field whose fast half is zero, the most probable one of independent Gaussians."""
        size = self.levels[0].blocks.shape[1]
        slow = values.to(torch.float64)
        fast = slow.new_zeros(len(slow), slow.shape[1], size - 1, slow.shape[2])
        return self._raw(self.levels[0].inverse(slow, fast)[0]).to(values.dtype)

    def log_density(self, values: Tensor) -> Tensor:
        """Return the logarithm of the density of whole fields, float64 [samples]."""
        found = log_density(self.levels, self._standard(values), self.symmetric)
        return found - values.shape[1] * self.scale.log().sum()

    def generate(self, samples: int, *, generator: torch.Generator) -> Tensor:
        """Draw fields of the trained density, float64 [samples, sites, components]."""
        sites = self.levels[0].blocks.numel()
        z = torch.randn(samples, sites * len(self.mean), dtype=torch.float64, generator=generator)
        x = self._raw(from_latents(self.levels, z, len(self.mean))[0])
        if self.symmetric:
            x = x * (2 * torch.randint(2, (samples, 1, 1), generator=generator) - 1)
        return x

    def _standard(self, values: Tensor) -> Tensor:
        return (values.to(torch.float64) - self.mean) / self.scale

    def _raw(self, standard: Tensor) -> Tensor:
        return standard * self.scale + self.mean


@register
@dataclass(frozen=True)
class NeuralRG(Scheme):
    r"""Keep the slow half of a trained hierarchy of invertible maps and forget the independent fast half.

    A flow of densities with the shape of an entanglement renormalization: at each level the blocks across the corners
    are disentangled, and every block of 2^d sites is mapped, invertibly, to one slow and 2^d - 1 fast numbers; the slow
    ones are the sites of the next level. All levels are trained together so that all latents are independent unit
    Gaussians, by the likelihood of samples,

    .. math:: \ln q(\phi) = \ln N(z(\phi)) + \ln |\partial z / \partial\phi| ,

    or, with ``fit_action``, by the free energy of an action S, which is bounded by
    :math:`\langle \ln q + S \rangle_q \ge -\ln Z`. A step is the finest level of the hierarchy. Untrained it is the
    block average times 2^(d/2): blocks begin with their Haar transform, couplings with nothing. Blocks of one level
    share their networks.

    Args:
        steps: Steps of the training, at least 1.
        hidden: Width of the networks, at least 1.
        depth: Couplings a block, at least 1.
        rate: Learning rate, positive.
        noise: Deviation of the noise that training adds, in units of the field's; needed where values repeat.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice even
        out: [samples, sites / 2^d, components]

    Raises:
        ConfigError: If an option cannot be used.
        GeometryError: If sites lie on no lattice.
        IndivisibleBlocksError: If an axis is odd.
        StepNotPossibleError: If values repeat, so that there is no density, or samples are too few.
        FitFailedError: If the training diverges.

    Do not trust when:
        ``gain`` of the map is not above zero by some errors: it has learned nothing beyond independent sites. Slow does
        not mean relevant: any invertible map that makes latents independent is as good for the likelihood. A
        variational free energy may have missed a phase of the action: it is a bound, and no more.

    Tether:
        The continuous Ising model on a torus, whose -ln Z follows from Kaufman's (theory.continuous_ising).

    Source:
        li2018; the couplings are those of dinh2017.

    Example:
        >>> from blockspin import Chain
        >>> field = torch.randn(200, 8, 1, generator=torch.Generator().manual_seed(0)).cumsum(1)
        >>> scheme = NeuralRG(steps=50, hidden=8, rate=0.02)
        >>> coarse = scheme.fit(Ensemble.of(field, Chain(8)), generator=torch.Generator().manual_seed(0))
        >>> coarse.values(field).shape, bool(coarse.gain.value > 0.5)
        (torch.Size([200, 4, 1]), True)
    """

    name = "neural-rg"
    source = "li2018"
    claims = Claims(semigroup=Semigroup.NONE, linear=False, symmetries=("translation",))
    steps: int = 500
    hidden: int = 32
    depth: int = 4
    rate: float = 0.01
    noise: float = 0.0

    def __post_init__(self):
        for name in ("steps", "hidden", "depth"):
            check_whole(name, getattr(self, name), 1)
        for name, least in (("rate", 1e-12), ("noise", 0.0)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number < float("inf"):
                raise ConfigError(name, number, "a positive number." if least else "zero or a positive number.")

    def fit(self, source: Source, *, generator: torch.Generator) -> NeuralRGMap:
        """Train a hierarchy on four fifths of the units, and score it on the others."""
        grid = _lattice(source.geometry)
        if isinstance(source, GaussianLaw):
            raise StepNotPossibleError("a Gaussian law does not stay Gaussian under this map", "Use law.sample(n).")
        ensemble = samples_of(source, generator)
        if self.noise == 0:
            _require_density(ensemble.values)
        held = held_out(ensemble)
        values = ensemble.values.to(torch.float64)
        mean, scale = values[~held].mean((0, 1)), values[~held].std((0, 1))
        if not bool((scale > 0).all()):
            raise ConstantUnitsError("a component of the field does not vary", "Leave it out.")
        values = values + self.noise * scale * torch.randn(values.shape, dtype=torch.float64, generator=generator)
        scale = scale * (1 + self.noise**2) ** 0.5
        train, weights = (values[~held] - mean) / scale, ensemble.weights[~held]

        def loss(levels: tuple[Level, ...]) -> Tensor:
            rows = torch.multinomial(weights, min(BATCH, len(train)), replacement=True, generator=generator)
            return -log_density(levels, train[rows]).mean() / train[0].numel()

        machine = NeuralRGMap(self._trained(grid, values.shape[2], loss, generator), mean, scale)
        score, gain = _scores(machine, values, ensemble, held)
        return replace(machine, score=score, gain=gain)

    def fit_action(
        self,
        action: Callable[[Tensor], Tensor],
        geometry: Geometry,
        *,
        symmetric: bool = False,
        generator: torch.Generator,
    ) -> NeuralRGMap:
        """Train a hierarchy on an action instead of samples; ``free_energy`` of the map is a bound of -ln Z.

        Args:
            action: From fields float64 [n, sites, 1] to the action S [n], differentiable; the law is exp(-S) / Z.
            geometry: A lattice.
            symmetric: Whether S(-x) = S(x); the density is then averaged over both signs, without which it settles in
                one of two phases and misses ln 2.
            generator: Randomness.

        Raises:
            GeometryError: If sites lie on no lattice.
            IndivisibleBlocksError: If an axis is odd.
            FitFailedError: If the training diverges.
        """
        grid = _lattice(geometry)

        def free_energy(levels: tuple[Level, ...]) -> Tensor:
            z = torch.randn(BATCH, grid.sites, dtype=torch.float64, generator=generator)
            x, log_q = drawn_fields(levels, z, 1, symmetric)
            return action(x) + log_q

        levels = self._trained(grid, 1, lambda levels: free_energy(levels).mean() / grid.sites, generator)
        with torch.no_grad():
            found = torch.cat([free_energy(levels) for _ in range(FINAL)])
        n, how = len(found), f"mean over {len(found)} draws of the trained density"
        measured = Measurement(float(found.mean()), float(found.std()) / n**0.5, "nat", n, how, n - 1)
        one = torch.ones(1, dtype=torch.float64)
        return NeuralRGMap(levels, 0 * one, one, free_energy=measured, symmetric=symmetric)

    def _trained(
        self, grid: Grid, components: int, loss: Callable[[tuple[Level, ...]], Tensor], generator: torch.Generator
    ) -> tuple[Level, ...]:
        """Descend the loss by Adam's method, at a rate that falls to a tenth at the end."""
        fresh = new_levels(grid, components, hidden=self.hidden, depth=self.depth, generator=generator)
        with torch.enable_grad():
            levels = with_gradients(fresh, True)
            parameters = [p for coupling in couplings_of(levels) for p in coupling.parameters]
            descent = torch.optim.Adam(parameters, lr=self.rate)
            for step in range(self.steps):
                descent.param_groups[0]["lr"] = self.rate * 0.1 ** (step / self.steps)
                descent.zero_grad()
                now = loss(levels)
                if not bool(torch.isfinite(now)):
                    raise FitFailedError(f"the training diverged at step {step}", "Use a smaller rate.")
                now.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                descent.step()
        return with_gradients(levels, False)

    @classmethod
    def examples(cls) -> tuple[NeuralRG, ...]:
        """Return a short training on noisy values, with two couplings a block and with one."""
        return cls(steps=3, hidden=8, depth=2, noise=0.3), cls(steps=3, hidden=8, depth=1, noise=0.3)


def _lattice(geometry: Geometry) -> Grid:
    if not isinstance(geometry, Grid):
        raise GeometryError(
            f"{type(geometry).__name__} is no lattice with blocks to map",
            "Use correlation-pairing or principal-modes on unordered sites, block-average on trees.",
        )
    geometry.blocks(2)  # refuses what does not divide
    return geometry


def _require_density(values: Tensor) -> None:
    """Refuse a field whose values repeat: its likelihood has no bound."""
    distinct = len(torch.unique(values))
    if distinct < values.numel() / 2:
        raise StepNotPossibleError(
            f"only {distinct} of {values.numel()} values are different, so that the field has no density",
            "Let the training add noise (noise = 0.1), or use restricted-boltzmann on binary fields.",
        )


def _scores(machine: NeuralRGMap, values: Tensor, ensemble: Ensemble, held: Tensor) -> tuple[Measurement, Measurement]:
    """Return the log-density a site on the units held out, and how much better it is than independent Gaussians."""
    train, test = values[~held].flatten(1), values[held].flatten(1)
    mean, variance = train.mean(0), train.var(0).clamp(min=1e-12 * float(train.var()))
    alone = -((test - mean).square() / variance + (2 * pi * variance).log()).mean(1) / 2
    together = machine.log_density(values[held]) / test.shape[1]
    units, weights = ensemble.units[held], ensemble.weights[held]
    return mean_of_units(together, units, weights), mean_of_units(together - alone, units, weights)
