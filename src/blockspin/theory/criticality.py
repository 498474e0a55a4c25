"""Criticality: at which weights and biases a deep network neither swells nor dims, and how its couplings then run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import torch
from scipy.optimize import brentq

from blockspin.errors import ConfigError
from blockspin.theory.gaussian_average import Function, average, slope

SCALE_INVARIANT, ZERO_KERNEL, HALF_STABLE = "scale-invariant", "K* = 0", "half-stable"
SMALLEST, LARGEST = 1e-3, 1e3
"""Range of K in which a half-stable fixed point is sought."""


@dataclass(frozen=True)
class Criticality:
    """A critical initialisation.

    Args:
        bias_variance: C_b.
        weight_variance: C_W.
        kernel: K*; NaN where any value is kept.
        universality: "scale-invariant", "K* = 0" or "half-stable".
    """

    bias_variance: float
    weight_variance: float
    kernel: float
    universality: str


@dataclass(frozen=True, eq=False)
class RunningCouplings:
    r"""Couplings of one input's pre-activations, float64 [layers], first layer first.

    Args:
        kernel: K, the variance.
        vertex: V, with E[z_i^2 z_j^2] - E[z_i^2] E[z_j^2] = V / n and E[z^4] - 3 E[z^2]^2 = 3 V / n to leading order, n
            the width of the layer *before*.
        parallel: chi_par = dK'/dK.
        perpendicular: chi_perp = C_W <phi'^2>.
    """

    kernel: np.ndarray
    vertex: np.ndarray
    parallel: np.ndarray
    perpendicular: np.ndarray


def parallel(phi: Function, K: float, weight_variance: float = 1.0) -> float:
    r"""Return :math:`\chi_\parallel = C_W \langle z \phi \phi' \rangle_K / K`, how a kernel's error grows a layer.

    Source: roberts2022.
    """
    derivative = slope(phi)
    return weight_variance * average(lambda z: z * phi(z) * derivative(z), K) / K


def perpendicular(phi: Function, K: float, weight_variance: float = 1.0) -> float:
    r"""Return :math:`\chi_\perp = C_W \langle \phi'^2 \rangle_K`, how a small difference of inputs grows a layer.

    Source: roberts2022.
    """
    derivative = slope(phi)
    return weight_variance * average(lambda z: derivative(z).square(), K)


def critical_initialisation(phi: Function) -> Criticality | None:
    r"""Return where :math:`\chi_\parallel = \chi_\perp = 1` and K is kept, or None where there is no such point.

    The ratio of the two susceptibilities is a function of K alone: 1 everywhere for scale-invariant activations, 1 at
    K = 0 where phi(0) = 0 (kept only if :math:`a_1 = s_3/s_1 + \tfrac34 (s_2/s_1)^2 < 0`), and for some smooth
    activations at one K in between. Roots with C_b < 0 do not count, nor those at which the averages are not resolved
    (activations that grow like exp, or bend elsewhere than at zero). Root accurate to about 1e-10.

    Args:
        phi: Activation, in torch, smooth but for a kink at zero.

    Source:
        roberts2022, chapter 5.
    """
    grid = np.geomspace(SMALLEST, LARGEST, 121)
    both = np.array([(parallel(phi, K), perpendicular(phi, K)) for K in grid])
    with np.errstate(invalid="ignore", over="ignore"):
        ratio = both[:, 0] / both[:, 1] - 1
    if np.abs(ratio).max() < 1e-10:
        return Criticality(0.0, 1 / perpendicular(phi, 1.0), float("nan"), SCALE_INVARIANT)
    if _passes_zero(phi) and decay_coefficient(phi) < 0:
        return Criticality(0.0, 1 / perpendicular(phi, 0.0), 0.0, ZERO_KERNEL)
    finite = np.isfinite(ratio[:-1]) & np.isfinite(ratio[1:])  # an activation that grows like exp overflows
    for i in np.flatnonzero(finite & ((ratio[:-1] > 0) != (ratio[1:] > 0))):
        low, high = grid[i : i + 2]
        K = brentq(lambda K: parallel(phi, K) / perpendicular(phi, K) - 1, low, high, xtol=1e-14, rtol=1e-14)
        weight = 1 / perpendicular(phi, K)
        bias = K - weight * average(lambda z: phi(z).square(), K)
        if bias >= 0 and _resolved(phi, K):
            return Criticality(bias, weight, K, HALF_STABLE)
    return None


def decay_coefficient(phi: Function) -> float:
    r"""Return :math:`a_1 = s_3/s_1 + \tfrac34 (s_2/s_1)^2`, s_p the derivatives at 0; at criticality K -> -1/(a_1 l).

    For smooth activations with phi(0) = 0 and phi'(0) not 0; tanh -2, sin -1. Corrections are of relative order
    log(l) / l. Source: roberts2022, chapter 5.
    """
    s1, s2, s3 = derivatives_at_zero(phi)
    return s3 / s1 + 0.75 * (s2 / s1) ** 2


def perpendicular_exponent(phi: Function) -> float:
    r"""Return p of :math:`1 - \chi_\perp \to p / l` in the class K* = 0: b_1 / a_1 with b_1 = s_3/s_1 + (s_2/s_1)^2.

    It is 1 for odd activations. Source: roberts2022, chapter 5.
    """
    s1, s2, s3 = derivatives_at_zero(phi)
    return (s3 / s1 + (s2 / s1) ** 2) / decay_coefficient(phi)


def derivatives_at_zero(phi: Function) -> tuple[float, float, float]:
    """Return the first three derivatives of a smooth function at 0, by automatic differentiation."""
    f, found = phi, []
    for _ in range(3):
        f = _derivative(f)
        found.append(float(f(torch.zeros(1, dtype=torch.float64))[0].detach()))
    return found[0], found[1], found[2]


def vertex_growth(phi: Function) -> float:
    r"""Return nu: at criticality V / K^2 grows by it each layer, to leading order in the depth.

    2/3 in the class K* = 0, :math:`3 A_4 / A_2^2 - 1` for slopes a and b, A_p = (a^p + b^p) / 2: ReLU 5, linear 2.

    Args:
        phi: Activation of the scale-invariant or the K* = 0 class.

    Raises:
        ConfigError: If it is of neither.

    Source:
        roberts2022, chapters 4 and 5.
    """
    found = critical_initialisation(phi)
    if found is None or found.universality == HALF_STABLE:
        raise ConfigError("phi", phi, "an activation of the scale-invariant or the K* = 0 class")
    if found.universality == ZERO_KERNEL:
        return 2 / 3
    a, b = phi(torch.tensor([1.0, -1.0], dtype=torch.float64)).abs().tolist()
    return 3 * ((a**4 + b**4) / 2) / ((a**2 + b**2) / 2) ** 2 - 1


def running_couplings(
    phi: Function, initialisation: tuple[float, float], depth: int, kernel: float, widths: Sequence[int] | None = None
) -> RunningCouplings:
    r"""Return kernel and four-point vertex of one input over the layers.

    .. math:: K' = C_b + C_W \langle \phi^2 \rangle, \qquad
        V' = \frac{n'}{n} \chi_\parallel^2 V + C_W^2 (\langle \phi^4 \rangle - \langle \phi^2 \rangle^2)

    with n and n' the widths that feed the two layers. Leading order in 1 / width; the next order is of relative size
    depth / width. V / (n K^2) above about 0.3 says that a layer is not near to Gaussian.

    Args:
        phi: Activation, in torch.
        initialisation: (C_b, C_W).
        depth: Layers of pre-activations, so many entries come back.
        kernel: K of the first layer, whose V is 0.
        widths: Widths of the layers of units between them, depth - 1 of them; None takes them all as equal.

    Raises:
        ConfigError: If the number of widths is wrong.

    Source:
        roberts2022, chapter 4.
    """
    if widths is not None and len(widths) != depth - 1:
        raise ConfigError("widths", list(widths), f"{depth - 1} of them, one between each pair of layers")
    C_b, C_W = initialisation
    K, V, before = kernel, 0.0, inf
    rows = []
    for layer in range(depth):
        chi, across = parallel(phi, K, C_W), perpendicular(phi, K, C_W)
        rows.append((K, V, chi, across))
        width = widths[layer] if widths is not None and layer < depth - 1 else 1
        square = average(lambda z: phi(z).square(), K)
        fresh = C_W**2 * (average(lambda z: phi(z) ** 4, K) - square**2)
        V, K = chi**2 * V * (width / before) + fresh, C_b + C_W * square
        before = width
    return RunningCouplings(*np.array(rows).T)


def _resolved(phi: Function, K: float) -> bool:
    """Return whether integration by parts holds: it does not where an average is cut off, or phi jumps or bends."""
    by_parts = average(lambda z: phi(z).square() * (z.square() - K), K) / (2 * K**2)
    return abs(by_parts / parallel(phi, K) - 1) < 1e-6


def _passes_zero(phi: Function) -> bool:
    """Return whether phi(0) = 0 with a slope, and phi is smooth there."""
    h = torch.tensor([-1e-6, 0.0, 1e-6], dtype=torch.float64)
    below, at, above = phi(h).tolist()
    return at == 0 and abs(above) > 1e-9 and abs(above + below) < 1e-4 * abs(above)


def _derivative(f: Function) -> Function:
    """Return the derivative such that it can be differentiated again."""

    def derived(z: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            at = z if z.requires_grad else z.detach().clone().requires_grad_()
            return torch.autograd.grad(f(at).sum(), at, create_graph=True)[0]

    return derived
