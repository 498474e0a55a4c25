"""Relevance: the bottleneck keeps the spin, then the energy, at thresholds that the scaling dimensions give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import torch

from blockspin.registry import register
from blockspin.schemes._blahut_arimoto import bottleneck, relevance_spectrum, tilted
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import information_bottleneck as theory
from blockspin.theory import kaufman

LENGTH, SEPARATION = 8, 4
ROUNDING = 1e-8
"""1 / s^2 of singular values down to 0.04 of a matrix of 256 rows: rounding times its size over s^2."""


@register
@dataclass(frozen=True)
class RelevanceTether(Tether):
    """Find thresholds by singular values of a table of two rows, and iterate the bottleneck on both sides of one."""

    name = "relevance"
    system = "information bottleneck of two rows of a critical Ising cylinder"
    source = "gordon2021"
    schemes = ("iterative-bottleneck",)

    def rows(self) -> Iterator[Row]:
        """Yield thresholds, information kept below and above the first, and the direction of the first encoder."""
        joint = torch.from_numpy(theory.cylinder_joint(LENGTH, SEPARATION, kaufman.CRITICAL_COUPLING))
        s, functions = relevance_spectrum(joint)
        expected = theory.cylinder_thresholds(LENGTH, SEPARATION)
        for k, (name, printed) in enumerate((("spin", 2.204881), ("energy", 494.7005))):
            beta = float(s[k] ** -2)
            yield exact(f"beta of the {name} against its scaling dimension", expected[k], beta, ROUNDING * expected[k])
            yield exact(f"beta of the {name} as tabulated elsewhere", printed, beta, 1e-5 * printed)
        for share, kept, tolerance in ((0.9, 0.0, 1e-9), (0.98, 0.0, 1e-9), (1.02, 0.0635, 5e-5), (1.1, 0.2614, 5e-5)):
            found = bottleneck(joint, share * float(s[0] ** -2), tilted(functions[:, 0], 0.5))
            quantity = f"I(T : X) at {share} of the first threshold, two clusters"
            yield exact(quantity, kept, found.kept / log(2), tolerance, "bits")
        logit = (found.encoder[:, 1] / found.encoder[:, 0]).log()
        both = torch.corrcoef(torch.stack([logit, functions[:, 0]]))
        yield exact("correlation of the encoder's logit with the spin operator", 1.0, float(both[0, 1].abs()), 1e-6)
