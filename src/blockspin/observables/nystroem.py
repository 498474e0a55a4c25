"""Nystroem: the spectrum of a kernel between all samples of a stream through landmarks, with what that leaves out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConfigError, ConstantUnitsError, TooFewSamplesError
from blockspin.observables._merging import merged_moments, moments_of
from blockspin.observables.base import Observable, PartMonoid, State
from blockspin.registry import register

LEADING = 32
"""How many eigenvalues are reported."""
TOLERANCE = 1e-10
"""Directions of the landmarks' own kernel with less than this share of its largest eigenvalue are left out."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Samples that stand for all: equal when their values and the kernel are.

    Args:
        values: float64 [landmarks, D].
        length: Length of the kernel exp(-|x - y|^2 / (2 length^2)); 0 for the linear kernel, taken about the
            landmarks' mean.
    """

    values: Tensor
    length: float = 0.0

    @classmethod
    def of(cls, state: State, length: float = 0.0) -> Landmarks:
        """Make landmarks of the rows that a first pass kept (a state of ``Rows``: drawn by hash, one a unit).

        Raises:
            TooFewSamplesError: If there are fewer than two rows.
            ConfigError: If the length is negative or not finite.
        """
        if not state or len(state["first"]) < 2:
            raise TooFewSamplesError("a kernel needs at least two landmarks", "Keep more rows in the first pass.")
        if not (isfinite(length) and length >= 0):
            raise ConfigError("length", length, "a positive number, or 0 for the linear kernel.")
        return cls(state["first"].to(torch.float64), float(length))

    def kernel(self, x: Tensor) -> Tensor:
        """Return the kernel float64 [n, landmarks] between some samples [n, D] and the landmarks."""
        centre = self.values.mean(0)
        x, marks = x.to(torch.float64) - centre, self.values - centre
        if not self.length:
            return x @ marks.T
        squares = x.square().sum(1)[:, None] + marks.square().sum(1)[None] - 2 * x @ marks.T
        return torch.exp(-squares.clamp(min=0) / (2 * self.length**2))

    def own(self, x: Tensor) -> Tensor:
        """Return the kernel float64 [n] of each sample with itself."""
        if self.length:
            return torch.ones(len(x), dtype=torch.float64)
        return (x.to(torch.float64) - self.values.mean(0)).square().sum(1)

    def __repr__(self) -> str:
        content = self.values.contiguous().numpy().tobytes()
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        return f"Landmarks({tuple(self.values.shape)}, {self.length!r}, {digest})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Landmarks) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


@dataclass(frozen=True)
class KernelSums(PartMonoid):
    """Sums over samples of their kernel with the landmarks, k [m], and of products of two such.

    State: "weight", "squares" [] (sum of squared weights), "diagonal" [] (weighted sum of the kernel of each sample
    with itself), "mean" [m], "scatter" [m, m] of k, centred and merged as in ``Moments``; all float64.
    """

    landmarks: Landmarks

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        x, w = batch.values.flatten(1), batch.weights
        part, _ = moments_of(self.landmarks.kernel(x), w)
        return {**part, "diagonal": w @ self.landmarks.own(x)}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        return {**merged_moments(first, second), "diagonal": first["diagonal"] + second["diagonal"]}


@register
@dataclass(frozen=True)
class Nystroem(Observable):
    r"""Spectrum of the centred kernel between all samples of a stream, n of them, through m landmarks.

    .. math:: K \approx \tilde K = C W^+ C^t, \qquad
        \lambda_i(H \tilde K H) \le \lambda_i(H K H) \le \lambda_i(H \tilde K H) + \operatorname{tr}(K - \tilde K)

    with C the kernel between samples and landmarks, W that among landmarks and H the centring over samples. The bound
    is a theorem: :math:`K - \tilde K` is positive. Both sides come from sums over the stream, of m x m numbers.

    It takes two passes: the first keeps the landmarks (``Rows``, drawn by hash, so that they depend on nothing but the
    samples), the second adds up (``Landmarks.of`` makes of the first what the second needs).

    Quantities, all divided by n (per sample, as the eigenvalues of a covariance are): "spectrum" [32], the
    eigenvalues of :math:`H \tilde K H`, padded with zeros: lower bounds; "residual", tr(K - K~), by which each can
    be too small at most; "trace", tr K, not centred (the Gaussian kernel's is 1); "rank", of W.

    Args:
        landmarks: What the first pass kept, with the kernel.

    Do not trust when:
        "residual" is not small against the eigenvalue in question: take more landmarks. Errors are those of the
        samples at these landmarks; what other landmarks would give lies within the bound.

    Source:
        williams2001; drineas2005 for the residual.
    """

    name = "nystroem"
    source = "williams2001"
    units = {"spectrum": "kernel", "residual": "kernel", "trace": "kernel", "rank": "1"}
    landmarks: Landmarks

    @property
    def monoid(self) -> KernelSums:
        """Sums of kernels with the landmarks."""
        return KernelSums(self.landmarks)

    def value(self, state: State) -> dict[str, Tensor]:
        """Whiten by the landmarks' own kernel and diagonalise.

        Raises:
            TooFewSamplesError: If there is no sample.
            ConstantUnitsError: If the landmarks are all equal.
        """
        if not state:
            raise TooFewSamplesError("there is no sample to compare with the landmarks", "Give more samples.")
        own, vectors = torch.linalg.eigh(self.landmarks.kernel(self.landmarks.values))
        if not float(own[-1]) > 0:
            raise ConstantUnitsError("the landmarks are all equal", "Check the data.")
        kept = own > TOLERANCE * own[-1]
        root = vectors[:, kept] / own[kept].sqrt()
        weight = state["weight"]
        whitened = root.T @ (state["scatter"] / weight) @ root
        spectrum = torch.linalg.eigvalsh(whitened).flip(0).clamp(min=0)
        leading = torch.zeros(LEADING, dtype=torch.float64)
        leading[: len(spectrum)] = spectrum[:LEADING]
        trace = state["diagonal"] / weight
        explained = whitened.trace() + (root.T @ state["mean"]).square().sum()
        return {
            "spectrum": leading,
            "residual": (trace - explained).clamp(min=0),
            "trace": trace,
            "rank": kept.sum().to(torch.float64),
        }
