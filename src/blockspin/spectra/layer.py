"""Layer: the spectrum of one weight matrix, its power-law tail, and the edge that noise of its size would have."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blockspin.answer import Verdict
from blockspin.couplings.power_law import Demands, Tail, find_tail, weigh
from blockspin.errors import ConstantUnitsError, NonFiniteError, ShapeError
from blockspin.measurement import Measurement
from blockspin.spectra.surrogate import PILOTS, SurrogateTest, non_zero, surrogate_test

LEAST = 8
"""Fewest eigenvalues that a tail is sought in."""
ROWS, BLOCK = 1024, 96
"""Rows and columns of one product."""
TRACY_WIDOM = 2.0234
"""The 99 % quantile of the Tracy-Widom law for real matrices."""
SPECTRAL_DEMANDS = Demands(count=20)
"""What the tail of a spectrum must have: eigenvalues repel, so that fewer of them fix a curve."""


@dataclass(frozen=True, eq=False)
class LayerSpectrum:
    """The spectrum of one weight W and what it says of a power law.

    Args:
        name: Path of the weight.
        shape: Of W as a matrix.
        eigenvalues: Of W^T W (squared singular values), falling, float64, without those that are zero but for rounding.
        zeros: How many were: eigenvalues below rows * 2.2e-16 of the largest.
        frobenius: Sum of all eigenvalues.
        noise_edge: Where the largest eigenvalue stays with 99 % if W's entries were independent and as large.
        beyond_edge: Eigenvalues above that.
        tail: The power law of least distance, or None where there are too few eigenvalues.
        alpha: Its exponent; the error is the spread over surrogates where they were drawn, else the textbook one.
        surrogates: The test against random matrices, where it was asked for.
        verdict: Power law, none, or cannot tell.
        reasons: Why.
    """

    name: str
    shape: tuple[int, int]
    eigenvalues: np.ndarray
    zeros: int
    frobenius: float
    noise_edge: float
    beyond_edge: int
    tail: Tail | None
    alpha: Measurement | None = None
    surrogates: SurrogateTest | None = None
    verdict: Verdict = Verdict.CANNOT_TELL
    reasons: tuple[str, ...] = field(default=())

    @property
    def spectral_norm(self) -> float:
        """The largest singular value."""
        return sqrt(float(self.eigenvalues[0]))

    @property
    def stable_rank(self) -> float:
        """Squared Frobenius norm over squared spectral norm, between 1 and the rank."""
        return self.frobenius / float(self.eigenvalues[0])

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers (not the eigenvalues) as plain values, None where there is none."""
        tail, test = self.tail, self.surrogates
        return {
            "name": self.name,
            "shape": list(self.shape),
            "alpha": tail and tail.alpha,
            "error": self.alpha and self.alpha.error,
            "x_min": tail and tail.x_min,
            "tail": tail and tail.count,
            "decades": tail and tail.decades,
            "distance": tail and tail.distance,
            "p_value": test and test.p_value,
            "verdict": self.verdict.value,
            "stable_rank": self.stable_rank,
            "spectral_norm": self.spectral_norm,
            "noise_edge": self.noise_edge,
            "beyond_edge": self.beyond_edge,
            "zeros": self.zeros,
            "surrogates": test.drawn if test else 0,
            "how": self.alpha and self.alpha.how,
            "reasons": list(self.reasons),
        }


def layer_spectrum(name: str, weight: Tensor, demands: Demands = SPECTRAL_DEMANDS) -> LayerSpectrum:
    r"""Return the spectrum of a matrix, with its power-law tail where it has enough eigenvalues.

    Eigenvalues are those of :math:`W^T W` over the shorter side, not divided by anything, from products and sums in
    float64. The edge is that of marchenko1967 with the finite-size shift of johnstone2001, the variance that of the
    entries: :math:`\sigma^2 (\mu + 2.02\, s)`, with :math:`\mu = (\sqrt{M - 1} + \sqrt N)^2`.

    Args:
        name: What to call it.
        weight: [rows, columns], real.
        demands: What a tail must have to be called a power law.

    Raises:
        ShapeError: If it is no matrix.
        NonFiniteError: If it holds NaN or infinity.
        ConstantUnitsError: If it is zero.
    """
    if weight.ndim != 2 or not weight.numel():
        raise ShapeError(f"{name} has the shape {tuple(weight.shape)}", "A spectrum is that of a matrix.")
    W = weight.detach().cpu()
    gram = upper_gram(W if W.shape[0] >= W.shape[1] else W.T)
    if not bool(gram.isfinite().all()):
        bad = int((~W.isfinite()).sum())
        raise NonFiniteError(f"{bad} of {W.numel()} entries of {name} are NaN or infinite", "Check the checkpoint.")
    every = torch.linalg.eigvalsh(gram, UPLO="U").flip(0).numpy()
    if not every[0] > 0:
        raise ConstantUnitsError(f"every entry of {name} is zero", "It has no spectrum.")
    rows, columns = max(W.shape), min(W.shape)
    kept, total = non_zero(every, rows), float(gram.trace())
    edge = noise_edge(rows, columns, total / W.numel())
    beyond = int((kept > edge).sum())
    tail = find_tail(kept) if len(kept) >= LEAST and kept[0] > kept[-1] else None
    found = LayerSpectrum(name, (W.shape[0], W.shape[1]), kept, columns - len(kept), total, edge, beyond, tail)
    return judged(found, demands)


def upper_gram(W: Tensor) -> Tensor:
    """Return W^T W of a matrix [rows, N], float64 [N, N], of which only the triangle above the diagonal is to be read.

    Rows are taken to float64 some at a time, and blocks below the diagonal, half of the work, are left out.
    """
    gram = torch.zeros(W.shape[1], W.shape[1], dtype=torch.float64)
    for part in W.split(ROWS):
        rows = part.to(torch.float64)
        for start in range(0, len(gram), BLOCK):
            gram[start : start + BLOCK, start:].addmm_(rows[:, start : start + BLOCK].T, rows[:, start:])
    return gram


def with_surrogates(
    layer: LayerSpectrum, *, generator: torch.Generator, most: int = 99, demands: Demands = SPECTRAL_DEMANDS
) -> LayerSpectrum:
    """Return a layer with its test against random matrices, and the verdict that follows; unchanged without a tail.

    Args:
        layer: From ``layer_spectrum``.
        generator: Randomness of the surrogates.
        most: Most surrogates.
        demands: What a tail must have to be called a power law.
    """
    if layer.tail is None:
        return layer
    test = surrogate_test(layer.eigenvalues, layer.tail, max(layer.shape), generator=generator, most=most)
    return judged(replace(layer, surrogates=test), demands)


def judged(layer: LayerSpectrum, demands: Demands) -> LayerSpectrum:
    """Return a layer with the exponent's error and the verdict that its numbers allow."""
    tail, test = layer.tail, layer.surrogates
    if tail is None:
        few = f"{len(layer.eigenvalues)} different non-zero eigenvalues, fewer than {LEAST}, or all equal"
        return replace(layer, reasons=(few,))
    against = []
    if not layer.beyond_edge:
        against.append("no eigenvalue is beyond the edge of independent entries")
    if test and test.p_value <= demands.level:
        against.append(f"p = {test.p_value:.2g} against random matrices with a power-law tail")
    verdict, reasons = weigh(tail, test.p_value if test else None, tuple(against), demands)
    how = "textbook error of independent values, x_min taken as known; eigenvalues repel, so it is no true error"
    error = tail.textbook_error
    if test:
        how, error = f"spread over {PILOTS} random matrices with a power-law tail", test.alpha_spread
    alpha = Measurement(tail.alpha, error, "1", tail.count, f"maximum likelihood; {how}")
    return replace(layer, alpha=alpha, verdict=verdict, reasons=reasons)


def noise_edge(rows: int, columns: int, variance: float) -> float:
    """Return the 99 % quantile of the largest eigenvalue of W^T W of independent Gaussian entries. See above."""
    first, second = sqrt(max(rows - 1, 1)), sqrt(columns)
    shift = (first + second) * (1 / first + 1 / second) ** (1 / 3)
    return variance * ((first + second) ** 2 + TRACY_WIDOM * shift)
