"""Gram: the spectrum of the centred kernel between samples, and its effective rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.observables._rows import OfRows, check_units, check_varies
from blockspin.observables.base import State, gram_of
from blockspin.registry import register

LEADING = 32
"""How many eigenvalues are reported."""


def centred_gram(values: Tensor) -> Tensor:
    """Return the centred linear kernel of a field [n, ...] divided by its Frobenius norm, float64 [n, n].

    Raises:
        ConstantUnitsError: If the field does not vary.
    """
    K = gram_of(values)
    norm = K.norm()
    check_varies(norm)
    return K / norm


@register
@dataclass(frozen=True)
class Gram(OfRows):
    r"""Spectrum of the kernel between samples, on at most ``limit`` units drawn by hash.

    Quantities: "spectrum" [32], the leading eigenvalues as shares of their sum, padded with zeros; "effective_rank",
    :math:`\exp(-\sum_k p_k \ln p_k)` of all shares. Both are those of this many units: noise of high dimension has an
    effective rank that grows with the number of rows, so compare only equal numbers.

    Args:
        limit: Most units that are kept.

    Do not trust when:
        Numbers of different counts of units are compared, or units are fewer than some ten times the directions that
        matter: sample eigenvalues are then spread too far (marchenko1967).

    Source:
        roy2007.
    """

    name = "gram"
    source = "roy2007"
    units = {"spectrum": "1", "effective_rank": "1"}

    def value(self, state: State) -> dict[str, Tensor]:
        """Diagonalise.

        Raises:
            TooFewSamplesError: If there are fewer than two units.
            ConstantUnitsError: If the field does not vary.
        """
        check_units(state)
        weights = (state["weights"] / state["weights"].mean()).sqrt()[:, None]
        x = state["first"].to(torch.float64)
        x = (x - (state["weights"] @ x) / state["weights"].sum()) * weights
        shares = torch.linalg.eigvalsh(x @ x.T if len(x) <= x.shape[1] else x.T @ x).flip(0).clamp(min=0)
        check_varies(shares.sum())
        shares = shares / shares.sum()
        leading = torch.zeros(LEADING, dtype=torch.float64)
        leading[: len(shares)] = shares[:LEADING]
        return {"spectrum": leading, "effective_rank": torch.special.entr(shares).sum().exp()}
