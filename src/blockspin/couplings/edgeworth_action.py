"""Edgeworth action: couplings of a nearly Gaussian field from its cumulants, beside those of score matching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

import torch
from torch import Tensor

from blockspin.answer import Verdict
from blockspin.couplings._frame import Frame
from blockspin.couplings._sums import PowerSums, covariance_of, sums_of_law
from blockspin.couplings.base import Coupling, Goodness
from blockspin.couplings.effective_action import MODES, EffectiveAction
from blockspin.couplings.gaussian_precision import distance_classes
from blockspin.ensemble import Batch
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.geometry import Geometry, Unordered
from blockspin.law import GaussianLaw, Source
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, Monoid, State
from blockspin.registry import register


@dataclass(frozen=True)
class DualSums(Monoid):
    """Power sums (see ``PowerSums``) of the dual field eta = K^-1 (phi - m), mean m and covariance K from a frame.

    Args:
        frame: Mean and covariance of other samples.
        modes: 0 for the dual of the field itself; otherwise the first principal coordinates, which are their own dual.
    """

    frame: Frame
    modes: int = 0

    @property
    def matrix(self) -> Tensor:
        """What multiplies phi - m, float64 [rows, D]."""
        if self.modes:
            return (self.frame.modes / self.frame.deviations)[:, : self.modes].T
        return (self.frame.modes / self.frame.deviations.square()) @ self.frame.modes.T

    def start(self) -> State:
        """Return the empty state."""
        return {}

    def add(self, state: State, *batches: Batch) -> State:
        """Add one batch."""
        (batch,) = batches
        centred = batch.values.flatten(1).to(torch.float64) - self.frame.mean
        return PowerSums().add(state, batch.with_values((centred @ self.matrix.T)[:, :, None]))

    def merge(self, first: State, second: State) -> State:
        """Merge two parts."""
        return PowerSums().merge(first, second)

    def scale(self, state: State, key: str) -> Tensor:
        """Return the largest entry; of third powers the most that they can be."""
        return PowerSums().scale(state, key)


@register
@dataclass(frozen=True)
class EdgeworthAction(Coupling):
    r"""The action of a field from its covariance and its connected four-point function, to leading order in the latter.

    .. math:: S = \tfrac12 \phi A \phi + \tfrac{\lambda}{4!} \sum_x \phi_x^4 , \quad
        \lambda = -\overline{G_{4,c}(\eta_x, \eta_x, \eta_x, \eta_x)}, \quad \eta = K^{-1} (\phi - m), \quad
        A = K^{-1} - \tfrac{\lambda}{2} \mathrm{diag} K .

    The vertex at one site is the fourth cumulant of the dual field there. Its overall scale, which the frame knows only
    as well as its own samples tell, is put right by :math:`\langle \eta_x \phi_x \rangle = 1`. On unordered sites the
    field is the leading principal coordinates, each in units of its deviation on the fit half.

    Quantities: "quartic" (mean over sites; of modes [modes]); with distances also "mass" (mean of A_xx) and "pair"
    [reach] (mean of A_xy at the k-th distance), those of ``effective-action`` with "mass" and pairs; the note "rank".

    Args:
        geometry: The sites.
        frame: Mean and covariance, fitted on other samples (``on``).
        reach: Number of distance classes; 0 for none.
        modes: Number of principal coordinates on unordered sites.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        The expansion parameter, the score of ``goodness``, is not well below 1: the true coupling is then larger, by
        about 3/2 of that share for one site. ``ActionDifference`` says where it parts from score matching. Vertices
        between sites are not looked at. Beyond the expansion use ``effective-action``, beyond any polynomial
        ``energy-model``.

    Source:
        demirtas2023.
    """

    name = "edgeworth-action"
    source = "demirtas2023"
    units: ClassVar[Mapping[str, str]] = {"quartic": "field^-4", "mass": "field^-2", "pair": "field^-2", "rank": "1"}
    left_out: ClassVar[tuple[str, ...]] = ("vertices between sites", "cumulants of sixth and higher order", "odd ones")
    noted: ClassVar[tuple[str, ...]] = ("rank",)
    remedy: ClassVar[str] = "energy-model"
    geometry: Geometry
    frame: Frame
    reach: int = 1
    modes: int = MODES

    def __post_init__(self):
        if isinstance(self.geometry, Unordered):  # principal coordinates are pure numbers
            object.__setattr__(self, "units", dict.fromkeys(type(self).units, "1"))
        if self.reach < 0:
            raise ConfigError("reach", self.reach, "an integer of at least 0.")
        if isinstance(self.geometry, Unordered) and not 1 <= self.modes <= self.frame.rank:
            raise ConfigError("modes", self.modes, f"1 to {self.frame.rank}, the rank of the support.")
        if not isinstance(self.geometry, Unordered) and self.geometry.sites != len(self.frame.mean):
            raise ConfigError("frame", self.frame, f"a frame of {self.geometry.sites} sites of one component.")

    @classmethod
    def on(cls, source: Source, **options: Any) -> EdgeworthAction:
        """Return the coupling for a field, with mean and covariance of these samples: give it the fit half."""
        frame = Frame.of(source)
        return cls(**{"geometry": source.geometry, "frame": frame, "modes": min(MODES, frame.rank), **options})

    @property
    def monoid(self) -> DualSums:
        """Power sums of the dual field."""
        return DualSums(self.frame, self.modes if isinstance(self.geometry, Unordered) else 0)

    def sums_of_law(self, law: GaussianLaw) -> State:
        """Return the state that infinitely many samples of a Gaussian law would leave."""
        T, mean = self.monoid.matrix, law.mean.reshape(-1) - self.frame.mean
        dual = T @ law.covariance @ T.T
        return sums_of_law(GaussianLaw((T @ mean)[:, None], dual, Unordered(len(T))))

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the couplings.

        Raises:
            TooFewSamplesError: If there are not more samples than directions of the support, or fewer than five.
        """
        H, dof = covariance_of(state)
        vertex = -_fourth_cumulant(state, dof)
        if isinstance(self.geometry, Unordered):
            rank = torch.tensor(float(self.modes), dtype=torch.float64)
            return {"quartic": vertex / H.diagonal() ** 4, "rank": rank}
        U, v = self.frame.modes, self.frame.deviations.square()
        C = v[:, None] * (U.T @ H @ U) * v  # covariance of these samples, within the support
        share = (U / v * (C @ U.T).T).sum(1)  # <eta phi> of a site
        quartic = (vertex / share**4).mean()
        A = U @ _inverse(C, dof) @ U.T
        pairs = [A[near].mean() for near in distance_classes(self.geometry, self.reach)] if self.reach else []
        mass = (A.diagonal() - quartic / 2 * (U @ C * U).sum(1)).mean()
        rank = torch.tensor(float(self.frame.rank), dtype=torch.float64)
        found = {"quartic": quartic, "mass": mass, "rank": rank}
        return {**found, "pair": torch.stack(pairs)} if pairs else found

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the expansion parameter: size of quartic <phi^2>^2, which leading order takes to be small.

        The mean over two independent states, with half their difference as error. There is no p-value.
        """
        sizes = [self._size(state) for state in (fitted, held_out)]
        score = Measurement(sum(sizes) / 2, abs(sizes[0] - sizes[1]) / 2, how="two independent parts", dof=1)
        return Goodness(f"expansion parameter |quartic| <phi^2>^2 (unless well below 1: {self.remedy})", score)

    def _size(self, state: State) -> float:
        quartic = self.value(state)["quartic"]
        H, _ = covariance_of(state)
        if isinstance(self.geometry, Unordered):
            return float((quartic.abs() * H.diagonal() ** 2).mean())
        U, v = self.frame.modes, self.frame.deviations.square()
        variance = ((U * v) @ (U.T @ H @ U) @ (U * v).T).diagonal()
        return float(quartic.abs() * variance.square().mean())


@dataclass(frozen=True)
class BothSums(Monoid):
    """The states of two monoids over one field, keys prefixed by "first." and "second."."""

    first: Monoid
    second: Monoid

    def start(self) -> State:
        """Return the empty state."""
        return {}

    def add(self, state: State, *batches: Batch) -> State:
        """Add one batch."""
        parts = [part_of(state, k) for k in ("first.", "second.")]
        return _together(self.first.add(parts[0], *batches), self.second.add(parts[1], *batches))

    def merge(self, first: State, second: State) -> State:
        """Merge two parts."""
        merged = self.first.merge(part_of(first, "first."), part_of(second, "first."))
        return _together(merged, self.second.merge(part_of(first, "second."), part_of(second, "second.")))


@dataclass(frozen=True)
class ActionDifference(Estimator):
    """Where score matching and cumulants part company: their quartic couplings from the same samples, subtracted.

    Cumulants are about the mean: on a field whose mean is not zero, give the action ``about_mean``.

    The engine's jackknife gives "quartic" (score matching less Edgeworth) its joint error: what the same samples do to
    both drops out. ``parted`` reads it.

    Args:
        action: With "quartic" among its operators.
        edgeworth: Of the same field.
    """

    name = "action-difference"
    source = "demirtas2023"
    units: ClassVar[Mapping[str, str]] = {"quartic": "field^-4"}
    action: EffectiveAction
    edgeworth: EdgeworthAction

    def __post_init__(self):
        object.__setattr__(self, "units", {"quartic": self.edgeworth.units["quartic"]})
        if "quartic" not in self.action.operators or self.action.geometry != self.edgeworth.geometry:
            raise ConfigError("action", self.action, "an action with a quartic coupling on the geometry of the other.")
        if isinstance(self.action.geometry, Unordered) and self.action.modes != self.edgeworth.modes:
            raise ConfigError("modes", self.action.modes, f"{self.edgeworth.modes}, as the other has.")

    @property
    def monoid(self) -> BothSums:
        """The sums of both."""
        return BothSums(self.action.monoid, self.edgeworth.monoid)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the difference of the quartic couplings."""
        matched = self.action.value(part_of(state, "first."))["quartic"]
        return {"quartic": matched - self.edgeworth.value(part_of(state, "second."))["quartic"]}


def parted(difference: Measurement, level: float = 0.05) -> Verdict:
    """Return whether two actions have parted: their difference is beyond its joint error at a level.

    No is never returned: where the difference is within its error one cannot tell.

    Args:
        difference: Of one coupling, or of several, among which the level is divided.
        level: Probability of calling equal ones parted.
    """
    value, error = torch.as_tensor(difference.value).reshape(-1), torch.as_tensor(difference.error).reshape(-1)
    beyond = difference.quantile(1 - level / (2 * len(value)))
    return Verdict.YES if bool((value.abs() > beyond * error).any()) else Verdict.CANNOT_TELL


def part_of(state: State, prefix: str) -> State:
    """Return the entries of a state whose keys have a prefix, without it."""
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


def _together(first: State, second: State) -> State:
    return {
        f"{name}.{key}": tensor for name, part in (("first", first), ("second", second)) for key, tensor in part.items()
    }


def _inverse(C: Tensor, dof: float) -> Tensor:
    """Return the inverse of a covariance, unbiased for Gaussian samples."""
    rank = len(C)
    if dof <= rank + 1:
        raise TooFewSamplesError(f"{dof + 1:.0f} samples do not determine {rank} directions", "Give more samples.")
    return torch.linalg.inv(C) * (1.0 if dof == inf else (dof - rank - 1) / dof)


def _fourth_cumulant(state: State, dof: float) -> Tensor:
    """Return the fourth cumulant of every site, unbiased for plain samples (Fisher's k-statistic), exact on a law."""
    m2, m4 = (part / state["weight"] for part in (state["scatter"].diagonal(), state["fourth"]))
    if dof == inf:
        return m4 - 3 * m2**2
    n = dof + 1
    if n < 5:
        raise TooFewSamplesError(f"{n:.0f} samples are too few for a fourth cumulant", "Give at least five.")
    return n**2 * ((n + 1) * m4 - 3 * (n - 1) * m2**2) / ((n - 1) * (n - 2) * (n - 3))
