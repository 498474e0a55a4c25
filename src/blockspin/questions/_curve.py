"""Curve: distance of a kernel from the piecewise-linear curve of a flow's kernels, and the width of its tube."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Nearest:
    """The point of a curve that is nearest to one kernel, on every resample.

    Args:
        distance: float64 [resamples]; one less the similarity to the nearest point.
        position: float64 [resamples]; number of the segment plus the share t within it.
        radius: float64 [resamples]; the tube's radius on that segment.
        segment: int64 [resamples].
    """

    distance: Tensor
    position: Tensor
    radius: Tensor
    segment: Tensor

    @property
    def excess(self) -> Tensor:
        """The distance less the radius: negative inside the tube."""
        return self.distance - self.radius


def segment_distance(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return (distance, t) of a kernel from the mixtures (1 - t) A + t B of two normalised kernels.

    One less the similarity to the mixture is least at :math:`t = (b - a r) / ((a + b)(1 - r))`, clipped to [0, 1], with
    a, b the similarities to the ends and r that between them; where a + b is not positive that is no minimum, so that
    the ends are compared too.
    """
    t = ((b - a * r) / ((a + b) * (1 - r))).clamp(0, 1)
    t = torch.where(torch.isfinite(t), t, 0.0)
    candidates = torch.stack([torch.zeros_like(t), torch.ones_like(t), t])
    norm = ((1 - candidates) ** 2 + candidates**2 + 2 * candidates * (1 - candidates) * r).sqrt()
    distance = 1 - ((1 - candidates) * a + candidates * b) / norm
    best = distance.argmin(0, keepdim=True)
    return distance.gather(0, best)[0], candidates.gather(0, best)[0]


def tube_radii(similarity: Tensor, curve: list[int]) -> Tensor:
    """Return the radius of the tube on every segment, float64 [resamples, segments].

    An inner point's own value is what leaving it out and interpolating between its neighbours costs. On a smooth curve
    the chord over twice the step misses by four times as much, and this distance, one less a similarity, is quadratic
    in the miss: the radius is about sixteen times the true error of interpolating between neighbouring points. A
    segment takes the larger value of its two ends; the ends of the curve have none.
    """
    own = point_radii(similarity, curve)
    return torch.fmax(own[:, :-1], own[:, 1:])


def point_radii(similarity: Tensor, curve: list[int]) -> Tensor:
    """Return what leaving each point out costs, float64 [resamples, points]; NaN at the two ends."""
    own = torch.full((len(similarity), len(curve)), torch.nan, dtype=torch.float64)
    for k in range(1, len(curve) - 1):
        before, here, after = curve[k - 1], curve[k], curve[k + 1]
        own[:, k], _ = segment_distance(
            similarity[:, here, before], similarity[:, here, after], similarity[:, before, after]
        )
    return own


def nearest(similarity: Tensor, point: int, curve: list[int]) -> Nearest:
    """Return the nearest point of a curve to one kernel, on every resample, and the radius of the tube there."""
    ends = list(pairwise(curve))
    found = [segment_distance(similarity[:, point, i], similarity[:, point, j], similarity[:, i, j]) for i, j in ends]
    distance, t = (torch.stack(column, dim=1) for column in zip(*found, strict=True))
    best = distance.argmin(1, keepdim=True)
    radius = tube_radii(similarity, curve).gather(1, best)[:, 0]
    return Nearest(distance.gather(1, best)[:, 0], (best + t.gather(1, best))[:, 0], radius, best[:, 0])
