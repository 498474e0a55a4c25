"""Kernel modes: eigenvalues of the Gaussian kernel under a Gaussian measure, and the limit of wide kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.ensemble import Ensemble
from blockspin.geometry import Unordered
from blockspin.law import EnumeratedLaw
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import gaussian_kernel as theory


@register
@dataclass(frozen=True)
class KernelModesTether(Tether):
    """Fit kernel modes to a quadrature of the normal law, and to samples with wider and wider kernels."""

    name = "kernel-modes"
    system = "Gaussian kernel on a normally distributed number, and on a Gaussian field"
    source = "rasmussen2006"
    schemes = ("kernel-modes",)

    def rows(self) -> Iterator[Row]:
        """Yield odd eigenvalues (exact) and the power with which modes approach the principal ones."""
        nodes, weights = (torch.from_numpy(x) for x in theory.quadrature(60))
        field = torch.stack([nodes, torch.zeros_like(nodes)], dim=1)[:, :, None]  # the second site never varies
        law = EnumeratedLaw.of(field, weights, Unordered(2))
        for width in (0.3, 1.0):
            found = member("schemes", "kernel-modes")(b=2, width=width).fit(law, generator=torch.Generator())
            expected = theory.kernel_eigenvalues(1.0, found.length, 4)
            for k in (1, 3):
                nearest = found.variances[(found.variances - expected[k]).abs().argmin()]
                yield exact(f"eigenvalue {k} of the kernel, width {width} medians", expected[k], float(nearest), 1e-10)
        narrow, wide = _gap(10.0), _gap(100.0)
        yield exact("deviation from principal modes at width 10 over that at 100, near 100", 100.0, narrow / wide, 10.0)


def _gap(width: float) -> float:
    """Return the largest deviation of kernel modes from principal modes, as a share of the largest coordinate."""
    x = torch.randn(300, 8, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    field = Ensemble.of(x * 0.7 ** torch.arange(8)[:, None], Unordered(8))
    chance = torch.Generator()
    linear = member("schemes", "principal-modes")(b=2).fit(field, generator=chance)(field).values
    kernel = member("schemes", "kernel-modes")(b=2, width=width).fit(field, generator=chance)(field).values
    return float((kernel.abs() - linear.abs()).abs().max() / linear.abs().max())
