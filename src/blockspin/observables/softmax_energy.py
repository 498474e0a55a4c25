"""Softmax energy: energy, heat capacity and entropy of a softmax over classes along a scan of its temperature."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.observables.base import Observable, State, SumMonoid
from blockspin.registry import register


@dataclass(frozen=True)
class SoftmaxSums(SumMonoid):
    """Weighted sums over samples of energy, heat capacity, entropy and number of choices at each temperature.

    State: "weight" [], "sums" [4, temperatures], float64.

    Args:
        temperatures: Values of T, positive.
    """

    temperatures: tuple[float, ...]

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        energy = -batch.values.flatten(1).to(torch.float64)
        energy = energy - energy.mean(1, keepdim=True)  # softmax does not see it
        rows = torch.stack([_thermal(energy, T) for T in self.temperatures], dim=-1)  # [4, samples, temperatures]
        return {"weight": batch.weights.sum(), "sums": torch.einsum("n,qnt->qt", batch.weights, rows)}


def _thermal(energy: Tensor, T: float) -> Tensor:
    """Return energy, heat capacity, entropy and number of choices of each sample, [4, samples]."""
    log_p = (-energy / T).log_softmax(1)
    p = log_p.exp()
    mean = (p * energy).sum(1)
    variance = (p * (energy - mean[:, None]).square()).sum(1)
    entropy = torch.special.entr(p).sum(1)
    return torch.stack([mean, variance / T**2, entropy, entropy.exp()])


@register
@dataclass(frozen=True)
class SoftmaxEnergy(Observable):
    r"""Thermodynamics of a softmax whose logits are less an energy, mean over the samples.

    .. math:: p_k \propto e^{-E_k / T}, \qquad C(T) = \frac{\operatorname{Var}_p E}{T^2}
        = \frac{d \langle E \rangle}{dT} = \frac{dS}{d \ln T}

    The field is the logits: all its sites and components are the classes. Energies are counted from their mean over the
    classes, which a softmax does not see. Quantities, each [temperatures]: "energy" in the unit of the logits,
    "capacity" C, "entropy" S in nats, "choices", the mean of exp S: the effective number of classes. T = 1 is the
    network as it is.

    Args:
        temperatures: Values of T, positive.

    Raises:
        ConfigError: If there is none, or one is not positive and finite.

    Do not trust when:
        A class is masked by a large negative logit: it counts in the mean that energies are counted from.

    Source:
        guo2017 for the temperature of a classifier; the identities are those of any canonical ensemble.
    """

    name = "softmax-energy"
    source = "guo2017"
    units = {"energy": "logits", "capacity": "1", "entropy": "nats", "choices": "classes"}
    temperatures: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)

    def __post_init__(self):
        if not self.temperatures or any(not isfinite(T) or T <= 0 for T in self.temperatures):
            raise ConfigError("temperatures", self.temperatures, "at least one positive number.")

    @property
    def monoid(self) -> SoftmaxSums:
        """Sums over the samples."""
        return SoftmaxSums(self.temperatures)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the means.

        Raises:
            TooFewSamplesError: If there is no sample.
        """
        if not state:
            raise TooFewSamplesError("there are no logits", "Give samples.")
        means = state["sums"] / state["weight"]
        return dict(zip(("energy", "capacity", "entropy", "choices"), means, strict=True))
