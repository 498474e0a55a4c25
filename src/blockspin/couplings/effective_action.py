"""Effective action: couplings of a real field by score matching, on a basis of operators that its geometry suggests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from blockspin.couplings import _lattice_basis, _mode_basis
from blockspin.couplings._frame import Frame
from blockspin.couplings._lattice_basis import LatticeBasis
from blockspin.couplings._mode_basis import ModeBasis
from blockspin.couplings._score_checks import refuse_unsuited
from blockspin.couplings._score_fit import Solution, averages, objectives, padded, score_of_parts, solve, wald_p_value
from blockspin.couplings._score_law import score_sums_of_law
from blockspin.couplings._score_sums import ScoreSums
from blockspin.couplings.base import Coupling, Goodness
from blockspin.couplings.nested import nested_models
from blockspin.errors import ConfigError, GeometryError
from blockspin.geometry import Geometry, Unordered
from blockspin.law import GaussianLaw, Source
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.registry import register

MODES = 4
"""Principal coordinates on unordered sites, where the field has as many."""


@register
@dataclass(frozen=True)
class EffectiveAction(Coupling):
    r"""The couplings g of the action of a real field, :math:`p \propto e^{-\sum_a g_a O_a}`, without its normalisation.

    Score matching: the couplings that bring the gradient of ln p closest to that of the samples solve

    .. math:: \sum_b \langle \nabla O_a \cdot \nabla O_b \rangle\, g_b = \langle \Delta O_a \rangle ,

    averages that one pass adds up. They are those of the truth where the truth lies in the span of the operators, and
    otherwise those of the nearest action in Fisher divergence. O = x^2 / 2 alone gives g = 1 / <x^2>.

    On sites with distances the operators are sums over the field: "linear" phi, "mass" phi^2/2, "cubic" phi^3/3!,
    "quartic" phi^4/4!, "sextic" phi^6/6!; "gradient", half the squared difference of every nearest pair; "pair[k]", the
    product of every pair at the k-th distance, whose coupling is the entry of the precision matrix there (a gradient is
    the mass times the number of neighbours less pair[1]); "derivative", the sum of k^2 |phi_k|^2 / 2 over the waves of
    a periodic lattice, k in inverse spacings of that lattice. On ``Unordered`` sites they are products of the leading
    principal coordinates y, each in units of its deviation on the fit half: the powers of one, "pair" y_i y_j, "skew"
    y_i^2 y_j / 2, "product" y_i^2 y_j^2 / 4; what is fitted is the law of these coordinates alone.

    Quantities: one for each operator (families of modes are vectors), and the notes "rank" (dimension of the space in
    which gradients are taken) and "condition" (of A scaled to a unit diagonal).

    Args:
        geometry: The sites.
        operators: Those of the action, in the order in which ``nested_models`` adds them.
        tested: Operators whose absence ``goodness`` tests.
        frame: Support of the field, fitted on other samples: a singular field (layer norm, a momentum shell) has its
            gradients projected on it. None for a field of full rank, which is checked; modes need one. ``on`` fits it.
        modes: Number of principal coordinates on unordered sites.
        ridge: Directions of couplings whose eigenvalue e of the scaled A is small are multiplied by
            1 / (1 + (ridge / e)^2); a condition number beyond 1 / ridge is refused.
        about_mean: On sites with distances, whether operators are of the field less the frame's mean.

    Raises:
        ConfigError: If an option cannot be used.
        GeometryError: If the geometry lacks an operator that is asked for.

    Example:
        >>> from blockspin import Chain, Ensemble
        >>> from blockspin.observables.base import accumulate
        >>> field = Ensemble.of(2 * torch.randn(5000, 8, generator=torch.Generator().manual_seed(0)), Chain(8))
        >>> action = EffectiveAction(Chain(8), operators=("mass",), tested=())
        >>> round(float(action.value(accumulate(action.monoid, field))["mass"]), 1)
        0.2

    Do not trust when:
        The highest power has a negative coupling: the action then holds where the samples are and is no density
        beyond. Values lie on a surface that the checks do not know: tokens after a layer norm with gains lie on an
        ellipsoid, which moves couplings by about 1 / D. Only a few sites have hard edges without atoms. Units that are
        not independent: p-values and errors of scores take them so. The p-value of ``goodness`` is small: no polynomial
        of this degree may describe the field, and ``energy-model`` needs none.

    Source:
        hyvarinen2005.
    """

    name = "effective-action"
    source = "hyvarinen2005"
    units: ClassVar[Mapping[str, str]] = {
        **_mode_basis.UNITS,
        **_lattice_basis.UNITS,
        "rank": "1",
        "condition": "1",
    }
    left_out: ClassVar[tuple[str, ...]] = ("operators other than those listed: more fields, longer distances",)
    noted: ClassVar[tuple[str, ...]] = ("rank", "condition")
    remedy: ClassVar[str] = "energy-model"
    geometry: Geometry
    operators: tuple[str, ...] = ("mass", "gradient", "quartic")
    tested: tuple[str, ...] = ("sextic",)
    frame: Frame | None = None
    modes: int = MODES
    ridge: float = 1e-8
    about_mean: bool = False

    def __post_init__(self):
        for field in ("operators", "tested"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if isinstance(self.geometry, Unordered):  # principal coordinates are pure numbers
            object.__setattr__(self, "units", dict.fromkeys(type(self).units, "1"))
        if not self.operators:
            raise ConfigError("operators", self.operators, "at least one operator.")
        if not 0 < self.ridge < 1e-2:
            raise ConfigError("ridge", self.ridge, "a number between 0 and 0.01.")
        if self.about_mean and self.frame is None:
            raise ConfigError("about_mean", self.about_mean, "False without a frame, which holds the mean: use 'on'.")
        for name in self._basis.names:
            if isinstance(self._basis, LatticeBasis) and name not in _lattice_basis.POWERS:
                self._basis.matrix(name)  # refuses what the geometry lacks

    @classmethod
    def on(cls, source: Source, **options: Any) -> EffectiveAction:
        """Return the coupling for a field, with its frame fitted to these samples: give it the fit half.

        Args:
            source: Samples of the field, or its law.
            options: The others; ``operators`` is chosen by the geometry, and ``modes`` are at most as many as the field
                has, unless given.
        """
        if isinstance(source.geometry, Unordered):
            chosen: dict[str, Any] = {"operators": ("linear", "mass", "pair", "cubic", "skew", "quartic", "product")}
        else:
            chosen = {"operators": ("mass", "gradient", "quartic")}
        frame = Frame.of(source)
        modes = min(MODES, frame.rank)  # coarse levels have fewer: theirs are the leading ones of the finer
        return cls(**{"geometry": source.geometry, "frame": frame, "modes": modes, **chosen, **options})

    @cached_property
    def _basis(self) -> LatticeBasis | ModeBasis:
        names = (*self.operators, *self.tested)
        if not isinstance(self.geometry, Unordered):
            return LatticeBasis(self.geometry, names, self.frame, self.about_mean)
        if self.frame is None:
            raise GeometryError(
                "unordered sites have no operators but those of their principal modes, which are not given",
                "Use EffectiveAction.on(fit_half), or give a frame.",
            )
        return ModeBasis(self.frame, self.modes, names)

    @property
    def monoid(self) -> ScoreSums:
        """Products of gradients, and Laplacians."""
        return ScoreSums(self._basis)

    @property
    def steps(self) -> dict[str, list[int]]:
        """The quantities, those of the action before those tested, each with the places of its couplings in a state."""
        return self._basis.steps

    @property
    def score_unit(self) -> str:
        """The unit of the objective: principal coordinates are pure numbers."""
        return "1" if isinstance(self._basis, ModeBasis) else "field^-2"

    def places(self, quantities: tuple[str, ...]) -> list[int]:
        """Return the places of the couplings of some quantities."""
        return [place for name in quantities for place in self.steps.get(name, [])]

    def sums_of_law(self, law: GaussianLaw) -> State:
        """Return the state that infinitely many samples of a Gaussian law would leave.

        Raises:
            GeometryError: On unordered sites: products of modes have no closed form here.
        """
        if isinstance(self._basis, ModeBasis):
            raise GeometryError("products of modes are not averaged over a law", "Sample it: law.sample(n).")
        return score_sums_of_law(self._basis, law)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the couplings of the action.

        Raises:
            TooFewSamplesError: If there are not more samples than operators.
            HardEdgesError: If the values have atoms or hard edges.
            FitFailedError: If the field leaves its support, or operators are collinear.
        """
        self.check(state)
        found = self.solution(state)
        places = self.places(self.operators)
        couplings = padded(found.couplings, places, state["laplacians"].shape[1])
        values = {name: couplings[self.steps[name]] for name in self.operators if name in self.steps}
        if isinstance(self._basis, LatticeBasis):
            values = {name: value[0] for name, value in values.items()}
        rank = torch.tensor(float(self._basis.rank), dtype=torch.float64)
        return {**values, "rank": rank, "condition": found.condition}

    def solution(self, state: State, places: list[int] | None = None) -> Solution:
        """Return the fit of the operators at some places of a state: by default those of the action."""
        A, b = averages(state)
        places = self.places(self.operators) if places is None else places
        names = [name for name, members in self.steps.items() for _ in members]
        return solve(A[places][:, places], b[places], self.ridge, [names[place] for place in places])

    def check(self, state: State) -> None:
        """Raise where these samples do not suffice for score matching, or do not allow it (see ``value``)."""
        refuse_unsuited(state, self.geometry.sites)

    def remarks(self, state: State) -> dict[str, float]:
        """Return how many couplings are needed, of how many, and how many directions of them are sloppy.

        Raises:
            TooFewSamplesError: As ``nested_models``.
            FitFailedError: As ``nested_models``.
        """
        found = nested_models(self, state)
        needed = {"couplings needed": found.counts[found.needed - 1], "of": found.counts[-1]}
        return {**needed, "sloppy directions": found.sloppy}

    def objective(self, fitted: State, held_out: State) -> Measurement:
        r"""Return :math:`\langle |\nabla S|^2 / 2 - \Delta S \rangle` of held-out samples under the fitted action S.

        Half the Fisher divergence from the action to the truth, less a constant that no action changes.
        """
        return score_of_parts(self._scores(fitted, held_out, self.operators), None, held_out, self.score_unit)

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the gain of the objective on held-out samples over a null theory, and a test of what is left out.

        The score is the share by which the objective falls below that of the mass alone, 0 where the other couplings
        tell nothing, negative where they mislead; where the mass is all there is, minus the objective itself, whose
        null is the flat density's 0. The p-value is that of the couplings ``tested`` being zero beside those of the
        action; None on a law.

        Raises:
            TooFewSamplesError: If fewer than four independent units are held out.
        """
        scores = self._scores(fitted, held_out, self.operators)
        p_value = wald_p_value(held_out, self.places(self.tested), self.ridge)
        if "mass" in self.operators and len(self.operators) > 1:
            alone = self._scores(fitted, held_out, ("mass",))
            what = "held-out score-matching objective: gain over the mass alone, as a share of it"
            return Goodness(what, score_of_parts(alone - scores, -alone, held_out), p_value)
        what = "held-out score-matching objective: gain over a flat density"
        return Goodness(what, score_of_parts(-scores, None, held_out, self.score_unit), p_value)

    def _scores(self, fitted: State, held_out: State, quantities: tuple[str, ...]) -> Tensor:
        """Return the objective of held-out samples under the fit of some quantities, summed over each part."""
        places = self.places(quantities)
        g = self.solution(fitted, places).couplings
        return objectives(held_out, padded(g, places, held_out["laplacians"].shape[1]))
