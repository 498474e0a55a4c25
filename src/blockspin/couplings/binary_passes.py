"""Binary passes: the binary action of spins with many neighbours, by reading the data several times."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from blockspin.couplings._interactions import Interactions, neighbour_table
from blockspin.couplings._logistic import Slope, maximum
from blockspin.couplings._patterns import check_alphabet, check_sites, is_up
from blockspin.couplings.binary_action import BinaryAction
from blockspin.ensemble import Batch, Ensemble, group_of
from blockspin.errors import TooFewSamplesError
from blockspin.law import EnumeratedLaw
from blockspin.measurement import Measurement
from blockspin.observables.base import effective_samples, is_law, weights_of

ENTRIES = 2**21
"""Products of spins that are held at a time."""


def fit_in_passes(action: BinaryAction, spins: Ensemble | EnumeratedLaw, groups: int = 20) -> dict[str, Measurement]:
    r"""Return the couplings of a binary action whatever the number of neighbours, by Newton's method over the data.

    Each step reads all samples once (about six in all) and adds up gradient and curvature of the log-pseudo-likelihood,
    so that memory does not grow with the data. Errors are those of the sandwich over groups of units,

    .. math:: \mathrm{cov}\, g = H^{-1} \Big(\frac{G}{G - 1} \sum_{\gamma} u_\gamma u_\gamma^t\Big) H^{-1},

    with u the gradient of one group at the maximum: those of a likelihood that counts spins as independent given the
    others, which they are not, would be wrong. A pass of the engine reads the data once, so this is a function on
    samples in memory and no registered coupling.

    Args:
        action: The couplings that are fitted.
        spins: The samples, or a law.
        groups: Groups of units behind the errors; 20 give Student's t for 19 degrees of freedom.

    Raises:
        TooFewSamplesError: If a group holds no unit.
        ShapeError: If the field is not binary or does not fit the lattice.
        FitFailedError: If the data do not determine the couplings.

    Source:
        besag1975; white1982 for the sandwich.
    """
    seen = action.interactions()
    table = neighbour_table(action.lattice, seen.neighbours)
    ensemble = spins.ensemble if isinstance(spins, EnumeratedLaw) else spins
    total = partial(_summed, ensemble=ensemble, seen=seen, table=table, groups=groups)

    def slope(couplings: Tensor) -> Slope:
        value, gradients, curvature, _ = total(couplings)
        return value, gradients.sum(0), curvature

    g = maximum(slope, torch.zeros(len(seen.names), dtype=torch.float64))
    _, gradients, curvature, filled = total(g)
    inverse, weights = torch.linalg.inv(curvature), weights_of(ensemble.batch)
    how = f"pseudo-likelihood in passes, sandwich over {groups} groups"
    if is_law(weights):
        return {key: Measurement(value.numpy(), 0.0) for key, value in action.named(g).items()}
    if filled < groups:
        raise TooFewSamplesError(f"the units fill {filled} of {groups} groups", "Give more units, or ask for fewer.")
    covariance = groups / (groups - 1) * inverse @ gradients.T @ gradients @ inverse
    errors = action.named(covariance.diagonal().sqrt())
    n_eff, values = effective_samples(weights), action.named(g).items()
    return {key: Measurement(v.numpy(), errors[key].numpy(), "1", n_eff, how, groups - 1) for key, v in values}


def _summed(
    couplings: Tensor, *, ensemble: Ensemble, seen: Interactions, table: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return log-likelihood, gradients [groups, K], minus second derivatives [K, K], and how many groups are filled."""
    size = len(couplings)
    value, alphabet = torch.zeros((), dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    gradients = torch.zeros(groups, size, dtype=torch.float64)
    curvature = torch.zeros(size, size, dtype=torch.float64)
    group = group_of(ensemble.units, groups, chain=ensemble.chain)
    step, start = max(1, ENTRIES // (len(table) * size)), 0
    for batch in ensemble.batches(step):
        check_sites(batch, ensemble.geometry.sites)
        up, X, found = _products(batch, seen, table)
        alphabet += found
        odds = 2 * (X @ couplings)
        w = batch.weights[:, None]
        p = torch.sigmoid(odds)
        value -= (w * torch.nn.functional.softplus(torch.where(up, -odds, odds))).sum()
        gradients.index_add_(
            0, group[start : start + len(batch)], 2 * ((w * (up.to(p.dtype) - p))[..., None] * X).sum(1)
        )
        flat = X.reshape(-1, size)
        curvature += 4 * flat.T @ ((w * p * (1 - p)).reshape(-1, 1) * flat)
        start += len(batch)
    check_alphabet(alphabet)
    return value, gradients, curvature, len(torch.unique(group))


def _products(batch: Batch, seen: Interactions, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return which spins are up [n, sites], what multiplies each [n, sites, K], and the weights of the values."""
    up, alphabet = is_up(batch)
    s = 2 * up.to(torch.float64) - 1
    if not seen.neighbours:
        return up[:, table[:, 0]], torch.ones(len(batch), len(table), 1, dtype=torch.float64), alphabet
    return up[:, table[:, 0]], seen.columns([s[:, column] for column in table.T[1:]]), alphabet
