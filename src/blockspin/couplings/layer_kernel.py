"""Layer kernel: variances of weights and biases of one layer, from what it makes of the kernel between inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from blockspin.couplings._gaussian_kernel import ACTIVATIONS, activated_kernel
from blockspin.couplings._moments import SecondMoments as SecondMoments
from blockspin.couplings._moments import kernel_of
from blockspin.couplings._moments import units_as_samples as units_as_samples
from blockspin.couplings._whitened import whitened
from blockspin.couplings.base import Coupling, Fit, Goodness
from blockspin.ensemble import Ensemble, check_finite, group_of
from blockspin.errors import AlignmentError, ConfigError, FitFailedError, TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.registry import register

COLLINEAR = 1e10
"""Weight and bias variances are not told apart where the condition number of their normal equations is beyond this."""


@register
@dataclass(frozen=True, eq=False)
class LayerKernel(Coupling):
    r"""The random layer of infinite width that makes a measured kernel of the one before it.

    .. math:: K'(x, y) = \sigma_b^2 + \sigma_w^2 F(x, y), \qquad F = \langle \phi(u) \phi(v) \rangle_{(u, v) \sim K}

    Samples are the units of the layer, sites the inputs (``units_as_samples``), so that errors come from units, which
    are independent given the layer before: not from inputs, which share their weights. Least squares over all pairs of
    inputs, weighted by the variance that Gaussian units would give each entry.

    Quantities: "weight_variance" sigma_w^2 (variance of a weight times the fan-in), "bias_variance" sigma_b^2; neither
    is held to be positive. Their errors by the engine are those of this layer's units; ``fit_layer`` adds those of the
    layer before.

    Args:
        kernel: K of the layer before, preactivations, float64 [inputs, inputs] (for the first layer use "linear" and
            the products of the inputs themselves over their number of features).
        activation: phi, by name.

    Raises:
        ConfigError: If there is no such activation, or the kernel is no square matrix.

    Do not trust when:
        The layer before is not wide: F is then not what the units before really make (the note "finite_width" of
        ``fit_layer`` says by how much). Inputs are all alike, or all orthogonal: one of the variances then takes over
        for the other.

    Source:
        poole2016.
    """

    name = "layer-kernel"
    source = "poole2016"
    units: ClassVar[Mapping[str, str]] = {"weight_variance": "1", "bias_variance": "field^2"}
    left_out: ClassVar[tuple[str, ...]] = (
        "correlations between weights, or of weights with features",
        "skip connections",
    )
    given: ClassVar[tuple[str, ...]] = ("kernel",)
    kernel: Tensor = field(default_factory=lambda: torch.eye(2, dtype=torch.float64), repr=False)
    activation: str = "tanh"

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ConfigError("activation", self.activation, f"one of {', '.join(sorted(ACTIVATIONS))}.")
        if self.kernel.ndim != 2 or self.kernel.shape[0] != self.kernel.shape[1]:
            raise ConfigError("kernel", tuple(self.kernel.shape), "a square matrix over inputs.")

    @cached_property
    def activated(self) -> Tensor:
        """F [inputs, inputs]."""
        return activated_kernel(self.kernel.to(torch.float64), self.activation)

    @property
    def monoid(self) -> SecondMoments:
        """Products of the fields of units at pairs of inputs."""
        return SecondMoments()

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the two variances.

        Raises:
            TooFewSamplesError: If there is no unit.
            ShapeError: If the field is over another number of inputs than the kernel.
            FitFailedError: If inputs do not tell weights from biases.
        """
        return _variances(self._kernel(state), self.activated)

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the root mean square difference of held-out and fitted kernel, over its mean diagonal.

        Its error is that of the entries' scatter, taken as if pairs of inputs were independent. No p-value: the kernel
        of finite width differs from the theory by as much as from its own mean (``fit_layer`` has a test).
        """
        g = self.value(fitted)
        expected = float(g["bias_variance"]) + float(g["weight_variance"]) * self.activated
        off = (self._kernel(held_out) - expected)[_upper(expected)] / expected.diagonal().mean()
        size = float(off.square().mean().sqrt())
        error = size / (2 * len(off)) ** 0.5
        units, how = float(held_out["weight"]), "scatter over pairs of inputs"
        return Goodness("relative misfit of the held-out kernel", Measurement(size, error, n_eff=units, how=how))

    def _kernel(self, state: State) -> Tensor:
        return kernel_of(state, len(self.kernel))


def fit_layer(before: Ensemble, after: Ensemble, activation: str, *, groups: int = 20) -> Fit:
    r"""Return the variances of a layer with errors from the units of both layers, and whether it is a random one.

    The error adds two jackknives in squares: over groups of units after, and over groups of units before of what
    :math:`\sigma_w^2 (\phi\phi - F)` does to the fit, which is the noise of finite width. The p-value is that of the
    units after being independent Gaussians of covariance :math:`\sigma_b^2 + \sigma_w^2 E`, with E the average of
    phi phi over the units that there are, at any width before: small where weights are correlated with features, as
    training makes them where it learns features (training that hardly moves the weights is not noticed). The score is
    the relative misfit of F itself.

    Args:
        before: Preactivations of the layer before, units as samples of a field over inputs.
        after: Those of the layer itself.
        activation: phi, by name.
        groups: Groups of units behind either error.

    Raises:
        AlignmentError: If the two are not over as many inputs.
        TooFewSamplesError: If units of the layer do not outnumber the inputs, or a group is empty.
        FitFailedError: If inputs do not tell weights from biases.

    Source:
        poole2016.
    """
    u, z = (layer.values.flatten(1).to(torch.float64) for layer in (before, after))
    if u.shape[1] != z.shape[1]:
        raise AlignmentError(f"layers over {u.shape[1]} and {z.shape[1]} inputs", "Read both over the same inputs.")
    coupling = LayerKernel(u.T @ u / len(u), activation)
    E = _mean_products(ACTIVATIONS[activation](u))
    g = _variances(_mean_products(z), coupling.activated)
    outer = _jackknife([_variances(K, coupling.activated) for K in _without(z, after, groups)])
    phi = ACTIVATIONS[activation](u)
    inner: list[dict[str, Tensor]] = []
    for K, other in zip(_without(u, before, groups), _without(phi, before, groups), strict=True):
        moved = _mean_products(z) + g["weight_variance"] * (other - E)
        inner.append(_variances(moved, activated_kernel(K, activation)))
    how = f"least squares over pairs of inputs, jackknife over {groups} groups of units of both layers"
    narrow = _jackknife(inner)
    total = {key: (outer[key] ** 2 + narrow[key] ** 2) ** 0.5 for key in g}
    measured = {
        key: Measurement(float(g[key]), total[key], LayerKernel.units[key], len(z), how, groups - 1) for key in g
    }
    misfit = _relative(_mean_products(z), float(g["bias_variance"]) + g["weight_variance"] * coupling.activated)
    score = Measurement(misfit, misfit / (2 * u.shape[1]) ** 0.5, n_eff=len(z), how="scatter over pairs of inputs")
    width = Measurement(_relative(E, coupling.activated), 0.0, how="average over units against Gaussian average")
    goodness = Goodness("relative misfit of the kernel", score, random_layer_p_value(z, E))
    return Fit(LayerKernel.name, measured, goodness, LayerKernel.left_out, {"finite_width": width})


def random_layer_p_value(fields: Tensor, averaged: Tensor) -> float:
    r"""Return the probability of a fit so bad, or so good, of units that are Gaussians of covariance s_b + s_w E.

    The likelihood ratio against any covariance, of the two variances of greatest likelihood (``_whitened``).

    Args:
        fields: Preactivations float64 [units, inputs].
        averaged: E, mean products of the activations before, float64 [inputs, inputs].

    Raises:
        TooFewSamplesError: If units do not outnumber the inputs by ten.
        NonFiniteError: If a field is NaN or infinite.
        FitFailedError: If E is singular (two inputs are the same, or the layer before is narrower than their number).
    """
    check_finite(fields, "the layer")
    return whitened(_mean_products(fields), averaged).p_value(len(fields))


def _variances(K: Tensor, activated: Tensor) -> dict[str, Tensor]:
    """Return the two variances by weighted least squares over pairs of inputs."""
    d = K.diagonal()
    w = (1 / (torch.outer(d, d) + K.square()))[_upper(K)]  # entries of a Wishart matrix have that variance, over n
    y, F = K[_upper(K)], activated[_upper(K)]
    X = torch.stack([F, F.mean().expand(len(F))], 1)  # a constant as large as F, so that both columns weigh alike
    normal = X.T @ (w[:, None] * X)
    if len(K) < 2 or not bool(torch.isfinite(normal).all()) or float(torch.linalg.cond(normal)) > COLLINEAR:
        raise FitFailedError(
            "inputs do not tell weights from biases", "Give inputs of several norms or angles, and a layer that varies."
        )
    weight, bias = torch.linalg.solve(normal, X.T @ (w * y))
    return {"weight_variance": weight, "bias_variance": bias * F.mean()}


def _upper(K: Tensor) -> tuple[Tensor, Tensor]:
    i, j = torch.triu_indices(len(K), len(K))
    return i, j


def _mean_products(x: Tensor) -> Tensor:
    return x.T @ x / len(x)


def _without(x: Tensor, layer: Ensemble, groups: int) -> list[Tensor]:
    """Return mean products of all groups of units but one, each in turn.

    Raises:
        TooFewSamplesError: If a group is empty.
    """
    group = group_of(layer.units, groups)
    sizes = torch.bincount(group, minlength=groups)
    if not bool((sizes > 0).all()):
        raise TooFewSamplesError(f"{len(x)} units do not fill {groups} groups", "Ask for fewer groups.")
    total = x.T @ x
    return [(total - x[group == k].T @ x[group == k]) / (len(x) - int(sizes[k])) for k in range(groups)]


def _jackknife(replicas: list[dict[str, Tensor]]) -> dict[str, float]:
    count = len(replicas)
    return {
        key: float(torch.stack([row[key] for row in replicas]).std()) * (count - 1) / count**0.5 for key in replicas[0]
    }


def _relative(K: Tensor, expected: Tensor) -> float:
    """Return the root mean square difference over pairs of inputs, over the mean variance."""
    return float((K - expected)[_upper(K)].square().mean().sqrt() / expected.diagonal().mean())
