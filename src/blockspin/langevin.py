"""Langevin: one step of a noisy descent, and chains of it around a trained network, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

Call = Callable[[Tensor], Tensor]


def langevin_step(
    theta: Tensor, gradient: Tensor, *, size: float, temperature: float = 1.0, generator: torch.Generator
) -> Tensor:
    r"""Return where one unadjusted step of Langevin dynamics leads.

    .. math:: \theta' = \theta - \epsilon \nabla U + \sqrt{2 \epsilon T}\, \xi

    Its stationary law is exp(-U / T) up to an error of first order in the size: for U = k theta^2 / 2 the variance is
    T / (k (1 - size k / 2)). Do not trust when size times the largest curvature comes near 2, where it diverges.

    Args:
        theta: Where the chains are, any shape; each entry gets its own noise.
        gradient: Of the energy U there, same shape; of a batch's energy it makes this SGLD.
        size: Time of one step.
        temperature: Of the law, in units of the energy.
        generator: Randomness of the noise.

    Source: roberts1996, welling2011.
    """
    noise = torch.empty_like(theta).normal_(generator=generator)
    return torch.add(theta, gradient, alpha=-size).add_(noise, alpha=(2 * size * temperature) ** 0.5)


@dataclass(frozen=True, eq=False)
class Flat:
    """The parameters of a module as one vector.

    Args:
        shapes: Of each parameter, by its name.
        start: The vector that the module has now, [parameters].
    """

    shapes: Mapping[str, torch.Size]
    start: Tensor

    @classmethod
    def of(cls, module: nn.Module) -> Flat:
        """Read a module's parameters; they are copied."""
        named = {name: parameter.detach() for name, parameter in module.named_parameters()}
        start = torch.cat([value.reshape(-1) for value in named.values()])
        return cls({name: value.shape for name, value in named.items()}, start)

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """Return a vector [parameters] as parameters by name, as ``functional_call`` takes them."""
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


@dataclass(frozen=True)
class Chains:
    """How chains are run around a network.

    Args:
        chains: How many, each with its own batches and noise.
        steps: Steps of each.
        batch: Samples in the gradient of one step, drawn with replacement.
        size: Time of one step.
        inverse_temperature: What multiplies the mean loss in the energy: n beta.
        localisation: Strength of the spring to where the chains start.
    """

    chains: int
    steps: int
    batch: int
    size: float
    inverse_temperature: float
    localisation: float


def chain_losses(
    module: nn.Module,
    loss: Callable[[Call, Tensor], Tensor],
    samples: int,
    how: Chains,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Return the loss [chains, steps] on the batch of every step of SGLD, before that step.

    The energy is inverse_temperature * mean loss + localisation / 2 * |theta - start|^2, at temperature 1. All chains
    take each step together. The network itself is not changed. A chain that diverges ends in NaN.

    Args:
        module: The network; its parameters are where all chains start.
        loss: Mean loss on some rows of the data, given what calls the network and the rows.
        samples: How many rows the data have.
        how: How the chains are run.
        generator: Randomness of batches and noise.

    Source: welling2011.
    """
    flat = Flat.of(module)
    start = flat.start

    def energy(theta: Tensor, rows: Tensor) -> Tensor:
        named = flat.named(theta)
        return loss(lambda x: functional_call(module, named, (x,)), rows)

    gradients = vmap(grad_and_value(energy))
    theta = start.expand(how.chains, -1).clone()
    losses = torch.empty(how.chains, how.steps)
    for step in range(how.steps):
        rows = torch.randint(samples, (how.chains, how.batch), generator=generator)
        slope, value = gradients(theta, rows)
        losses[:, step] = value.detach()
        force = slope.mul_(how.inverse_temperature).add_(theta - start, alpha=how.localisation)
        theta = langevin_step(theta, force, size=how.size, generator=generator)
    return losses
