"""Picture: plain data from which the report draws where levels lie with respect to the flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from blockspin.flow import Flow
from blockspin.measurement import Measurement
from blockspin.questions._curve import point_radii

if TYPE_CHECKING:
    from blockspin.questions.retrace import Level


def picture(
    implicit: Flow, levels: Sequence[Level], similarity: Tensor, curve: list[int], own: list[int]
) -> dict[str, Any]:
    """Return numbers, strings and lists alone, rounded to six digits."""
    radii = point_radii(similarity, curve)[0]
    shown = [*curve, *own]
    between = similarity[0][shown][:, shown]
    labels = [*implicit.labels, *(level.label for level in levels)]
    return {
        "levels": [_row(level) for level in levels],
        "points": [{"label": k, "radius": _plain(r)} for k, r in zip(implicit.labels, radii.tolist(), strict=True)],
        "embedding": {
            "points": [[_plain(x) for x in row] for row in flat_map(1 - between).tolist()],
            "labels": labels,
            "kinds": ["flow"] * len(curve) + ["level"] * len(own),
        },
        "similarity": {"labels": labels, "values": [[_plain(x) for x in row] for row in between.tolist()]},
    }


def flat_map(distance: Tensor) -> Tensor:
    """Return coordinates [points, 2] by classical multidimensional scaling, the square of whose distances fits best.

    One less a similarity of kernels is half the squared distance of unit vectors, so that it is scaled as it is.
    """
    d = torch.nan_to_num(distance, nan=1.0)
    n = len(d)
    centre = torch.eye(n, dtype=d.dtype) - 1 / n
    eigenvalues, vectors = torch.linalg.eigh(-centre @ d @ centre)
    kept = min(2, n)
    flat = torch.zeros(n, 2, dtype=d.dtype)
    flat[:, :kept] = (vectors * eigenvalues.clamp(min=0).sqrt()).flip(1)[:, :kept]
    return flat * torch.where(flat[0] > 0, -1.0, 1.0)  # the flow begins on the left


def _row(level: Level) -> dict[str, Any]:
    found = level.nearest
    low, high = torch.quantile(found.position[1:], torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {
        "label": level.label,
        "sites": level.sites,
        "position": _plain(float(found.position[0])),
        "interval": [_plain(low), _plain(high)],
        "distance": _number(level.numbers()[f"{level.label}: distance"]),
        "radius": _number(level.numbers()[f"{level.label}: radius"]),
        "D": _plain(level.D.value),
        "D_error": _plain(level.D.error),
        "verdict": level.verdict.value,
        "lost": _number(level.lost),
        "added": _number(level.added),
    }


def _number(number: Measurement | None) -> dict[str, Any] | None:
    return None if number is None else {"value": _plain(number.value), "error": _plain(number.error)}


def _plain(x: Any) -> float | None:
    return float(f"{float(x):.6g}") if torch.isfinite(torch.tensor(float(x))) else None
