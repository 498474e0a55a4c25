"""CKA: debiased similarity of the kernels of two ensembles over the same inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import FitFailedError, TooFewSamplesError
from blockspin.observables._blocks import centred, subset_products
from blockspin.observables._rows import OfRowPairs, check_equal_weights
from blockspin.observables.base import State, SubsetEstimator, u_inner
from blockspin.registry import register


def debiased_cka(K: Tensor, L: Tensor) -> Tensor:
    """Return the debiased centred kernel alignment of two kernels [n, n], a float64 scalar at most about 1.

    Raises:
        FitFailedError: If a self-term is not positive: the field does not vary.
        TooFewSamplesError: If n < 4.
    """
    return _alignment(u_inner(K, L), u_inner(K, K), u_inner(L, L))


def _alignment(cross: Tensor, first: Tensor, second: Tensor) -> Tensor:
    smallest = float(torch.minimum(first, second).min())
    if not smallest > 0:
        raise FitFailedError(
            f"the debiased similarity of a kernel with itself is not positive ({smallest:.3g})",
            "The field does not vary over the units: leave it out.",
        )
    return cross / (first * second).sqrt()


@register
@dataclass(frozen=True)
class Cka(OfRowPairs, SubsetEstimator):
    r"""Similarity of two fields over the same inputs, blind to rotations and scale of either: 1 same, 0 independent.

    .. math:: \rho = \frac{H(K, L)}{\sqrt{H(K, K) H(L, L)}}

    with linear kernels K and L between samples and H the unbiased estimate of the Hilbert-Schmidt independence
    criterion. Quantity: "similarity". For jointly Gaussian fields its population value is
    :math:`\operatorname{tr}(C_{xy} C_{yx}) / \sqrt{\operatorname{tr} C_{xx}^2 \operatorname{tr} C_{yy}^2}`.

    With targets as the second field it is the kernel-target alignment, centred and debiased: 1 where the kernel is that
    of the targets. A run on checkpoints carries it as "cka/with_target". The alignment of cortes2012 is this one
    without the debiasing, and too large by about :math:`\sqrt{P P'} / n` for participation ratios P, P' far below n.

    Evaluated on at most ``limit`` units drawn by hash, one sample of each: repeated samples would put back the
    diagonal that the estimate leaves out. For the same reason its error comes from halves without replacement. Kernels
    are summed by blocks of rows, so that memory grows with the fields alone.

    Args:
        limit: Most units that are kept.

    Do not trust when:
        Units are not independent, or the similarity is near 0 or 1 and one-sided questions are asked of a symmetric
        error.

    Source:
        song2012 for the estimate, kornblith2019 for the similarity, cortes2012 for the alignment with targets.
    """

    name = "cka"
    source = "kornblith2019"
    units = {"similarity": "1"}

    def value(self, state: State) -> dict[str, Tensor]:
        """Compare the kernels.

        Raises:
            TooFewSamplesError: If there are fewer than four units.
            FitFailedError: If a self-term is not positive, or samples are weighted.
        """
        fields = _fields(state)
        everything = torch.ones(1, len(fields[0]), dtype=torch.bool)
        return {"similarity": _alignment(*subset_products(*fields, everything))[0]}

    def values_of(self, state: State, masks: Tensor) -> list[dict[str, Tensor]]:
        """Compare the kernels on many subsets of the rows.

        Raises:
            TooFewSamplesError: If a subset has fewer than four units.
            FitFailedError: If a self-term is not positive, or samples are weighted.
        """
        products = subset_products(*_fields(state), masks)
        return [{"similarity": similarity} for similarity in _alignment(*products)]


def _fields(state: State) -> tuple[Tensor, Tensor]:
    if not state:
        raise TooFewSamplesError("there are no units to compare", "Give more samples.")
    check_equal_weights(state)
    return centred(state["first"]), centred(state["second"])
