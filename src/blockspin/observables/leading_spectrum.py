"""Leading spectrum: the largest eigenvalues of the kernel between many samples, which is never made."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.observables._blocks import centred, leading_eigenvalues, squared_norm
from blockspin.observables._rows import OfRows, check_equal_weights, check_units, check_varies
from blockspin.observables.base import State
from blockspin.registry import register


@register
@dataclass(frozen=True)
class LeadingSpectrum(OfRows):
    r"""Largest eigenvalues of the centred linear kernel K between samples, of more of them than ``gram`` can take.

    Quantities: "spectrum" [count], eigenvalues as shares of :math:`\operatorname{tr} K`, padded with zeros;
    "participation_ratio", :math:`(\operatorname{tr} K)^2 / \operatorname{tr} K^2`, of all eigenvalues. The kernel acts
    through the field (Lanczos' iteration), and :math:`\operatorname{tr} K^2` is summed by blocks of its rows or through
    its dual, so that memory is that of the units kept: 8 bytes times units times sites, several times over.

    Args:
        limit: Most units that are kept.
        count: How many eigenvalues.

    Do not trust when:
        Units are fewer than some ten times the directions that matter: sample eigenvalues are then spread too far
        (marchenko1967). Compare only equal numbers of units.

    Source:
        lanczos1950.
    """

    name = "leading-spectrum"
    source = "lanczos1950"
    units = {"spectrum": "1", "participation_ratio": "1"}
    limit: int = 20_000
    count: int = 16

    def value(self, state: State) -> dict[str, Tensor]:
        """Iterate.

        Raises:
            TooFewSamplesError: If there are fewer than two units.
            ConstantUnitsError: If the field does not vary.
            FitFailedError: If samples are weighted.
        """
        check_units(state)
        check_equal_weights(state)
        x = centred(state["first"])
        trace = x.square().sum()
        check_varies(trace)
        leading = leading_eigenvalues(x, self.count, generator=torch.Generator().manual_seed(0))
        return {"spectrum": leading / trace, "participation_ratio": trace.square() / squared_norm(x)}
