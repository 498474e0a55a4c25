"""Finite networks: flows measured on real modules against theory of infinite width, over depth and over training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from blockspin.flow import Flow, Scale
from blockspin.flows.depth import AXIS as DEPTH
from blockspin.flows.training import checkpoints_of, training_flow
from blockspin.flows.width import width_flow
from blockspin.measurement import Measurement
from blockspin.organisms.checkpoints import write_organism
from blockspin.organisms.deep_linear import DeepLinear
from blockspin.organisms.random_mlp import RandomMlp
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import deep_linear, four_point
from blockspin.theory.dual_activation import Series
from blockspin.theory.nngp import Network, kernels

WIDE, LAYERS, SEEDS = 200, 6, 60
SIGMA_W, SIGMA_B = 1.5, 0.3
KERNEL = "width/kernel"


@register
@dataclass(frozen=True)
class FiniteNetworksTether(Tether):
    """Draw or train networks, measure their flows as those of any module, compare at every scale."""

    name = "finite-networks"
    system = "kernels over depth and modes over training of networks of finite width"
    source = "lee2020"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield the kernel at every depth, and modes over all checkpoints."""
        yield from _over_depth()
        yield from _over_training()


def kernel_flow(organism: RandomMlp, inputs: Tensor, seeds: int) -> Flow:
    """Return the flow over depth of the kernels of preactivations, means over networks of different seeds."""
    found: dict[int, list[Tensor]] = {layer: [] for layer in range(organism.depth)}
    for seed in range(seeds):
        for layer, field in enumerate(_preactivations(network(organism, seed), inputs)):
            found[layer].append(field)
    scales = []
    for layer, fields in found.items():
        (scale,) = width_flow("layer", {organism.width: torch.stack(fields)})
        scales.append(Scale(float(layer), f"layer {layer}", measurements=scale.measurements))
    return Flow(f"{seeds} random networks", DEPTH, tuple(scales))


def kernel_theory(organism: RandomMlp, inputs: Tensor, corrected: bool = False) -> Flow:
    """Return the kernels of infinite width at the same depths, and the kurtosis: 0, or of first order in 1 / width."""
    C_W, C_b = organism.sigma_w**2, organism.sigma_b**2
    K = C_b + C_W * (inputs @ inputs.T).numpy() / inputs.shape[1]
    first = [
        four_point.vertices(torch.tanh, (C_b, C_W), organism.depth, K[i : i + 1, i : i + 1]) for i in range(len(K))
    ]
    scales = []
    for layer in range(organism.depth):
        kernel = kernels(Network(layer, Series(torch.tanh), C_W, C_b), inputs).covariance
        bent = np.mean([3 * float(own[layer][1].item() / own[layer][0].item() ** 2) for own in first]) / organism.width
        numbers = {
            KERNEL: Measurement(kernel.numpy(), 0.0, "field^2"),
            "width/kurtosis": Measurement(bent if corrected else 0.0, 0.0),
        }
        scales.append(Scale(float(layer), f"layer {layer}", measurements=numbers))
    name = "theory to first order in 1 / width" if corrected else "theory of infinite width"
    return Flow(name, DEPTH, tuple(scales))


def points(width: int, inputs: int = 4) -> Tensor:
    """Return inputs of unit mean square, float64 [inputs, width], the second half at a cosine of 0.9 to the first."""
    x = torch.randn(inputs, width, dtype=torch.float64, generator=torch.Generator().manual_seed(width))
    x[inputs // 2 :] = 0.9 * x[: inputs // 2] + 0.19**0.5 * x[inputs // 2 :]
    return x / x.square().mean(1, keepdim=True).sqrt()


def network(organism: RandomMlp, seed: int) -> nn.Sequential:
    """Return a network of one seed, in float64."""
    return organism.network(generator=torch.Generator().manual_seed(seed)).double()


def _preactivations(net: nn.Sequential, x: Tensor) -> Iterator[Tensor]:
    with torch.no_grad():
        for layer in net:
            x = layer(x)
            if isinstance(layer, nn.Linear):
                yield x


def _over_depth() -> Iterator[Row]:
    """Compare the mean over entries at every depth: errors and a bias of depth / width of the kernel are allowed."""
    organism = RandomMlp(SIGMA_W, SIGMA_B, WIDE, LAYERS)
    x = points(WIDE)
    measured, theory = kernel_flow(organism, x, SEEDS), kernel_theory(organism, x)
    for own, known in zip(measured, theory, strict=True):
        K, aim = own.measurements[KERNEL], np.asarray(known.measurements[KERNEL].value)
        for i, j in ((0, 0), (0, 1), (0, 2)):
            found = Measurement(K.value[i, j], K.error[i, j], K.unit, K.n_eff, K.how, K.dof)
            allowed = 4 * found.error + own.position / WIDE * abs(aim[i, j])
            yield Row(f"K_{i}{j} of {SEEDS} tanh networks, {own.label}, width {WIDE}", aim[i, j], found, allowed)


def _over_training() -> Iterator[Row]:
    """Load the checkpoints of a deep linear network from their files and compare the strength of every mode."""
    organism = DeepLinear(rate=0.004, sites=8, steps=2500)
    measured = mode_flow(organism)
    theory = training_flow("gradient flow", {int(s.position): _modes(organism, s.position) for s in measured})
    for i, strength in enumerate(organism.modes):
        pairs = [
            (own.measurements[f"modes/{i}"], known.measurements[f"modes/{i}"])
            for own, known in zip(measured, theory, strict=True)
        ]
        worst = max(abs(own.value - known.value) for own, known in pairs)
        # discrete steps lag behind the flow to first order in the rate; half as much again is left for the second
        allowed = 1.5 * max(_lag(organism, known.value, strength) for _, known in pairs) + 1e-6 * strength
        yield exact(f"mode {strength:g}, largest miss over {len(measured)} checkpoints", 0.0, worst, allowed)


def _lag(organism: DeepLinear, u: float, s: float) -> float:
    """Return by how much gradient descent misses the flow at strength u: du/dt times the delay of Euler's steps.

    For dw/dt = g(w) steps of size h follow g - h g g' / 2, later by h / 2 times ln of the ratio of g to g at the start.
    """
    depth = organism.depth

    def g(w: float) -> float:
        return w ** (depth - 1) * max(s - w**depth, 1e-12)

    delay = organism.rate / 2 * abs(np.log(g(u ** (1 / depth)) / g(organism.start ** (1 / depth))))
    return float(deep_linear.rate(u, s, depth) * delay)


def mode_flow(organism: DeepLinear) -> Flow:
    """Return the flow over training of the strengths of modes, read from checkpoints in a folder."""
    trained = organism.train(generator=torch.Generator().manual_seed(0))
    with TemporaryDirectory() as folder:
        write_organism(organism, trained, Path(folder))
        found = {c.step: _strengths(load_file(c.path), len(organism.modes)) for c in checkpoints_of(folder)}
    return training_flow("deep linear network", found)


def _strengths(state: dict[str, Tensor], modes: int) -> dict[str, Measurement]:
    product = torch.linalg.multi_dot([state[name].double() for name in sorted(state, reverse=True)])
    values = torch.linalg.svdvals(product)[:modes].tolist()
    return {f"modes/{i}": Measurement(value, 0.0) for i, value in enumerate(values)}


def _modes(organism: DeepLinear, step: float) -> dict[str, Measurement]:
    found = [deep_linear.strength(organism.rate * step, s, organism.start, organism.depth) for s in organism.modes]
    return {f"modes/{i}": Measurement(value, 0.0) for i, value in enumerate(found)}
