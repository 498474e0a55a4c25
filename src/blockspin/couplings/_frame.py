"""Frame: where a field lives: its mean, the directions in which it varies, and how far along each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from blockspin.couplings._sums import covariance_of, sums_of_law
from blockspin.ensemble import Ensemble
from blockspin.errors import ConstantUnitsError, check_between
from blockspin.law import EnumeratedLaw, GaussianLaw, Source
from blockspin.observables.base import State, merged_moments, moments_of


@dataclass(frozen=True, eq=False)
class Frame:
    """Mean and principal directions of a field, equal when their numbers are; make it with ``of`` on the fit half.

    Args:
        mean: float64 [D], D = sites * components.
        vectors: float64 [D, D], orthonormal columns by falling variance.
        deviations: float64 [rank], standard deviations along the first of them: those of the support.
    """

    mean: Tensor
    vectors: Tensor
    deviations: Tensor

    @classmethod
    def of(cls, source: Source, tolerance: float = 1e-6) -> Frame:
        """Fit a frame to samples, or to a law.

        Args:
            source: The fit half: other samples than those that are measured.
            tolerance: Directions with less than this share of the largest variance are not in the support.

        Raises:
            ConstantUnitsError: If no direction varies.
        """
        if isinstance(source, GaussianLaw):
            return cls.of_moments(sums_of_law(source), tolerance)
        return cls.of_moments(flat_moments(source), tolerance)

    @classmethod
    def of_moments(cls, state: State, tolerance: float = 1e-6) -> Frame:
        """Fit a frame to streamed moments: a state with "weight", "squares", "mean" and "scatter".

        Raises:
            ConfigError: If the tolerance is no number between 0 and 1.
            ConstantUnitsError: If no direction varies.
        """
        check_between("tolerance", tolerance, 0, 1)
        eigenvalues, vectors = torch.linalg.eigh(covariance_of(state)[0])
        eigenvalues = eigenvalues.flip(0)
        kept = eigenvalues[eigenvalues > tolerance * eigenvalues[0]]
        if not len(kept):
            raise ConstantUnitsError("no direction of the field varies", "There is no theory of a constant.")
        return cls(state["mean"], vectors.flip(1).contiguous(), kept.sqrt())

    @property
    def rank(self) -> int:
        """The number of directions in the support."""
        return len(self.deviations)

    @property
    def modes(self) -> Tensor:
        """The directions of the support, [D, rank]."""
        return self.vectors[:, : self.rank]

    @property
    def complement(self) -> Tensor:
        """The directions that do not vary, [D, D - rank]."""
        return self.vectors[:, self.rank :]

    @cached_property
    def key(self) -> str:
        """A hash of the numbers."""
        digest = hashlib.sha256()
        for tensor in (self.mean, self.vectors, self.deviations):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Frame(rank {self.rank} of {len(self.mean)}, {self.key})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def flat_moments(source: Ensemble | EnumeratedLaw) -> State:
    """Return weight, mean and centred scatter of the flattened samples of a field, float64."""
    state: State = {}
    for batch in source.batches(4096):
        part, _ = moments_of(batch.values.flatten(1).to(torch.float64), batch.weights)
        state = merged_moments(state, part) if state else part
    return state
