"""Graph: which features are coupled, chosen on one half of the data and measured on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import false_discovery_control
from scipy.stats import t as student
from torch import Tensor

from blockspin.engine.errorbars import jackknife
from blockspin.interventions.features import SUPPORT
from blockspin.interventions.shifts import Hop
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, State
from blockspin.observables.covariance import Moments, estimated

WITHIN, ACROSS = "within", "across"
"""Edges among the features of one place, and from those of one place to those of a later one."""


@dataclass(frozen=True)
class FeatureCouplings(Estimator):
    r"""The couplings of the Gaussian theory of features at two places, each in units of its own standard deviation.

    With the precision :math:`A = C^{-1}` of the features x of the first place,

    .. math:: -\frac{A_{ij}}{\sqrt{A_{ii} A_{jj}}}, \qquad
        B = -A_{yy}^{-1} A_{yx} = C_{yx} C_{xx}^{-1}

    the partial correlations within it, and the answer of the features y of the second to those of the first, given all
    the others of the first; the second A is that of x and y together.

    Quantities: "within" [k, k] with zeros on the diagonal, "across" [k, k'], from feature to feature.

    Args:
        given: k, how many features the first place has.
        answering: k', how many the second has; both are the last of the field.

    Do not trust when:
        Features that are not given act on the given ones: edges then stand for them too. The relation is far from
        linear and the features far from Gaussian.

    Source:
        dempster1972.
    """

    name = "feature-couplings"
    source = "dempster1972"
    units = {WITHIN: "1", ACROSS: "1"}
    given: int
    answering: int

    @property
    def monoid(self) -> Moments:
        """Second moments."""
        return Moments()

    def value(self, state: State) -> dict[str, Tensor]:
        """Invert, and bring to unit variance.

        Raises:
            TooFewSamplesError: If there are fewer than two samples.
        """
        C = estimated(state)[-self.given - self.answering :, -self.given - self.answering :]
        k, deviation = self.given, C.diagonal().clamp(min=0).sqrt()
        A = inverse(C[:k, :k])
        root = A.diagonal().clamp(min=torch.finfo(A.dtype).tiny).sqrt()
        partial = -A / torch.outer(root, root)
        answers = A @ C[:k, k:] * deviation[:k, None] / deviation[k:].clamp(min=torch.finfo(A.dtype).tiny)
        return {WITHIN: partial.fill_diagonal_(0.0), ACROSS: answers}


def inverse(C: Tensor) -> Tensor:
    """Return the inverse of a covariance where features vary, each by the measure of its own variance, 0 elsewhere."""
    root = C.diagonal().clamp(min=0).sqrt()
    scale = torch.where(root > SUPPORT * root.max(), 1 / root, 0.0)
    return scale[:, None] * torch.linalg.pinv(C * torch.outer(scale, scale), rtol=SUPPORT, hermitian=True) * scale


@dataclass(frozen=True, eq=False)
class Edge:
    """A coupling that was chosen on one half of the units and measured on the other.

    Args:
        kind: "within" a place, or "across" from it to the next.
        source: Layer and feature that it leads from.
        target: Layer and feature that it leads to; edges within a place have no direction.
        p_value: On the half that chose it.
        coupling: On the other half, in standard deviations of the one per standard deviation of the other.
    """

    kind: str
    source: tuple[str, str]
    target: tuple[str, str]
    p_value: float
    coupling: Measurement

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "kind": self.kind,
            "from": list(self.source),
            "to": list(self.target),
            "p_value": self.p_value,
            "coupling": self.coupling.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class CouplingGraph:
    """The edges between features.

    Args:
        edges: Those that are there, by strength within each hop.
        looks: How many there could be.
        level: The share of false ones among them that was aimed at.
    """

    edges: tuple[Edge, ...]
    looks: int
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"level": self.level, "looks": self.looks, "edges": [edge.to_dict() for edge in self.edges]}


def coupling_graph(
    hops: Sequence[Hop],
    choosing: Mapping[str, Sequence[State]],
    measuring: Mapping[str, Sequence[State]],
    level: float = 0.05,
) -> CouplingGraph:
    """Return the edges among given features, at a rate of false discoveries, with their strengths on other units.

    Every coupling is held against zero by its jackknife error; all places and hops together are corrected for their
    number, so that at most ``level`` of the edges are expected to be false where the tests do not depend on each other
    negatively.

    Args:
        hops: The places and their features.
        choosing: By hop, the states of ``Moments`` of the groups of units that choose edges.
        measuring: The same of the groups that measure them.
        level: Expected share of false edges.

    Raises:
        TooFewSamplesError: If a group is empty.

    Source:
        benjamini1995.
    """
    rows = [row for hop in hops for row in _candidates(hop, choosing[hop.name], measuring[hop.name])]
    adjusted = false_discovery_control([edge.p_value for edge in rows]) if rows else []
    kept = [edge for edge, p in zip(rows, adjusted, strict=True) if p <= level]
    places = list(dict.fromkeys(edge.source[0] for edge in rows))
    kept.sort(key=lambda edge: (places.index(edge.source[0]), edge.kind, -abs(float(edge.coupling.value))))
    return CouplingGraph(tuple(kept), len(rows), level)


def _candidates(hop: Hop, choosing: Sequence[State], measuring: Sequence[State]) -> list[Edge]:
    estimator = FeatureCouplings(len(hop.given), len(hop.answering))
    chosen, measured = jackknife(estimator, choosing), jackknife(estimator, measuring)
    ends = {WITHIN: (hop.source, hop.given), ACROSS: (hop.target, hop.answering)}
    rows = []
    for kind, (layer, features) in ends.items():
        chances = p_values(chosen[kind])
        found = measured[kind]
        for i, name in enumerate(hop.given.names):
            for j in range(i + 1 if kind == WITHIN else 0, len(features)):
                one = Measurement(found.value[i, j], found.error[i, j], found.unit, found.n_eff, found.how, found.dof)
                ends_of = (hop.source, name), (layer, features.names[j])
                rows.append(Edge(kind, *ends_of, float(chances[i, j]), one))
    return rows


def p_values(found: Measurement) -> np.ndarray:
    """Return the two-sided chance of each value of an array if it were zero; 1 where it has no error."""
    error = np.asarray(found.error)
    usable = np.isfinite(error) & (error > 0)
    z = np.abs(np.divide(found.value, error, out=np.zeros_like(error), where=usable))
    return np.where(usable, 2 * student.sf(z, found.dof), 1.0)
