"""Energy sampling: fields drawn from a fitted energy model, and the bias of its numbers from fits to such fields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from blockspin.couplings._filter_basis import FEATURE, log_cosh
from blockspin.couplings._sums import degrees_of_freedom
from blockspin.couplings.energy_model import EnergyModel
from blockspin.ensemble import Ensemble, mix
from blockspin.errors import ConfigError, FitFailedError
from blockspin.measurement import Measurement
from blockspin.observables.base import State, accumulate

DEGREES = {"linear": 1.0, "cubic": 3.0, "skew": 3.0, "quartic": 4.0, "product": 4.0}
"""Powers of the field in an operator, where they are not two; a feature is no power."""
LEAPS, TARGET = 8, 0.8
"""Leaps of a trajectory, and the share of trajectories that are to be accepted."""
FAR = 1e4
"""Deviations at which steps are flat, and the quadratic form is all that is left of how the gradient grows."""
DRAWS = 20
"""Fewest samples of a chain: what tells whether it has mixed."""
MIXED = 1.1
"""Largest ratio of the spread of all chains to that within one (Gelman and Rubin's R) that is taken for mixing."""


@dataclass(frozen=True, eq=False)
class _Energy:
    """The energy of standardised coordinates q along the support, x = U diag(d) q.

    Args:
        model: Whose basis it is.
        couplings: float64 [operators].
    """

    model: EnergyModel
    couplings: Tensor

    @cached_property
    def directions(self) -> Tensor:
        """U diag(d) [coordinates, rank]; of principal modes the identity."""
        frame = self.model.frame
        if self.model.basis.in_modes:
            return torch.eye(self.model.basis.rank, dtype=torch.float64)
        return frame.modes * frame.deviations

    @property
    def average(self) -> Tensor:
        """What the mean over sites and components is of q, less that of the frame: [rank]."""
        frame = self.model.frame
        return (frame.modes * frame.deviations)[:, : self.model.basis.rank].mean(0)

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """The places of operators by how their gradients are taken: "flat", "straight", "curved" or as a feature."""
        found: dict[str, list[int]] = {"flat": [], "straight": [], "curved": [], FEATURE: []}
        for name, places in self.model.basis.steps.items():
            degree = DEGREES.get(name, 2.0)
            kind = name if name == FEATURE else "flat" if degree == 1 else "straight" if degree == 2 else "curved"
            found[kind] += [place for place in places if float(self.couplings[place])]
        return found

    @cached_property
    def tilt(self) -> Tensor:
        """The gradient of the linear operators, the same everywhere: [rank, 1]."""
        origin = torch.zeros(len(self.directions), 1, dtype=torch.float64)
        rows = self.places["flat"]
        force = torch.einsum("a,adn->dn", self.couplings[rows], self.model.basis.plain.gradients(origin)[rows])
        return self.directions.T @ force

    @cached_property
    def form(self) -> Tensor:
        """The quadratic operators as one matrix [rank, rank]: what they pull at each direction of q."""
        rows = self.places["straight"]
        pull = torch.einsum("a,adn->dn", self.couplings[rows], self.model.basis.plain.gradients(self.directions)[rows])
        return self.directions.T @ pull

    @cached_property
    def maps(self) -> Tensor:
        """The filters that have a coupling, as matrices on q: [filters * rows, rank]."""
        return (self.model.basis.maps[self._used] @ self.directions).flatten(0, 1)

    @cached_property
    def steps(self) -> tuple[Tensor, Tensor]:
        """Height and offset of every row of the filters, [filters * rows, 1] each."""
        rows = self.model.basis.maps.shape[1]
        numbers = self.couplings[self.places[FEATURE]], self.model.basis.filters.offsets[self._used]
        height, offset = (number.repeat_interleave(rows)[:, None] for number in numbers)
        return height, offset

    @property
    def _used(self) -> list[int]:
        first = self.model.basis.steps[FEATURE][0]
        return [place - first for place in self.places[FEATURE]]

    def at(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return energy [n] and gradient [rank, n] at q [rank, n].

        All quadratic operators are one matrix in q and filters another, so that a leap costs two products however many
        operators there are; operators of higher degree p, of which x times slope over p is taken, where any has a
        coupling.
        """
        height, offset = self.steps
        z, pull = self.maps @ q + offset, self.form @ q
        E = (q * (self.tilt + pull / 2)).sum(0) + (height * log_cosh(z)).sum(0)
        slope = self.tilt + pull + self.maps.T @ (height * z.tanh())
        if self.places["curved"]:
            more, steeper = self._curved(q)
            E, slope = E + more, slope + steeper
        return E, slope

    def _curved(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return energy and gradient of the operators of third and fourth degree."""
        T, rows = self.directions, self.places["curved"]
        x, g = T @ q, self.couplings[rows]
        G = self.model.basis.plain.gradients(x)[rows]
        degree = [DEGREES[name] for name, places in self.model.basis.steps.items() for p in places if p in rows]
        weight = g / torch.tensor(degree, dtype=torch.float64)
        return weight @ (G * x).sum(1), T.T @ torch.einsum("a,adn->dn", g, G)

    def refuse_flat(self) -> None:
        """Raise where the energy does not grow in every direction."""
        A = self.at(torch.eye(self.model.basis.rank, dtype=torch.float64) * FAR)[1] / FAR
        if float(torch.linalg.eigvalsh((A + A.T) / 2)[0]) <= 0:
            raise FitFailedError(
                "the energy falls without end in some direction, and is no density beyond the samples",
                "Draw nothing from it; more filters, or more samples, may bend it up.",
            )


def draw(
    model: EnergyModel, couplings: Tensor, samples: int, *, generator: torch.Generator, burn_in: int = 150, gap: int = 5
) -> Ensemble:
    r"""Return fields from exp(-E), by Hamiltonian Monte Carlo in 50 to 200 chains; each chain is a unit.

    Chains start from the Gaussian field of the frame, so that the wells of an energy are all entered. After every
    trajectory the field, or one of its principal directions, is offered to be mirrored at the mean, which leads from
    well to well. Steps of the trajectories are fitted during the first half of the burn-in. On unordered sites the
    field is that of the principal modes, the others at their mean.

    Args:
        model: The energy's operators.
        couplings: ``model.couplings(state)``, or those of the other theories, where they are a density.
        samples: How many.
        generator: Randomness.
        burn_in: Trajectories that are thrown away.
        gap: Trajectories between samples of a chain.

    Raises:
        FitFailedError: If the energy is no density, or the chains have not mixed.

    Do not trust when:
        Wells are so deep that no chain crosses within a run: where chains stay apart this is refused, but a well that
        no chain has entered is not seen.

    Source:
        duane1987; gelman1992 for the check, which looks at halves of the chains, at their energy, and at the mean over
        the sites, all principal coordinates and the squares of these.
    """
    energy = _Energy(model, couplings)
    energy.refuse_flat()
    chains = min(200, max(50, samples // DRAWS))
    q = torch.randn(model.basis.rank, chains, dtype=torch.float64, generator=generator)
    step, kept = 0.5, []
    for trajectory in range(burn_in):
        q, accepted = _moved(energy, q, step, generator)
        if trajectory < burn_in // 2:
            step = min(1.0, step * (1.05 if accepted > TARGET else 0.9))
    for _ in range(max(DRAWS, -(-samples // chains))):
        for _ in range(gap):
            q, _ = _moved(energy, q, step, generator)
        kept.append(q)
    _refuse_unmixed(torch.stack([_watched(energy, q) for q in kept]))
    x = energy.directions @ torch.cat(kept, 1)[:, -samples:]
    unit = mix(torch.arange(chains).repeat(len(kept))[-samples:], salt=17)
    return Ensemble.of(_values(model, x), model.geometry, units=unit)


def difference(model: EnergyModel, fields: Ensemble, couplings: Tensor) -> Tensor:
    """Return the energy of fields [n] by couplings, which may be a difference of two that were fitted."""
    energy = _Energy(model, couplings)
    x = model.basis.coordinates(model.basis.field(fields.values.to(torch.float64)))
    frame = model.frame
    q = x if model.basis.in_modes else (frame.modes / frame.deviations).T @ x
    return energy.at(q)[0]


def bootstrap_bias(
    model: EnergyModel, state: State, *, generator: torch.Generator, replicas: int = 10, **options: Any
) -> dict[str, Measurement]:
    """Return by how much the numbers of the model are off in the mean, learning of the filters included.

    Fields are drawn from the fitted energy, as many as there were samples on both sides of the split. Filters are
    learned from each set anew, and its numbers compared with those by the filters of the model itself, which are right
    for it; both see the same samples, so that their noise drops out. Subtract the bias, or count it as an error.

    Args:
        model: Learned and fitted.
        state: What it was fitted to.
        generator: Randomness.
        replicas: Sets of fields.
        options: Of ``EnergyModel.on``, as the model was made with.

    Raises:
        ConfigError: If there are fewer than two replicas.
        FitFailedError: If the energy is no density, or one of the fits fails.

    Do not trust when:
        The energy does not describe the samples (``goodness``): it then has the bias of another field.

    Source:
        efron1979.
    """
    if replicas < 2:
        raise ConfigError("replicas", replicas, "an integer of at least 2.")
    couplings, samples = model.couplings(state), 2 * round(degrees_of_freedom(state) + 1)
    rows = []
    for _ in range(replicas):
        fields = draw(model, couplings, samples, generator=generator)
        again = EnergyModel.on(fields, **options)
        found, known = (m.value(accumulate(m.monoid, fields)) for m in (again, model))
        rows.append({key: float(found[key] - known[key]) for key in found if key in known and key not in model.noted})
    names = [key for key in rows[0] if all(key in row for row in rows)]
    how = f"{replicas} sets of fields drawn from the fitted energy"
    return {
        key: Measurement(mean(column), stdev(column) / replicas**0.5, model.units[key], replicas, how, replicas - 1)
        for key in names
        for column in [[row[key] for row in rows]]
    }


def _values(model: EnergyModel, x: Tensor) -> Tensor:
    """Return coordinates [coordinates, n] as a field [n, sites, components]."""
    frame = model.frame
    back = frame.modes[:, : len(x)] * frame.deviations[: len(x)] if model.basis.in_modes else None
    flat = frame.mean + (x if back is None else back @ x).T
    return flat.reshape(len(flat), model.geometry.sites, -1)


def _moved(energy: _Energy, q: Tensor, step: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """Return the chains after one trajectory of random length, and the share accepted."""
    p = torch.randn(q.shape, dtype=q.dtype, generator=generator)
    size = step * (0.5 + torch.rand((), dtype=q.dtype, generator=generator))
    E, slope = energy.at(q)
    new, momentum = q, p - size / 2 * slope
    for leap in range(LEAPS):
        new = new + size * momentum
        last, slope = energy.at(new)
        momentum = momentum - (size if leap < LEAPS - 1 else size / 2) * slope
    fall = E + p.square().sum(0) / 2 - last - momentum.square().sum(0) / 2
    chosen = torch.rand(q.shape[1], dtype=q.dtype, generator=generator).log() < fall
    q, E = torch.where(chosen, new, q), torch.where(chosen, last, E)
    return _mirrored(energy, q, E, generator), float(chosen.to(q.dtype).mean())


def _mirrored(energy: _Energy, q: Tensor, E: Tensor, generator: torch.Generator) -> Tensor:
    """Return the chains after an offer to each to change sign, of all directions or (in half of the cases) of one."""
    rank, chains = q.shape
    one = torch.randint(rank, (chains,), generator=generator) == torch.arange(rank)[:, None]
    every = torch.rand(chains, dtype=q.dtype, generator=generator) < 0.5
    new = torch.where(one | every, -q, q)
    fall = E - energy.at(new)[0]
    return torch.where(torch.rand(chains, dtype=q.dtype, generator=generator).log() < fall, new, q)


def _watched(energy: _Energy, q: Tensor) -> Tensor:
    """Return what must have mixed, [numbers, chains]: principal coordinates, mean over sites, their squares, energy.

    Coordinates alone are blind to how far a chain is from the mean where it changes sign at every offer of a mirror.
    """
    odd = torch.cat([q, (energy.average @ q)[None]])
    return torch.cat([odd, odd.square(), energy.at(q)[0][None]])


def _refuse_unmixed(watched: Tensor) -> None:
    """Compare the spread within halves of chains with that between them, of numbers [draws, numbers, chains].

    Halves, so that chains that all drift together are seen as well.
    """
    if not bool(watched.isfinite().all()):
        raise FitFailedError("chains run away: the couplings are no density", "Draw nothing from them.")
    draws = len(watched) // 2
    halves = torch.cat([watched[:draws], watched[-draws:]], 2)
    between, within = halves.mean(0).var(1), halves.var(0).mean(1)
    ratio = float(((draws - 1) / draws + between / within).sqrt().max())
    if ratio > MIXED:
        raise FitFailedError(
            f"chains of the fitted energy have not mixed (R = {ratio:.2f})", "Raise burn_in, gap or samples."
        )
