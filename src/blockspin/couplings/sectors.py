"""Sectors: how strongly groups of sites couple within themselves and across, and which groups the couplings make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import inf, sqrt
from typing import ClassVar

import torch
from scipy.stats import norm
from torch import Tensor

from blockspin.couplings._halves import HalfMoments, both_halves, two_estimates
from blockspin.couplings._sector_frame import (
    SectorFrame,
    SectorMoments,
    blocks_of,
    found_in,
    frame_for,
    half_to_find_on,
    parts_of,
)
from blockspin.couplings._sector_strengths import (
    overall_strengths,
    partial_correlations,
    samples_of,
    sector_strengths,
)
from blockspin.couplings.base import Coupling, Finding, Goodness
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, ShapeError, TooFewSamplesError, check_between
from blockspin.measurement import Measurement
from blockspin.observables.base import State, is_law
from blockspin.registry import register

ROUNDING = 1e-9
"""Partial correlations of a law below this are rounding."""
PARTS, FOUND = "parts", "found"


@register
@dataclass(frozen=True)
class Sectors(Coupling):
    r"""Strength of the pair couplings within groups of sites and between them.

    The coupling of two sites is their correlation at given values of all others, :math:`r_{ij} = -A_{ij} / \sqrt{A_{ii}
    A_{jj}}` with A the inverse covariance. Strengths are means of its square over pairs, estimated as the product of
    two estimates from either half of the units, which share no noise: zero on average, of either sign, where there is
    no coupling, whatever the law of the field. There its error is too large by about the root of two, as the
    jackknife's is for products of two numbers without mean.

    .. math:: S_{ab} = \frac{1}{|a||b|} \sum_{i \in a, j \in b} r^{(1)}_{ij} r^{(2)}_{ij}

    Quantities: "within" [sectors], over the pairs of a sector (0 for one of a single site); "cross" [pairs of sectors],
    in the order of ``pairs``; of three sectors and more also "outside" [sectors], the mean of a sector's "cross", and
    "mean_within" and "mean_cross", over all pairs of sites. Along modes of sectors (see ``on``) nothing is within:
    modes of a sector are those without correlation. Of sectors that were found, which are others at every scale, there
    are the two means alone. ``goodness`` tests whether there is any coupling across.

    Args:
        labels: The sector of each site (of flattened components), numbered from 0: modules, heads, or what
            ``find_sectors`` makes of other samples; with a frame, of each of its directions. Classes of the data are
            no sectors: a class is a part of the samples, and a run measures every coupling on each of them.
        names: Of the sectors, for reports; their numbers where there are none.
        frame: What is read of a field, by ``on``; None for all its sites.

    Raises:
        ConfigError: If sectors are not numbered from 0 without gaps, or are fewer than two, or names are not as many.

    Do not trust when:
        "within" and "cross" where each half hardly outnumbers the sites. The p-value takes samples as independent;
        where those of a unit are not, go by the errors of "cross". A common cause (the input, which all heads read)
        couples sectors as an exchange between them does: compare with the untrained network and shuffled sites.

    Source:
        dempster1972 for partial correlations, hotelling1936 for what is tested.
    """

    name = "sectors"
    source = "dempster1972"
    units: ClassVar[Mapping[str, str]] = dict.fromkeys(("mean_within", "mean_cross", "within", "outside", "cross"), "1")
    left_out: ClassVar[tuple[str, ...]] = ("couplings of three and more sites",)
    given: ClassVar[tuple[str, ...]] = ("labels",)
    followed: ClassVar[int] = 200
    finding: ClassVar[Finding | None] = Finding("coupled across", "sectors are coupled", "no coupling across sectors")
    labels: tuple[int, ...] = (0, 1)
    names: tuple[str, ...] = ()
    frame: SectorFrame | None = None

    def __post_init__(self):
        known = sorted(set(self.labels))
        if known != list(range(len(known))) or len(known) < 2:
            raise ConfigError("labels", self.labels, "two or more sectors, numbered from 0 without gaps.")
        if len(self.names) not in (0, len(known)) or any(set(str(name)) & set("[,]") for name in self.names):
            raise ConfigError(
                "names", self.names, f"one for each of {len(known)} sectors, without commas and brackets."
            )

    @classmethod
    def on(
        cls,
        source: Ensemble,
        *,
        labels: tuple[int, ...] = (),
        names: tuple[str, ...] = (),
        blocks: int = 0,
        by: str = "",
        modes: int = 0,
    ) -> Sectors:
        """Return the coupling for a field: of the parts that it is known to have unless something else is said.

        Where samples are fewer than three for each direction of the field, or a sector varies in fewer directions than
        it has sites, sectors are read along as many leading principal modes as samples allow, the same number of each:
        what is coupled beyond them is not seen. Sites that stand still are left out.

        Args:
            source: Samples of the field; hand the same ones to ``monoid``.
            labels: The sector of each site (of flattened components).
            names: Of the sectors.
            blocks: Number of equal stretches of sites side by side that are the sectors.
            by: "parts" for those that the field is known to have (heads, layers read side by side), "found" for sectors
                found on half of the units (``find_sectors``), which are not measured again.
            modes: Leading principal modes of each sector that are read at most; 0 for all sites where samples allow.

        Raises:
            ConfigError: If an option cannot be used, or two say what sectors are.
            GeometryError: If nothing says what sectors are.
            NothingFoundError: If one sector was found.
            TooFewSamplesError: If there are too few samples.
            ConstantUnitsError: If a sector does not vary.
            ShapeError: If the field has another number of sites than labels.
        """
        said = {"labels": labels, "blocks": blocks, "by": by}
        if len(told := [key for key, value in said.items() if value]) > 1:
            raise ConfigError(told[1], said[told[1]], f"either this or {told[0]}, which says what sectors are too.")
        if by not in ("", PARTS, FOUND) or modes < 0:
            field = "modes" if modes < 0 else "by"
            raise ConfigError(field, modes if modes < 0 else by, f"{PARTS} or {FOUND}; modes 0 or more.")
        if by == FOUND:
            if modes or names:
                raise ConfigError("by", by, f"{FOUND} without modes and names: sectors are found among sites.")
            read, found = found_in(half_to_find_on(source), find_sectors)
            return cls(found, (), read)
        if labels:
            asked = cls(tuple(labels), tuple(names))
        else:
            sectors, known = blocks_of(source, blocks) if blocks else parts_of(source)
            asked = cls(sectors, tuple(names) or known)
        frame, kept = frame_for(source, asked.labels, asked.called, modes)
        return asked if frame is None else replace(asked, labels=kept, frame=frame)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs of sectors, in the order of "cross"."""
        return tuple(combinations(range(max(self.labels) + 1), 2))

    @property
    def called(self) -> tuple[str, ...]:
        """The names of the sectors, or their numbers."""
        return self.names or tuple(map(str, range(max(self.labels) + 1)))

    @property
    def entries(self) -> Mapping[str, Sequence[str]]:
        """The names of the sectors, and of their pairs."""
        called = self.called
        return {"within": called, "outside": called, "cross": [f"{called[a]}, {called[b]}" for a, b in self.pairs]}

    @property
    def monoid(self) -> HalfMoments:
        """Second moments of either half of the units, of what is read of them."""
        return HalfMoments() if self.frame is None else SectorMoments(self.frame)

    def remarks(self, state: State) -> Mapping[str, float]:
        """Return how many sectors there are, how large the largest is, and what modes leave of the variance."""
        sizes = torch.bincount(torch.tensor(self.labels))
        found = {"sectors": float(len(sizes))}
        if self.frame is None or not self.frame.mixed:
            return found | {"sites of the largest": float(sizes.max())}
        return found | {"most modes of a sector": float(sizes.max()), "least share of its variance": self.frame.share}

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the strengths.

        Raises:
            TooFewSamplesError: If a half does not outnumber the sites.
            ConstantUnitsError: If a site does not vary, or sites obey a linear relation.
            ShapeError: If the field has another number of sites than labels.
        """
        one, two = (partial_correlations(half) for half in two_estimates(state))
        self._check(one)
        if self.frame is not None and len(self.frame.seen):
            return overall_strengths(one, two, self.labels)
        found = sector_strengths(one, two, self.labels)
        if len(self.called) > 2:
            found = overall_strengths(one, two, self.labels) | found | {"outside": self._outside(found["cross"])}
        if self.frame is not None and self.frame.mixed:
            return {key: strength for key, strength in found.items() if "within" not in key}
        return found

    def _outside(self, cross: Tensor) -> Tensor:
        """Return the mean of each sector's couplings to the others, from those of all pairs."""
        count, (first, second) = len(self.called), torch.tensor(self.pairs).T
        matrix = torch.zeros(count, count, dtype=torch.float64)
        matrix[first, second] = matrix[second, first] = cross
        return matrix.sum(1) / (count - 1)

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the cross-correlation of the sectors along the directions in which the fitted part has it, and p.

        Both parts' sectors are made white; with M the fitted cross-correlations between different sectors and m the
        held-out ones, the score is tr(M m) / |M|. If sectors are independent, of whatever law, its variance is 1 / n;
        the p-value is one-sided: large where sectors are coupled. A small p-value speaks against separate sectors.

        Raises:
            TooFewSamplesError: If a part does not outnumber the sites.
        """
        first, second = both_halves(fitted), both_halves(held_out)
        self._check(first["scatter"])
        kernel = _fitted_directions(first, self.labels)
        C, n = second["scatter"] / second["weight"], samples_of(second)
        inside = _block_diagonal(C, self.labels)
        spread = float((kernel @ inside @ kernel * inside).sum())
        score = float((kernel * C).sum()) / sqrt(2 * spread)  # either sum has each pair of sectors twice
        if is_law(second):
            return Goodness("correlation across sectors", Measurement(score, 0.0))
        measured = Measurement(score, 1 / sqrt(n), "1", n, "held-out samples, sectors independent")
        return Goodness(
            "held-out correlation across sectors, p if there were none", measured, float(norm.sf(score * sqrt(n)))
        )

    def _check(self, matrix: Tensor) -> None:
        if len(matrix) != len(self.labels):
            raise ShapeError(f"{len(self.labels)} labels do not fit {len(matrix)} sites and components")


def find_sectors(state: State, level: float = 0.05) -> tuple[int, ...]:
    """Return the sector of each site: what is connected by couplings that chance does not explain.

    A pair is connected where Fisher's z of its partial correlation is beyond the level shared out among all pairs, so
    that independent sectors of a Gaussian field are joined by chance with probability ``level`` at most. Measure
    (``Sectors``) on other samples than those that sectors were found on. A sector whose couplings are weak at this
    number of samples falls apart.

    Args:
        state: A state of the monoid of ``Sectors``.
        level: Probability of joining independent sectors.

    Raises:
        ConfigError: If the level is no probability.
        TooFewSamplesError: If samples hardly outnumber the sites.
        ConstantUnitsError: If a site does not vary.

    Source:
        dempster1972.
    """
    from scipy.sparse.csgraph import connected_components

    check_between("level", level, 0, 1)
    moments = both_halves(state)
    partial = partial_correlations(moments)
    sites = len(partial)
    freedom = samples_of(moments) - sites - 1  # n - 3 less the D - 2 sites that are held fixed
    if freedom < 1:
        raise TooFewSamplesError("samples hardly outnumber the sites", "Give more samples.")
    z = torch.atanh(partial.fill_diagonal_(0).clamp(-1 + 1e-15, 1 - 1e-15)).abs()
    threshold = ROUNDING if freedom == inf else float(norm.isf(level / (sites * (sites - 1)))) / sqrt(freedom)
    return tuple(int(label) for label in connected_components((z > threshold).numpy(), directed=False)[1])


def _block_diagonal(C: Tensor, labels: tuple[int, ...]) -> Tensor:
    label = torch.tensor(labels)
    return torch.where(label[:, None] == label[None], C, 0.0)


def _fitted_directions(moments: State, labels: tuple[int, ...]) -> Tensor:
    """Return the form x^t K y whose mean is largest if sectors are correlated as in these moments [D, D]."""
    partial_correlations(moments)  # meets what has no inverse
    C = moments["scatter"] / moments["weight"]
    inside = _block_diagonal(C, labels)
    inverse = torch.linalg.inv(inside)
    return inverse @ (C - inside) @ inverse
