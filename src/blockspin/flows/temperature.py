"""Temperature: the flow of the local learning coefficient around a minimum, from many chains of Langevin dynamics."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import torch
from torch import Tensor

from blockspin.errors import ConfigError, MissingDependencyError, NonFiniteError, NotMixedError
from blockspin.flow import Axis, Direction, Flow, Scale
from blockspin.langevin import Flat, langevin_step
from blockspin.measurement import Measurement

AXIS = Axis("inverse temperature", "1/loss", Direction.REFINING)
Loss = Callable[[Tensor], Tensor]
"""From the parameters of all chains [chains, parameters] to the loss of each [chains]."""


@dataclass(frozen=True)
class Langevin:
    """How the tempered posterior around a minimum is sampled.

    Args:
        step: Variance of the noise of a step.
        chains: Chains, each with noise of its own.
        draws: Steps of a chain after burn-in.
        burn_in: Steps that are left out.
        pull: Strength of a Gaussian prior around the minimum.
        box: Half of the side of a cube around the minimum that the prior ends at.
        adjusted: Accept or refuse each step by the Metropolis rule, so that no bias of the step is left; the loss must
            then be the same function at every call. Without it (stochastic gradients) the bias grows with the step.
        most_rhat: Largest R-hat at which chains count as agreeing.
        least_effective: Smallest effective number of draws.
    """

    step: float
    chains: int = 16
    draws: int = 2000
    burn_in: int = 500
    pull: float = 0.0
    box: float = inf
    adjusted: bool = True
    most_rhat: float = 1.02
    least_effective: float = 200.0

    def __post_init__(self):
        if self.chains < 4 or self.draws < 100 or self.burn_in < 0:
            raise ConfigError("chains", (self.chains, self.draws), "at least 4 chains of 100 draws.")
        if not self.step > 0 or self.pull < 0 or not self.box > 0:
            raise ConfigError(
                "step", (self.step, self.pull, self.box), "a positive step and box, a pull of at least 0."
            )


def temperature_flow(
    name: str, loss: Loss, minimum: Tensor, inverse: Sequence[float], how: Langevin, *, generator: torch.Generator
) -> Flow:
    r"""Return the flow of the local learning coefficient over the inverse temperature t.

    .. math:: \lambda(t) = t \left(\langle L \rangle_t - L(w^*)\right), \qquad p(w) \propto e^{-t L(w)} \varphi(w)

    Quantities at every t: "learning-coefficient/local"; "learning-coefficient/rhat" and "learning-coefficient/accepted"
    say how well chains mixed. Where they did not there is no number, and the flow's ``ended`` says so.

    Args:
        name: What flows.
        loss: The loss of all chains at once; for a module see ``module_loss``.
        minimum: w*, [parameters]: a true minimum, or the coefficient comes out negative.
        inverse: Inverse temperatures t, number of samples times beta where the loss is a mean.
        how: The sampler.
        generator: Randomness of the chains.

    Raises:
        MissingDependencyError: If ArviZ is not installed.
        ConfigError: If an inverse temperature is not positive.
        NonFiniteError: If the loss is NaN or infinite.

    Do not trust when:
        The limit of large t is asked for: with degenerate minima it is reached like 1 / ln t. The prior's own width
        enters at small t.

    Source:
        watanabe2009 for the learning coefficient, lau2025 for its local estimator, roberts1996 for the chains.
    """
    if not inverse or min(inverse) <= 0:
        raise ConfigError("inverse", list(inverse), "positive numbers.")
    scales, failed = [], []
    for t in sorted(inverse):
        trace, accepted = sample(loss, minimum, t, how, generator=generator)
        found = {"learning-coefficient/accepted": Measurement(accepted, 0.0, how="count")}
        try:
            found |= coefficient(t * (trace - float(loss(minimum[None])[0])), how)
        except NotMixedError as reason:
            failed.append(f"t = {t:g}: {reason.what}")
        scales.append(Scale(float(t), f"t = {t:g}", measurements=found))
    return Flow(name, AXIS, tuple(scales), "; ".join(failed))


def sample(loss: Loss, minimum: Tensor, t: float, how: Langevin, *, generator: torch.Generator) -> tuple[Tensor, float]:
    """Return the loss along all chains, float64 [chains, draws], and the share of steps that were accepted."""
    centre = minimum.to(torch.float64)
    w = centre.expand(how.chains, -1).clone()
    energy, value, force = _energy(loss, w, centre, t, how)
    trace, accepted, size = [], 0.0, how.step / 2
    for k in range(how.burn_in + how.draws):
        moved = langevin_step(w, force, size=size, generator=generator)
        after, value_after, force_after = _energy(loss, moved, centre, t, how)
        there, back = moved - w + size * force, w - moved + size * force_after  # the noise that leads there, and back
        ratio = energy - after + (there.square().sum(1) - back.square().sum(1)) / (4 * size)
        chance = torch.rand(how.chains, dtype=torch.float64, generator=generator).log()
        taken = (chance < ratio) if how.adjusted else torch.ones(how.chains, dtype=torch.bool)
        taken &= ((moved - centre).abs() <= how.box).all(1)
        w, force = torch.where(taken[:, None], moved, w), torch.where(taken[:, None], force_after, force)
        energy, value = torch.where(taken, after, energy), torch.where(taken, value_after, value)
        if k >= how.burn_in:
            trace.append(value)
            accepted += float(taken.double().mean()) / how.draws
    return torch.stack(trace, 1), accepted


def coefficient(draws: Tensor, how: Langevin) -> dict[str, Measurement]:
    """Return the mean of draws [chains, draws] with its Monte-Carlo error, and R-hat.

    Raises:
        NotMixedError: If chains do not agree, or too few draws are effective.
        MissingDependencyError: If ArviZ is not installed.
    """
    arviz = _arviz()
    array = draws.numpy()
    rhat, effective = float(arviz.rhat(array)), float(arviz.ess(array))
    if not (rhat <= how.most_rhat and effective >= how.least_effective):
        raise NotMixedError(
            f"chains have not mixed: R-hat {rhat:.3f}, {effective:.0f} effective draws",
            f"Take more draws, or another step: at most {how.most_rhat}, at least {how.least_effective:g} are needed.",
        )
    error, text = float(draws.std()) / sqrt(effective), f"{how.chains} chains of {how.draws} draws"
    return {
        "learning-coefficient/local": Measurement(float(draws.mean()), error, "1", effective, text),
        "learning-coefficient/rhat": Measurement(rhat, 0.0, "1", effective, "rank-normalised, of the loss"),
    }


def module_loss(module: torch.nn.Module, criterion: Callable[[torch.nn.Module], Tensor]) -> tuple[Loss, Tensor]:
    """Return the loss of a module as a function of its flattened parameters, and those that it has, in float64.

    Args:
        module: In eval mode; it is copied, and left as it is.
        criterion: From a module to its loss, a scalar.
    """
    import copy

    whole = copy.deepcopy(module).to(torch.float64)
    flat = Flat.of(whole)

    def one(vector: Tensor) -> Tensor:
        given = {f"inner.{name}": value for name, value in flat.named(vector).items()}
        return torch.func.functional_call(_Criterion(whole, criterion), given, ())

    return torch.func.vmap(one), flat.start


class _Criterion(torch.nn.Module):
    """A module and its loss as one module without inputs."""

    def __init__(self, inner: torch.nn.Module, criterion: Callable[[torch.nn.Module], Tensor]):
        super().__init__()
        self.inner, self.criterion = inner, criterion

    def forward(self) -> Tensor:
        return self.criterion(self.inner)


def _energy(loss: Loss, w: Tensor, centre: Tensor, t: float, how: Langevin) -> tuple[Tensor, Tensor, Tensor]:
    """Return minus the log density of each chain, its loss, and the gradient of the former."""
    leaf = w.detach().requires_grad_()
    with torch.enable_grad():
        value = loss(leaf)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
    if not bool(torch.isfinite(value).all()):
        raise NonFiniteError(f"the loss is NaN or infinite at inverse temperature {t:g}", "Take a smaller step.")
    away = w - centre
    energy = t * value.detach() + how.pull / 2 * away.square().sum(1)
    return energy, value.detach(), t * slope + how.pull * away


def _arviz() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own future
        try:
            import arviz
        except ImportError:
            raise MissingDependencyError("arviz is not installed", "pip install 'blockspin[mcmc]'") from None
    return arviz
