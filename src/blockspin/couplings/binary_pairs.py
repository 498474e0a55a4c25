"""Binary pairs: fields of binary units and couplings of given pairs, by pseudo-likelihood from counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.couplings._logistic import fit_logistic
from blockspin.couplings._patterns import MOST_NEIGHBOURS, SitePatterns, counts_of, held_out_score
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ConfigError
from blockspin.observables.base import State
from blockspin.registry import register


@register
@dataclass(frozen=True)
class BinaryPairs(Coupling):
    r"""The pair action of binary units without a lattice, whose coupled pairs are given.

    .. math:: P(s) \propto \exp\Big(\sum_i h_i s_i + \sum_{(i, j)} J_{ij} s_i s_j\Big)

    Maximised is the product over units of their probability given their partners; each pair enters both its units'
    equations with one J. Values are -1 and 1, or 0 and 1 (taken as -1 and 1). One pass counts how often each unit is up
    beside each pattern of its partners, of which it may have 12.

    Quantities: "field" h of the units that have partners, ascending; "pair" J of each pair. In units of k_B T.

    Args:
        sites: Number of units of the field.
        pairs: The pairs that may be coupled. Choose them on other data (``gaussian_precision.strongest_pairs`` on the
            fit half): chosen on the same, the largest are largest by chance.

    Raises:
        ConfigError: If a pair is not of two units, stands twice, or a unit has more than 12 partners.

    Do not trust when:
        Units are coupled that no pair names: the couplings given take over for them. Units seldom change: their fields
        and pairs have large errors or none.

    Source:
        besag1975.
    """

    name = "binary-pairs"
    source = "besag1975"
    units: ClassVar[Mapping[str, str]] = {"field": "1", "pair": "1"}
    left_out: ClassVar[tuple[str, ...]] = ("pairs that are not given", "couplings of three and more units")
    given: ClassVar[tuple[str, ...]] = ("sites", "pairs")
    sites: int = 2
    pairs: tuple[tuple[int, int], ...] = ((0, 1),)

    def __post_init__(self):
        seen = set()
        for i, j in self.pairs:
            if not (0 <= i < self.sites and 0 <= j < self.sites and i != j) or frozenset((i, j)) in seen:
                raise ConfigError("pairs", (i, j), f"two of the units 0 to {self.sites - 1}, each two once.")
            seen.add(frozenset((i, j)))
        if not self.pairs:
            raise ConfigError("pairs", self.pairs, "at least one pair.")
        most = max(map(len, self.stars)) - 1
        if most > MOST_NEIGHBOURS:
            raise ConfigError(
                "pairs", f"{most} partners of one unit", f"at most {MOST_NEIGHBOURS}, so that counts fit."
            )

    @property
    def stars(self) -> tuple[tuple[int, ...], ...]:
        """Each unit that has partners, followed by them."""
        partners: dict[int, list[int]] = {}
        for i, j in self.pairs:
            partners.setdefault(i, []).append(j)
            partners.setdefault(j, []).append(i)
        return tuple((site, *partners[site]) for site in sorted(partners))

    @property
    def monoid(self) -> SitePatterns:
        """Counts of patterns around each unit."""
        return SitePatterns(self.sites, self.stars)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return fields and couplings.

        Raises:
            TooFewSamplesError: If there is no sample.
            ShapeError: If the field is not binary.
            FitFailedError: If the counts do not determine them: a unit never changes, or follows its partners always.
        """
        g = fit_logistic(self._columns(), counts_of(state))
        return {"field": g[: len(self.stars)], "pair": g[len(self.stars) :]}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the held-out log-pseudo-likelihood a unit, its error from 20 blocks of the held-out samples' units.

        Raises:
            TooFewSamplesError: If the held-out samples' units do not fill 20 blocks.
        """
        X, g = self._columns(), fit_logistic(self._columns(), counts_of(fitted))
        return Goodness("held-out log-pseudo-likelihood a unit", held_out_score(X, g, held_out))

    def _columns(self) -> Tensor:
        """Return what multiplies each unit beside each pattern of its partners, float64 [all patterns, couplings]."""
        number = {frozenset(pair): k for k, pair in enumerate(self.pairs)}
        parts = []
        for row, (site, *partners) in enumerate(self.stars):
            code = torch.arange(2 ** len(partners))
            X = torch.zeros(len(code), len(self.stars) + len(self.pairs), dtype=torch.float64)
            X[:, row] = 1.0
            for k, partner in enumerate(partners):
                X[:, len(self.stars) + number[frozenset((site, partner))]] = 2.0 * ((code >> k) & 1) - 1
            parts.append(X)
        return torch.cat(parts)
