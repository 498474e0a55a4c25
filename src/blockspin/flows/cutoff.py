"""Cutoff: kernel regression with the modes beyond a cutoff left out, with and without the ridge that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import ConfigError, NonFiniteError, ShapeError, TooFewSamplesError
from blockspin.flow import Axis, Direction, Flow, Scale
from blockspin.measurement import Measurement

AXIS = Axis("cutoff", "modes", Direction.REFINING)
OUTPUTS = {"error": "target^2", "fit": "target^2", "dimension": "1", "kept": "target^2"}
"""What a regression gives: squared error on held-out samples, the same on those it learned from, effective dimension
of the ridge, and squared predictions along the modes that every cutoff keeps."""
VARIANTS = ("bare", "renormalised")


@dataclass(frozen=True)
class Regression:
    """How a kernel is put to use.

    Args:
        samples: How many samples are learned from; the others are predicted.
        ridge: What is added to the diagonal of the kernel, in its units.
        splits: How many random choices of the samples that are learned from.
    """

    samples: int
    ridge: float
    splits: int = 20


def cutoff_flow(
    name: str, kernel: Tensor, targets: Tensor, how: Regression, cuts: Sequence[int], *, generator: torch.Generator
) -> Flow:
    r"""Return the flow of kernel ridge regression over a cutoff of the kernel's modes.

    The modes are those of the kernel over all samples, :math:`K = N \sum_k \lambda_k \phi_k \phi_k^T`, targets unseen.
    At a cutoff the first :math:`\Lambda` are kept, once with the ridge as it is ("bare") and once with the
    one that the others leave behind ("renormalised"), :math:`\sigma^2(\Lambda) = \sigma^2 + \sum_{k > \Lambda}
    \lambda_k`. Quantities "cutoff/X" of the whole kernel, "cutoff/X:bare", "cutoff/X:renormalised", and by how much
    both differ from the whole kernel on the same split, "cutoff/X:bare shift" and so on; X is the "error" on samples
    not learned from, the "fit" on those that were, the effective "dimension", :math:`\operatorname{tr} K (K +
    \sigma^2)^{-1}` of the latter, and "kept", the mean squared prediction along the modes that the lowest cutoff
    keeps; besides, "cutoff/ridge" and the mean squared "cutoff/distance:..." of the predictions along the kept modes.
    Means over splits; a cutoff is arbitrary for whatever does not shift once the ridge has run.

    Args:
        name: What flows: the kernel.
        kernel: [N, N], symmetric and positive: the Gram matrix of a representation.
        targets: [N] or [N, outputs]; centre them.
        how: The regression.
        cuts: Numbers of modes that are kept.
        generator: Randomness of the splits.

    Raises:
        ShapeError: If kernel and targets do not belong together.
        NonFiniteError: If the kernel holds NaN or infinity.
        ConfigError: If a cutoff keeps no mode or more than there are, or the ridge is not positive.
        TooFewSamplesError: If fewer than two samples would be learned from or predicted, or there are fewer than
            four splits.

    Do not trust when:
        Splits share samples: their errors are somewhat too small once more than half of the samples are learned from.
        The lowest modes that are left out are learned (n lambda above the ridge): the ridge alone cannot stand for
        them. The left-out modes' variance depends on the input: then so should the ridge.

    Source:
        howard2025.
    """
    K, y = kernel.to(torch.float64), targets.to(torch.float64).reshape(len(targets), -1)
    _check(K, y, how, cuts)
    eigenvalues, modes = torch.linalg.eigh((K + K.T) / 2)
    eigenvalues, modes = eigenvalues.flip(0).clamp(min=0), modes.flip(1)
    tail = torch.cat([eigenvalues.flip(0).cumsum(0).flip(0), eigenvalues.new_zeros(1)]) / len(K)
    rows: dict[int, dict[str, list[float]]] = {cut: {} for cut in sorted(set(cuts))}
    lowest = min(rows)
    for _ in range(how.splits):
        order = torch.randperm(len(K), generator=generator)
        split = order[: how.samples], order[how.samples :]
        whole = _regress(K, y, split, how.ridge)
        for cut, row in rows.items():
            kept = (modes[:, :cut] * eigenvalues[:cut]) @ modes[:, :cut].T
            variants = {
                kind: _regress(kept, y, split, how.ridge + (float(tail[cut]) if kind == "renormalised" else 0.0))
                for kind in VARIANTS
            }
            _enter(row, whole, variants, (modes[:, :cut], modes[:, :lowest]))
    scales = [
        Scale(float(cut), f"{cut} modes", measurements=_means(row, how.ridge + float(tail[cut])))
        for cut, row in rows.items()
    ]
    return Flow(name, AXIS, tuple(scales))


def independent_down_to(flow: Flow, output: str, share: float = 0.05, variant: str = "renormalised") -> int | None:
    """Return the lowest cutoff down to which an output does not depend on it, or None if it does at the highest.

    It does not where its shift from the whole kernel is within two errors, or below a share of the whole kernel's.

    Args:
        flow: From ``cutoff_flow``.
        output: "error", "fit", "dimension" or "kept".
        share: Of the output.
        variant: "renormalised" or "bare".
    """
    reached = None
    for scale in reversed(flow.scales):
        shift, whole = scale.measurements[f"cutoff/{output}:{variant} shift"], scale.measurements[f"cutoff/{output}"]
        if abs(shift.value) > max(2 * shift.error, share * abs(whole.value)):
            break
        reached = int(scale.position)
    return reached


def _check(K: Tensor, y: Tensor, how: Regression, cuts: Sequence[int]) -> None:
    if K.ndim != 2 or K.shape[0] != K.shape[1] or len(y) != len(K):
        raise ShapeError(f"a kernel of shape {tuple(K.shape)} does not belong to {len(y)} targets")
    if not bool(torch.isfinite(K).all() & torch.isfinite(y).all()):
        raise NonFiniteError("kernel or targets hold NaN or infinity", "Remove those samples.")
    if not cuts or min(cuts) < 1 or max(cuts) > len(K):
        raise ConfigError("cuts", list(cuts), f"numbers of modes from 1 to {len(K)}.")
    if not how.ridge > 0:
        raise ConfigError("ridge", how.ridge, "a positive number: without it the kernel may have no inverse.")
    if not 2 <= how.samples <= len(K) - 2 or how.splits < 4:
        raise TooFewSamplesError(
            f"{how.samples} of {len(K)} samples in {how.splits} splits give no error bar", "Take at least four splits."
        )


@dataclass(frozen=True, eq=False)
class _Fit:
    """Predictions at all samples, and the numbers of OUTPUTS but the last."""

    predicted: Tensor
    numbers: dict[str, float]


def _regress(K: Tensor, y: Tensor, split: tuple[Tensor, Tensor], ridge: float) -> _Fit:
    train, test = split
    own = K[train][:, train]
    factor = torch.linalg.cholesky(own + ridge * torch.eye(len(train), dtype=K.dtype))
    predicted = K[:, train] @ torch.cholesky_solve(y[train], factor)
    missed = (predicted - y).square().sum(1)
    dimension = float(torch.cholesky_solve(own, factor).diagonal().sum())
    return _Fit(
        predicted, {"error": float(missed[test].mean()), "fit": float(missed[train].mean()), "dimension": dimension}
    )


def _enter(row: dict[str, list[float]], whole: _Fit, variants: dict[str, _Fit], modes: tuple[Tensor, Tensor]) -> None:
    """Add one split: what the whole kernel gives, what is left of it, and how far they are apart."""
    kept, lowest = modes
    fits = {"": whole, **{f":{kind}": fit for kind, fit in variants.items()}}
    numbers = {name: {**fit.numbers, "kept": _square(lowest, fit.predicted)} for name, fit in fits.items()}
    for output in OUTPUTS:
        for name in fits:
            row.setdefault(f"{output}{name}", []).append(numbers[name][output])
            if name:
                row.setdefault(f"{output}{name} shift", []).append(numbers[name][output] - numbers[""][output])
    for kind, fit in variants.items():
        row.setdefault(f"distance:{kind}", []).append(_square(kept, fit.predicted - whole.predicted))


def _square(modes: Tensor, field: Tensor) -> float:
    """Return the mean over samples of the square of a field's part along some modes."""
    return float((modes.T @ field).square().sum()) / len(field)


def _means(row: dict[str, list[float]], ridge: float) -> dict[str, Measurement]:
    found = {"cutoff/ridge": Measurement(ridge, 0.0, "kernel", how="exact: the sum of the eigenvalues left out")}
    for key, values in row.items():
        x = torch.tensor(values, dtype=torch.float64)
        unit = OUTPUTS.get(key.partition(":")[0], "target^2")
        error = float(x.std()) / len(x) ** 0.5
        how = f"mean over {len(x)} splits, paired within each"
        found[f"cutoff/{key}"] = Measurement(float(x.mean()), error, unit, float(len(x)), how, len(x) - 1)
    return found
