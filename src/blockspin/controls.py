"""Controls: flows that answer the same question where the answer is known or should be nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from blockspin.ensemble import Ensemble
from blockspin.flow import Flow, Scale
from blockspin.geometry import Unordered

Change = Callable[[Ensemble], Ensemble]
COPY = "Gaussian of equal covariance"
"""What a Gaussian copy of a field is called."""


def explicit_controls(explicit: Flow, *, generator: torch.Generator) -> dict[str, Flow]:
    """Return control levels beside each coarse-grained level, of the same number of sites over the same inputs.

    Args:
        explicit: The flow under question; its first scale is the representation itself.
        generator: Randomness of the controls.
    """
    whole = explicit[0].ensemble

    def permuted(level: Ensemble) -> Ensemble:
        return level.with_values(level.values[torch.randperm(len(level), generator=generator)])

    def projected(level: Ensemble) -> Ensemble:
        field = whole.values.flatten(1)
        width = level.values[0].numel()
        directions = torch.randn(field.shape[1], width, dtype=field.dtype, generator=generator)
        return _unordered(level, field @ torch.linalg.qr(directions).Q)

    def noise(level: Ensemble) -> Ensemble:
        return _unordered(level, torch.randn(len(level), level.values[0].numel(), generator=generator))

    changes: dict[str, Change] = {
        "samples permuted": permuted,
        "random projection of equal dimension": projected,
        "white noise": noise,
    }
    return {name: _changed(name, explicit, change) for name, change in changes.items()}


def gaussian_copy(scale: Scale, *, generator: torch.Generator) -> Scale:
    """Return a scale with a Gaussian field of the covariance of its ensemble, and no measurements.

    Args:
        scale: It carries samples.
        generator: Randomness of the field.
    """
    return Scale(scale.position, scale.label, scale.log_length, gaussian_field(scale.ensemble, generator=generator))


def gaussian_field(field: Ensemble, *, generator: torch.Generator) -> Ensemble:
    r"""Return Gaussian samples whose mean and covariance are those of a field's samples, cumulants beyond them zero.

    Rows :math:`\langle x\rangle + Q S V^T` with the singular values and right vectors of the centred field and Q of
    orthonormal columns, without mean, in directions drawn at random. Mean and covariance are equal but for rounding,
    and not in law alone: numbers that are no linear functions of them, as an inverse, would be biased twice.

    Args:
        field: n samples.
        generator: Randomness of the samples.
    """
    rows = field.values.flatten(1)
    mean, n = rows.mean(0), len(rows)
    singular = torch.linalg.svd(rows - mean, full_matrices=False)
    rank = min(n - 1, rows.shape[1])
    drawn = torch.randn(n, rank, dtype=rows.dtype, generator=generator)
    columns = torch.linalg.qr(drawn - drawn.mean(0)).Q
    copy = mean + (columns * singular.S[:rank]) @ singular.Vh[:rank]
    return field.with_values(copy.reshape(field.values.shape))


def _unordered(level: Ensemble, field: torch.Tensor) -> Ensemble:
    return level.with_values(field[:, :, None], Unordered(field.shape[1]))


def _changed(name: str, explicit: Flow, change: Change) -> Flow:
    scales = tuple(
        Scale(scale.position, scale.label, scale.log_length, change(scale.ensemble)) for scale in explicit.scales[1:]
    )
    return Flow(name, replace(explicit.axis, name=f"{explicit.axis.name}, {name}"), scales)
