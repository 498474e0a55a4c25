"""Transfer entropy: what the past of one process tells of the next step of another beyond that one's own past."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConstantUnitsError, ShapeError, TooFewSamplesError, check_between, check_whole
from blockspin.observables.base import Observable, PartMonoid, State, effective_samples
from blockspin.observables.covariance import Moments, estimated
from blockspin.registry import register


@dataclass(frozen=True)
class LaggedMoments(PartMonoid):
    """Moments of (past of the first, past of the second, next of the first, next of the second), over all times.

    Sites are times. State: that of ``Moments`` on the joint rows, one a time with a whole past, each with its share of
    the sample's weight, and "widths" int64 [2], the components of each process.

    Args:
        lags: Steps of the past.
    """

    inputs = 2
    lags: int = 1

    def part(self, *batches: Batch) -> State:
        """Add up a joint batch.

        Raises:
            ShapeError: If the processes do not have the same times, or too few of them.
        """
        first, second = batches
        steps = first.values.shape[1]
        if second.values.shape[1] != steps or steps <= self.lags:
            raise ShapeError(
                f"windows of {steps} and {second.values.shape[1]} times hold no past of {self.lags} and a next",
                "Give two processes over the same times, one site a time.",
            )
        times = steps - self.lags
        past = [process.values.unfold(1, self.lags, 1)[:, :times].flatten(2) for process in (first, second)]
        following = [process.values[:, self.lags :] for process in (first, second)]
        rows = torch.cat([*past, *following], dim=2).flatten(0, 1)[:, None].to(torch.float64)  # flows are second order
        share = (first.weights / times).repeat_interleave(times)
        index = torch.arange(len(first)).repeat_interleave(times)
        joint = Batch(rows, first.ids[index], first.units[index], share)
        widths = torch.tensor([first.values.shape[2], second.values.shape[2]])
        return {**Moments().part(joint), "widths": widths}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        return {**Moments().joined(first, second), "widths": first["widths"]}


@register
@dataclass(frozen=True)
class TransferEntropy(Observable):
    r"""Information that flows between two processes, each a field whose sites are times, as if they were Gaussian.

    .. math:: T_{Y \to X} = I(X_{t+1} ; Y_{\le t} \,|\, X_{\le t})
        = \tfrac12 \ln \frac{\det \Sigma(X_{t+1} | X_{\le t})}{\det \Sigma(X_{t+1} | X_{\le t}, Y_{\le t})}

    averaged over times; for Gaussian processes this is Granger causality over two (barnett2009). With a microscopic
    process as the first and a function of it as the second, the transfer from first to second is the closure gap
    :math:`I(X_t ; Z_{t+1} | Z_t)`: zero where the macroscopic process is closed, so that no microscopic detail helps to
    predict it. A constant macroscopic process is closed trivially: look at its memory beside it.

    Quantities, in nats: "transfer" [2], from first to second and from second to first; "memory" [2],
    :math:`I(X_{t+1} ; X_{\le t})` of the first and of the second. The bias of n rows, :math:`d d' \ell / 2 n` for
    processes of d and d' components, is subtracted, so that what does not influence reads 0 on average.

    Args:
        lags: Steps of the past that are conditioned on.
        tolerance: Directions of the pasts with less than this share of the largest variance are not in the support.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        A common cause drives both; the past is longer than ``lags`` (the flow is then overestimated); or the relation
        is not linear, of which only the linear part is seen.

    Source:
        schreiber2000; the Gaussian form is that of barnett2009.
    """

    name = "transfer-entropy"
    source = "schreiber2000"
    units = {"transfer": "nats", "memory": "nats"}
    lags: int = 1
    tolerance: float = 1e-9

    def __post_init__(self):
        check_whole("lags", self.lags, 1)
        check_between("tolerance", self.tolerance, 0, 1)

    @property
    def monoid(self) -> LaggedMoments:
        """Moments of pasts and next steps."""
        return LaggedMoments(self.lags)

    def value(self, state: State) -> dict[str, Tensor]:
        """Read partial canonical correlations off the joint correlation matrix.

        Raises:
            TooFewSamplesError: If there are not more rows than numbers in a row.
            ConstantUnitsError: If a process does not vary, or its next step follows from the past without noise.
        """
        n = effective_samples(state)
        C = estimated(state)
        if n <= len(C):
            raise TooFewSamplesError(f"{n:g} rows are too few for {len(C)} numbers each", "Give more samples.")
        scale = C.diagonal().clamp(min=1e-300).rsqrt()
        C = C * scale[:, None] * scale
        sizes = [width * self.lags for width in state["widths"].tolist()] + state["widths"].tolist()
        parts = torch.arange(len(C)).split(sizes)
        pasts, following = parts[:2], parts[2:]
        pairs = ((pasts[0], pasts[1], following[1]), (pasts[1], pasts[0], following[0]))
        flow = [self._information(C, target, source, own, n) for source, own, target in pairs]
        memory = [self._information(C, target, own, own[:0], n) for _, own, target in pairs]
        return {"transfer": torch.stack(flow), "memory": torch.stack(memory[::-1])}

    def _information(self, C: Tensor, x: Tensor, y: Tensor, given: Tensor, n: float) -> Tensor:
        """Return I(x ; y | given) of Gaussian variables, by their partial canonical correlations, less its bias."""
        index = torch.cat([x, y])
        across = C[index][:, given] @ self._root(C[given][:, given])
        rest = C[index][:, index] - across @ across.T
        k = len(x)
        left, right = self._root(rest[:k, :k]), self._root(rest[k:, k:])
        shared = torch.linalg.svdvals(left.T @ rest[:k, k:] @ right).square()
        if left.shape[1] < k or bool((shared > 1 - self.tolerance).any()):
            raise ConstantUnitsError(
                "a process is constant, or follows from the past without noise: information without limit",
                "Leave out what is constant or computed from the rest.",
            )
        bias = 0.0 if n == inf else k * right.shape[1] / (2 * n)
        return -torch.log1p(-shared).sum() / 2 - bias

    def _root(self, C: Tensor) -> Tensor:
        """Return the matrix [size, rank] that takes variables to unit variance on their numerical support.

        What a condition leaves of a variable counts only where it is a share above ``tolerance`` of its unit variance.
        """
        if not len(C):
            return C
        eigenvalues, vectors = torch.linalg.eigh(C)
        kept = eigenvalues > self.tolerance * eigenvalues[-1].clamp(min=1.0)
        return vectors[:, kept] / eigenvalues[kept].sqrt()
