"""Energy model: a field's energy with learned filters, for where no expansion about a Gaussian holds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.couplings._energy_learning import Lesson, chosen, operators, polynomial
from blockspin.couplings._filter_basis import FEATURE, FilterBasis, Filters
from blockspin.couplings._frame import Frame
from blockspin.couplings._lattice_basis import MOST_PAIRS, class_counts
from blockspin.couplings._score_checks import refuse_unsuited
from blockspin.couplings._score_fit import FEWEST, averages, objectives, padded, score_of_parts, solve, wald_p_value
from blockspin.couplings._sums import degrees_of_freedom
from blockspin.couplings._unseen_sums import UnseenSums
from blockspin.couplings.base import Coupling, Goodness
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, FitFailedError, TooFewSamplesError
from blockspin.geometry import Geometry, Unordered
from blockspin.observables.base import State
from blockspin.registry import register

WHITENED_RIDGE = 1e-12
"""The ridge of a whitened model: its operators are nearly collinear, and known in float64."""


@register
@dataclass(frozen=True)
class EnergyModel(Coupling):
    r"""An energy that is no power series: a quadratic form, and soft steps of the field seen through learned filters.

    .. math:: E(\phi) = h \cdot \phi + \tfrac12 \phi A \phi + \sum_j a_j \sum_x \ln \cosh((w_j \star \phi)_x + b_j)

    For fields to which ``effective-action`` (a polynomial) and ``edgeworth-action`` (leading order) do not apply: two
    wells, strong coupling, spins read through a field. It grows like a quadratic form, so that it is a density where A
    is positive. Every mixture of two Gaussians of one covariance, and the continuous Ising model, are of this form.

    Filters w and offsets b are learned by score matching on one half of the units (``on``), stopped where a quarter of
    that half says so. They stay fixed, and the other half alone is summed up: given the filters the energy is linear
    in h, A and a, fitted exactly in one pass, and errors and tests are those of ``effective-action``. On sites with
    distances A has one entry a distance and a filter is laid around every site, the same in every direction; or both
    tell directions apart (``directed``): A has one entry a displacement up to sign, in whole distances as far as 32 of
    them reach (4.2 spacings on a square lattice), and a filter one tap a displacement. On ``Unordered`` sites the
    energy is that of the leading principal coordinates, and these in units of their deviations are what is called field
    below; likewise where scores are matched in such coordinates on a lattice (``whitened``).

    Quantities, which do not depend on how the filters are numbered: "curvature", the mean of :math:`E''` over
    directions and samples (the squared mass of small fluctuations; of a density also its Fisher information,
    :math:`\langle |\nabla E|^2 \rangle`); "bare", E'' at the mean field, negative between wells; "excess", the
    curvature above that of the Gaussian theory of the same samples, which is the share of the Fisher divergence from
    Gaussian to truth that the energy accounts for; and "polynomial", the same by the polynomial. Notes: "rank",
    "condition", and "bias", the jackknife's estimate of what finite samples add to the excess, which has been taken
    off (likewise from the curvature and the polynomial's). ``energy_sampling`` estimates what is left, learning
    included, from samples of the fitted energy.

    Args:
        geometry: The sites.
        frame: Mean and support, of the units that the filters were learned from.
        filters: Learned; made by ``on``.
        reach: Number of classes of pairs with an entry of A: distances, or displacements up to sign.
        modes: Number of principal coordinates on unordered sites.
        ridge: As of ``effective-action``.
        directed: Whether directions are told apart, on a ``Grid``.
        whitened: Whether scores are matched in principal coordinates in units of their deviations, where every mode has
            the same weight, and not site by site.

    Raises:
        ConfigError: If an option cannot be used.
        GeometryError: If directions are asked for where sites have no displacement from each other.

    Example:
        >>> from blockspin.observables.base import accumulate
        >>> generator = torch.Generator().manual_seed(0)
        >>> side = 1.2 * torch.randint(2, (2000, 1), generator=generator) - 0.6
        >>> wells = Ensemble.of(side + 0.5 * torch.randn(2000, 4, generator=generator))
        >>> model = EnergyModel.on(wells, filters=1)
        >>> bool(model.value(accumulate(model.monoid, wells))["bare"] < 0)
        True

    Do not trust when:
        The field leaves where the samples were: nothing is known of the energy there. "bare" where no sample is near
        the mean. "excess" as the whole of what is not Gaussian: it is what these filters catch, a lower bound but for
        its error. Units that are not independent. What is drawn from the energy near a critical point while A does
        not reach across the lattice: a score that fits says little of global weights. Of 8,000 continuous Ising fields
        at K_c on 8 x 8 sites, of 14 distances, with a Binder cumulant of .605(1), 12 distances give .40(4) and .46(4)
        by two seeds, no better with 8 filters (.41(4), .49(3)) and little with filters of four distances (.51(3),
        .48(3)); all 14 distances give .601(7) and .608(4). Whitened scores with 12 give .607(8) and .592(11), but
        .640(4) from 6,000 fields (.643(3) with 14): errors do not count what the learning of filters adds.
        Lattices of more than 32 distances are not reached across.

    Source:
        swersky2011 for the energy and its scores, hyvarinen2005 for score matching, barp2019 for whitened scores.
    """

    name = "energy-model"
    source = "swersky2011"
    units: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("curvature", "bare", "excess", "polynomial", "bias"), "field^-2"),
        "rank": "1",
        "condition": "1",
    }
    left_out: ClassVar[tuple[str, ...]] = ("steps of other filters", "more filters", "filters that reach further")
    noted: ClassVar[tuple[str, ...]] = ("rank", "condition", "bias")
    geometry: Geometry
    frame: Frame
    filters: Filters
    reach: int = 12
    modes: int = 4
    ridge: float = 1e-8
    directed: bool = False
    whitened: bool = False

    def __post_init__(self):
        if not 0 < self.ridge < 1e-2:
            raise ConfigError("ridge", self.ridge, "a number between 0 and 0.01.")
        if self.reach < 0:
            raise ConfigError("reach", self.reach, "an integer of at least 0.")
        if self.directed:
            class_counts(self.geometry, 1, directed=True)  # refuses where there are no directions

    @classmethod
    def on(
        cls,
        source: Ensemble,
        *,
        filters: int = 4,
        span: int = 2,
        reach: int = MOST_PAIRS,
        modes: int = 4,
        directed: bool | None = None,
        whitened: bool = False,
        seed: int = 0,
    ) -> EnergyModel:
        """Return the coupling for a field: filters are learned from half of its units, which are not measured again.

        Args:
            source: Samples of the field; hand the same ones, or others, to ``monoid``.
            filters: How many.
            span: Distances that a filter reaches, where sites have distances.
            reach: Most distances with an entry of A, 32 at most; fewer where ten samples an operator do not allow
                them, or those of a field in a subspace are collinear.
            modes: Most principal coordinates on unordered sites.
            directed: Whether directions are told apart. By default both are learned on a lattice, and directions kept
                only where the quarter of the half that teaches which stops learning is described better with them, by
                more than one standard error of the difference.
            whitened: Whether scores are matched in principal coordinates in units of their deviations, as they always
                are on unordered sites, and not site by site: slow modes then count as much as quick ones.
            seed: Of the starts of learning.

        Raises:
            ConfigError: If an option cannot be used.
            TooFewSamplesError: If the half holds fewer than ten samples an operator.
            HardEdgesError: If the values have atoms or hard edges.
            GeometryError: If directions are asked for where sites have no displacement from each other.
        """
        for option, value in (("filters", filters), ("modes", modes)):
            if value < 1:
                raise ConfigError(option, value, "an integer of at least 1.")
        lesson = Lesson.of(source, filters=filters, span=span, reach=reach, modes=modes, whitened=whitened)
        found = chosen(lesson, directed, generator=torch.Generator().manual_seed(seed))
        ridge, how = WHITENED_RIDGE if whitened else cls.ridge, {"directed": found.directed, "whitened": whitened}
        return cls(source.geometry, lesson.frame, found.filters, found.reach, lesson.modes, ridge, **how)

    @cached_property
    def basis(self) -> FilterBasis:
        """The operators: quadratic form, polynomial, filters."""
        more = polynomial(self.geometry)
        how = {"directed": self.directed, "whitened": self.whitened}
        plain = operators(self.geometry, self.frame, self.reach, self.modes, more, **how)
        return FilterBasis(plain, self.filters)

    @property
    def monoid(self) -> UnseenSums:
        """Products of gradients, and Laplacians, over units that the filters have not seen."""
        return UnseenSums(self.basis)

    def places(self, theory: str) -> list[int]:
        """Return the places of the operators of a theory: "gaussian", "polynomial" or "energy"."""
        extra = {"gaussian": (), "polynomial": polynomial(self.geometry), "energy": (FEATURE,)}[theory]
        every = (*polynomial(self.geometry), FEATURE)
        return [p for name, places in self.basis.steps.items() if name in extra or name not in every for p in places]

    def couplings(self, state: State, theory: str = "energy") -> Tensor:
        """Return the couplings of a theory among all operators of the basis, the others zero, float64 [operators]."""
        A, b = averages(state)
        places = self.places(theory)
        return padded(solve(A[places][:, places], b[places], self.ridge).couplings, places, len(b))

    def value(self, state: State) -> dict[str, Tensor]:
        """Return curvatures and what each theory accounts for; "polynomial" only where it can be fitted.

        Raises:
            TooFewSamplesError: If there are not more samples than operators, or units in fewer than four parts.
            HardEdgesError: If the values have atoms or hard edges.
            FitFailedError: If the field leaves its support, or operators are collinear.
        """
        refuse_unsuited(state, self.geometry.sites)
        A, b = averages(state)
        places = self.places("energy")
        solution = solve(A[places][:, places], b[places], self.ridge)
        g = padded(solution.couplings, places, len(b))
        origin = torch.zeros(self.basis.size, 1, dtype=torch.float64)
        plain, bias = self._corrected(state)
        return {
            "curvature": plain["curvature"],
            "bare": g @ self.basis.laplacians(origin)[:, 0] / self.basis.rank,
            "excess": plain["excess"],
            **({"polynomial": plain["polynomial"]} if "polynomial" in plain else {}),
            "bias": bias,
            "rank": torch.tensor(float(self.basis.rank), dtype=torch.float64),
            "condition": solution.condition,
        }

    def remarks(self, state: State) -> dict[str, float]:
        """Return whether directions are told apart on sites that have distances, 1 or 0."""
        return {} if isinstance(self.geometry, Unordered) else {"directed": float(self.directed)}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the gain of the objective on held-out samples over the Gaussian theory, as a share of it.

        0 where the steps tell nothing, negative where they mislead. The p-value is that of fourth powers being zero
        beside all other operators: small where the filters have missed something that a power of the field sees.

        Raises:
            TooFewSamplesError: If fewer than four independent units are held out.
        """
        gaussian, energy = (self.scores(fitted, held_out, theory) for theory in ("gaussian", "energy"))
        what = "held-out score-matching objective: gain over the Gaussian theory, as a share of it"
        p_value = wald_p_value(held_out, self.basis.steps["quartic"], self.ridge)
        return Goodness(what, score_of_parts(gaussian - energy, -gaussian, held_out), p_value)

    def scores(self, fitted: State, held_out: State, theory: str) -> Tensor:
        """Return the objective of held-out samples under the fit of a theory, summed over each part."""
        return objectives(held_out, self.couplings(fitted, theory))

    def _corrected(self, state: State) -> tuple[dict[str, Tensor], Tensor]:
        """Return curvatures without the bias of the jackknife over parts, and the bias of the excess."""
        whole = self._curvatures(state)
        if degrees_of_freedom(state) == inf:
            return whole, torch.zeros((), dtype=torch.float64)
        full = (state["parts"] > 0).nonzero().flatten()
        if len(full) < FEWEST:
            raise TooFewSamplesError(f"{len(full)} independent units tell no bias", "Give more units.")
        rows = [self._curvatures(without(state, int(part))) for part in full]
        bias = {
            key: (len(full) - 1) * (torch.stack([row[key] for row in rows]).mean() - value)
            for key, value in whole.items()
            if all(key in row for row in rows)
        }
        return {key: whole[key] - shift for key, shift in bias.items()}, bias["excess"]

    def _curvatures(self, state: State) -> dict[str, Tensor]:
        """Return the mean curvature g b of the energy, and what two theories have above that of the Gaussian one."""
        b = averages(state)[1]
        gaussian, energy = (self.couplings(state, theory) @ b for theory in ("gaussian", "energy"))
        found = {"curvature": energy, "excess": energy - gaussian}
        with suppress(FitFailedError):  # collinear operators give no number
            found["polynomial"] = self.couplings(state, "polynomial") @ b - gaussian
        return {key: value / self.basis.rank for key, value in found.items()}


def without(state: State, part: int) -> State:
    """Return what ``averages`` needs of a state without one of its parts."""
    rest = {key: state[key].sum(0, keepdim=True) - state[key][part] for key in ("products", "laplacians")}
    return {**rest, "weight": state["weight"] - state["parts"][part]}
