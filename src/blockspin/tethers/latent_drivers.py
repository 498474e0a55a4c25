"""Latent drivers: rates and covariances of units that share latents but do not interact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.registry import member, register
from blockspin.tethers._means import mean_over_units
from blockspin.tethers.base import Row, Tether, sampled
from blockspin.theory import latent_drivers as theory


@register
@dataclass(frozen=True)
class LatentDriversTether(Tether):
    """Draw spikes and compare with Gaussian integrals; given the latents nothing is left."""

    name = "latent-drivers"
    system = "independent binary units driven by five latent variables"
    source = "morrell2021"

    def rows(self) -> Iterator[Row]:
        """Yield a rate, a covariance, and the covariance that remains given the latents."""
        model = member("sources", "latent-drivers")(sites=8, time=0.5, chains=20)
        spikes, truth = model.sample_with_truth(60_000, generator=torch.Generator().manual_seed(0))
        W, x = truth.shared["weights"], spikes.values[:, :, 0].double()
        rates = torch.from_numpy(theory.rates(W.numpy(), model.bias))
        i, j = divmod(int((W @ W.T).fill_diagonal_(0).abs().argmax()), 8)  # the pair that shares most
        yield sampled("rate of a unit", float(rates[i]), mean_over_units(x[:, i], spikes))
        d = x - rates
        expected = theory.covariance(W[i].numpy(), W[j].numpy(), model.bias)
        yield sampled("covariance of two units", expected, mean_over_units(d[:, i] * d[:, j], spikes))
        rest = x - torch.sigmoid(model.bias + truth.samples["latents"] @ W.T)
        yield sampled("their covariance given the latents", 0.0, mean_over_units(rest[:, i] * rest[:, j], spikes))
