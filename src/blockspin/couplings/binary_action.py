"""Binary action: field, pair and four-body couplings of spins on a lattice, by pseudo-likelihood from counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from blockspin.couplings._interactions import Interactions, Offset, displacements, seen_from_a_site
from blockspin.couplings._logistic import extra_p_value, fit_logistic
from blockspin.couplings._operators import Pattern, operator_patterns
from blockspin.couplings._patterns import MOST_NEIGHBOURS, GridPatterns, counts_of, filled_blocks, held_out_score
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ConfigError, FitFailedError, GeometryError
from blockspin.geometry import Geometry, Grid
from blockspin.observables.base import State, is_law
from blockspin.registry import register

FOUR = {1: "four in a row", 2: "plaquette", 3: "plaquette"}
"""The four-body operator in each number of dimensions."""
SEARCHED = 4
"""How many further distances are looked at for operators to test the fit with."""


@register
@dataclass(frozen=True)
class BinaryAction(Coupling):
    r"""The couplings of an Ising action with field, pairs at several distances and four-body products.

    .. math:: P(s) \propto \exp\Big(h \sum_i s_i + \sum_r K_r \sum_{|i - j| = r} s_i s_j +
        K_4 \sum_\square s s s s\Big)

    Maximised is the pseudo-likelihood, the product over spins of their probability given all others, for which Z is
    not needed. It depends on how often a spin is up beside each pattern of its neighbours: one pass counts them where
    there are at most 12; for more, ``binary_passes.fit_in_passes`` reads the data several times. Values are -1 and 1,
    or 0 and 1 (taken as -1 and 1). Exact where the action holds; consistent, with a larger error than likelihood.

    Quantities: "field" h; "pair" [reach] K_r at the first, second, ... nearest distance (``directed``: one a
    displacement, in the order of ``names``), summed over sites, so that two spins joined both ways around a small
    periodic lattice have two bonds; "four" K_4, the plaquette (on a chain, four in a row). In units of k_B T.

    Args:
        geometry: The lattice, of one to three dimensions. At open edges spins that lack a neighbour are not fitted.
        reach: Number of distances with a pair coupling.
        directed: One pair coupling a displacement, for lattices whose directions differ.
        four: Whether there is a four-body coupling.
        magnetic: Whether there is a field; without one the action is even.

    Raises:
        ConfigError: If an option cannot be used.
        GeometryError: If sites are not on a lattice; for given pairs of any sites there is binary-pairs.

    Do not trust when:
        "p_value" of the goodness where units are a few hundred or fewer, or neighbouring stretches of a chain are far
        from independent. Spins that seldom move (deep in an ordered phase) give large errors or none.

    Source:
        besag1975.
    """

    name = "binary-action"
    source = "besag1975"
    units: ClassVar[Mapping[str, str]] = {"field": "1", "pair": "1", "four": "1"}
    left_out: ClassVar[tuple[str, ...]] = ("couplings of longer range or of more spins than those given",)
    given: ClassVar[tuple[str, ...]] = ("geometry",)
    geometry: Geometry = Grid((32, 32))
    reach: int = 1
    directed: bool = False
    four: bool = False
    magnetic: bool = True

    def __post_init__(self):
        if not isinstance(self.geometry, Grid) or len(self.geometry.shape) not in FOUR:
            raise GeometryError(
                f"{type(self.geometry).__name__} is not a lattice of one to three dimensions",
                "Spins without a lattice have couplings of given pairs: binary-pairs.",
            )
        classes = len(displacements(self.geometry, self.reach)) if self.reach > 0 else 0
        if self.reach < 1 or classes < self.reach:
            raise ConfigError("reach", self.reach, "a whole number of at least 1, within the lattice.")
        self.interactions()  # meets what the lattice is too small for

    @property
    def lattice(self) -> Grid:
        """The lattice."""
        assert isinstance(self.geometry, Grid)
        return self.geometry

    @property
    def names(self) -> tuple[str, ...]:
        """The couplings in words, in order: those of the theory alone."""
        return tuple(self._operators())

    @property
    def tested(self) -> tuple[str, ...]:
        """The further couplings that ``goodness`` tests: those that share the counted neighbourhood."""
        return tuple(self._further())

    @property
    def monoid(self) -> GridPatterns:
        """Counts of patterns.

        Raises:
            ConfigError: If a spin has more than 12 neighbours.
        """
        neighbours = self.interactions(tested=True).neighbours
        if len(neighbours) > MOST_NEIGHBOURS:
            raise ConfigError(
                "reach",
                self.reach,
                f"couplings between at most {MOST_NEIGHBOURS} neighbours of a spin, not {len(neighbours)}, in one "
                "pass; binary_passes.fit_in_passes reads the data several times.",
            )
        return GridPatterns(self.lattice, neighbours)

    def interactions(self, *, tested: bool = False) -> Interactions:
        """Return what a spin sees of the couplings, and of the tested ones after them."""
        operators = self._operators()
        return seen_from_a_site({**operators, **self._further()} if tested else operators, self.lattice)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the couplings.

        Raises:
            TooFewSamplesError: If there is no sample.
            ShapeError: If the field is not binary.
            FitFailedError: If the counts do not determine them.
        """
        return self.named(fit_logistic(self._columns(), counts_of(state)))

    def named(self, couplings: Tensor) -> dict[str, Tensor]:
        """Return couplings [..., in the order of ``names``] by quantity."""
        first, last = int(self.magnetic), len(self.names) - int(self.four)
        found = {"field": couplings[..., 0]} if self.magnetic else {}
        found["pair"] = couplings[..., first:last]
        return found | ({"four": couplings[..., -1]} if self.four else {})

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the held-out log-pseudo-likelihood a spin, and a p-value of the couplings that are left out.

        The p-value is Wald's for the ``tested`` couplings in the held-out part, the theory's own fitted beside them,
        with the covariance of 20 blocks of units; None on a law, where there is none to test, or where the counts do
        not determine them. The error of the score is that of the blocks, at the fitted couplings.

        Raises:
            TooFewSamplesError: If the held-out units do not fill 20 blocks.
        """
        X, g = self._columns(), fit_logistic(self._columns(), counts_of(fitted))
        score = held_out_score(X, g, held_out)
        return Goodness("held-out log-pseudo-likelihood a spin", score, self._p_value(held_out))

    def _p_value(self, held_out: State) -> float | None:
        if not self.tested or is_law(held_out):
            return None
        X, blocks = self.interactions(tested=True).of_patterns(), filled_blocks(held_out)
        try:
            return extra_p_value(X, blocks, len(self.names))
        except FitFailedError:
            return None

    def _columns(self) -> Tensor:
        return self.interactions(tested=True).of_patterns()[:, : len(self.names)]

    def _operators(self) -> dict[str, tuple[Pattern, ...]]:
        dimension = self.lattice.dimension
        origin = (0,) * dimension
        found: dict[str, tuple[Pattern, ...]] = {"field": ((origin,),)} if self.magnetic else {}
        for distance, steps in displacements(self.lattice, self.reach):
            found |= _pairs(origin, distance, steps, self.directed)
        return found | ({FOUR[dimension]: operator_patterns(dimension, FOUR[dimension])} if self.four else {})

    def _further(self) -> dict[str, tuple[Pattern, ...]]:
        """Return the pairs at the next distance, and the four-body product, as far as 12 neighbours hold them."""
        dimension, origin = self.lattice.dimension, (0,) * self.lattice.dimension
        candidates = [
            _pairs(origin, distance, steps, False)
            for distance, steps in displacements(self.lattice, self.reach + SEARCHED)[self.reach :]
        ]
        four = {} if self.four else {FOUR[dimension]: operator_patterns(dimension, FOUR[dimension])}
        operators = self._operators()
        found: dict[str, tuple[Pattern, ...]] = {}
        for candidate in [*candidates, four]:
            is_pair = candidate is not four
            if not candidate or (is_pair and found) or not self._holds({**operators, **found, **candidate}):
                continue
            found |= candidate
        return found

    def _holds(self, operators: dict[str, tuple[Pattern, ...]]) -> bool:
        try:
            return len(seen_from_a_site(operators, self.lattice).neighbours) <= MOST_NEIGHBOURS
        except ConfigError:
            return False


def _pairs(origin: Offset, distance: float, steps: list[Offset], directed: bool) -> dict[str, tuple[Pattern, ...]]:
    if directed:
        return {f"pairs along {step}": ((origin, step),) for step in steps}
    return {f"pairs at distance {distance:.4g}": tuple((origin, step) for step in steps)}
