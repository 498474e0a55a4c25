"""Tangent kernel: two linear layers, whose empirical tangent kernel has a closed form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.capture.tangent import Coordinate, TangentPass
from blockspin.registry import member, register
from blockspin.sources.base import Record, Sample, draw_records
from blockspin.spectra.tangent_kernel import leading_eigenvalues
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory.linear_network import tangent_kernel


@register
@dataclass(frozen=True)
class TangentKernelTether(Tether):
    """Multiply with the tangent kernel of a linear network, and compare eigenvalues with the closed form."""

    name = "tangent-kernel"
    system = "a network of two linear layers"
    source = "jacot2018"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield the leading eigenvalues, and the squared norm of one gradient."""
        generator = torch.Generator().manual_seed(0)
        module = nn.Sequential(nn.Linear(6, 16, bias=False), nn.Linear(16, 1, bias=False)).eval()
        weights = [torch.randn(16, 6, generator=generator), torch.randn(1, 16, generator=generator)]
        module.load_state_dict(dict(zip(module.state_dict(), weights, strict=True)))
        sample = _inputs(torch.randn(40, 6, generator=generator).numpy())
        recipe = NetworkRecipe(member("sources", "given-module")(module), "array")
        pooled = member("representations", "pooled")()
        reading = TangentPass(ActivationPass(recipe, sample, (), pooled), Coordinate())
        x = np.stack([record.content for record in sample.records]).astype(float)
        W, a = (weight.numpy().astype(float) for weight in weights)
        K = tangent_kernel(x, W, a[0])
        found = leading_eigenvalues(reading, 3, generator=generator)
        for k, expected in enumerate(np.linalg.eigvalsh(K)[::-1][:3]):
            yield exact(f"eigenvalue {k} of the tangent kernel, 40 inputs", expected, float(found[k]), 1e-5 * K.trace())
        square = sum(float(g.to(torch.float64).square().sum()) for g in reading.gradient(0).values())
        yield exact("squared norm of one gradient", K[0, 0], square, 1e-5 * K[0, 0])


def _inputs(x: np.ndarray) -> Sample:
    class Given:
        def records(self) -> Iterator[Record]:
            return (Record(row, f"input {i}") for i, row in enumerate(x))

    return draw_records(Given(), len(x))  # type: ignore[arg-type]
