"""Layer theory: what infinite width makes of a kernel from one linear map to the next, and where equal maps lead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor

from blockspin.capture.linear_maps import LinearMap
from blockspin.couplings._gaussian_kernel import ACTIVATIONS
from blockspin.errors import BlockspinError
from blockspin.flow import Flow, Scale
from blockspin.flows.depth import AXIS
from blockspin.measurement import Measurement
from blockspin.running.replicas import Replicas
from blockspin.theory.gaussian_average import averages, pair_average, slope
from blockspin.theory.mean_field import propagation

NODES = 32
"""Of the Gaussian averages of pairs: to 1e-6 of the variance for tanh of variance 4."""
ALIKE = 0.01
"""Layers are taken for equal unless their variances differ with a smaller chance than this."""
STEP = 0.25
"""Errors by which variances are moved to differentiate the fixed point by them."""


def jackknifed(rows: np.ndarray, unit: str = "1") -> Measurement:
    """Return a number with its error from what it is of all units, first, and with each group left out."""
    groups = len(rows) - 1
    error = float(rows[1:].std(ddof=1)) * (groups - 1) / groups**0.5
    how = f"delete-group jackknife, {groups} groups of units of all layers"
    return Measurement(float(rows[0]), error, unit, groups, how, groups - 1)


@dataclass(frozen=True, eq=False)
class OneStep:
    """Kernels before and after one linear map, of all units and with each group left out, [1 + groups].

    Args:
        name: Of the map.
        activation: What stands before it.
        kernel: Mean variance, and mean covariance of neighbouring inputs, as measured.
        predicted: The same by infinite width, from the kernel before and the weights' own variances.
        chi: By what the mean square of small differences grows.
    """

    name: str
    activation: str
    kernel: Mapping[str, np.ndarray]
    predicted: Mapping[str, np.ndarray]
    chi: np.ndarray

    def measured(self) -> dict[str, Measurement]:
        """Return the measured kernel, its errors those of its difference from the theory, and chi."""
        rows = {}
        for key, values in self.kernel.items():
            less = jackknifed(values - self.predicted[key])
            rows[f"kernel/{key}"] = Measurement(values[0], less.error, "field^2", less.n_eff, less.how, less.dof)
        return rows | {"propagation/chi": jackknifed(self.chi)}

    def theory(self) -> dict[str, Measurement]:
        """Return the kernel that infinite width makes of the one before; its errors stand with the measured one."""
        how = "infinite width, from the kernel before and the weights' own variances"
        return {f"kernel/{key}": Measurement(row[0], 0.0, "field^2", how=how) for key, row in self.predicted.items()}


def one_step(before: LinearMap, after: LinearMap, activation: str, fit: Replicas, groups: int) -> OneStep:
    r"""Return what a map makes of the kernel before it, beside :math:`\sigma_b^2 + \sigma_w^2 F(K)`.

    Variances are those of the weights themselves, so that nothing of the theory was fitted to the kernel. Leaving out
    units after is plain; leaving out units *before* moves the kernel by sigma_w^2 times what it does to the mean
    products of their activations, and F with it: the noise of finite width.

    Args:
        before: The map before, over the same inputs.
        after: The map itself.
        activation: What stands between them, by name.
        fit: The coupling of the map.
        groups: Groups of units of either.
    """
    phi = ACTIVATIONS[activation]
    weight = float(after.weight.square().mean()) * after.weight.shape[1]
    bias = float(after.bias.square().mean())
    K, E, own = (_left_out(x, groups) for x in (before.fields, after.features, after.fields))
    moved = own + weight * (E - E[:1])
    derivative, variances = slope(phi), _diagonal(K)
    bend = averages(lambda z: derivative(z).square(), variances.flatten()).reshape(variances.shape).mean(1)
    square = averages(lambda z: phi(z).square(), variances.flatten()).reshape(variances.shape).mean(1)
    both = torch.tensor([_neighbours(phi, row) for row in K.tolist()], dtype=torch.float64)
    kernel = {"variance": _diagonal(moved).mean(1), "covariance": _beside(moved).mean(1)}
    predicted = {"variance": bias + weight * square, "covariance": bias + weight * both}
    fitted = np.array([fit.values["weight_variance"], *fit.replicas["weight_variance"]])
    return OneStep(
        after.name,
        activation,
        {key: row.numpy() for key, row in kernel.items()},
        {key: row.numpy() for key, row in predicted.items()},
        fitted * bend.numpy(),
    )


def _left_out(x: Tensor, groups: int) -> Tensor:
    """Return mean products over units of all, and with each group left out, [1 + groups, inputs, inputs]."""
    rows = [x, *(x[:, torch.arange(x.shape[1]) % groups != g] for g in range(groups))]
    return torch.stack([row @ row.T / row.shape[1] for row in rows])


def _diagonal(K: Tensor) -> Tensor:
    return K.diagonal(dim1=1, dim2=2)


def _beside(K: Tensor) -> Tensor:
    """Return the covariances of the first input with the second, the third with the fourth, and so on."""
    return K.diagonal(1, dim1=1, dim2=2)[:, ::2]


def _neighbours(phi: Callable[[Tensor], Tensor], K: list[list[float]]) -> float:
    pairs = [(K[i][i], K[i][i + 1], K[i + 1][i + 1]) for i in range(0, len(K) - 1, 2)]
    return float(np.mean([pair_average(phi, phi, pair, NODES) for pair in pairs]))


# --- equal layers -----------------------------------------------------------------------------------------------------


def fixed_point(steps: Sequence[OneStep], fits: Mapping[str, Replicas]) -> tuple[Flow | None, str]:
    """Return where signals settle if all maps are alike, with errors from those of the variances; or why there is none.

    Both variances are weighted means over the layers that an activation stands before.

    Args:
        steps: The maps.
        fits: The coupling of each, by name.
    """
    if len({step.activation for step in steps}) != 1:
        return None, "" if not steps else "activations differ from layer to layer, so that there is no fixed point."
    rows, least = {}, 1.0
    for key in ("weight_variance", "bias_variance"):
        values = np.array([[fits[s.name].values[key], *fits[s.name].replicas[key]] for s in steps])
        errors = np.array([fits[s.name].measurement(key).error for s in steps])
        weights = errors**-2 / (errors**-2).sum()
        rows[key] = weights @ values
        spread = (((values[:, 0] - rows[key][0]) / errors) ** 2).sum()
        least = min(least, 2 * float(chi2.sf(spread, len(steps) - 1)) if len(steps) > 1 else 1.0)
    if least < ALIKE:
        return None, f"variances differ from layer to layer (p = {least:.1g}), so that there is no common fixed point."
    try:
        return _settled(steps[0].activation, rows["weight_variance"], rows["bias_variance"]), ""
    except BlockspinError as reason:
        return None, f"there is no fixed point of the variance: {reason}"


def _settled(activation: str, weight: np.ndarray, bias: np.ndarray) -> Flow:
    """Return the fixed point, its errors by its slopes at the variances.

    Raises:
        FitFailedError: If there is none.
    """
    at = np.array([weight[0], bias[0]])
    C = (len(weight) - 2) ** 2 / (len(weight) - 1) * np.cov(np.stack([weight[1:], bias[1:]]))
    errors = np.sqrt(np.diag(C))

    def settled(shift: np.ndarray) -> np.ndarray:
        w, b = at + shift
        found = propagation(ACTIVATIONS[activation], float(w), max(0.0, float(b)))
        return np.array([found.variance, found.correlation, found.susceptibility, 1 / found.correlation_depth])

    middle = settled(np.zeros(2))
    moves = np.diag(STEP * errors)
    slopes = np.stack([(settled(move) - settled(-move)) / (2 * STEP) for move in moves], 1)  # per error
    R = C / np.outer(errors, errors)
    spread = np.sqrt(np.einsum("ki,ij,kj->k", slopes, R, slopes))
    how = "mean field of the layers' mean variances, errors to first order"
    names = (("variance", "field^2"), ("correlation", "1"), ("chi", "1"), ("inverse_depth", "1"))
    dof = len(weight) - 2
    rows = {
        f"propagation/{name}": Measurement(middle[i], spread[i], unit, dof + 1, how, dof)
        for i, (name, unit) in enumerate(names)
    }
    rows["propagation/weight_variance"] = jackknifed(weight)
    rows["propagation/bias_variance"] = jackknifed(bias, "field^2")
    rate, error = middle[3], spread[3]
    if rate > 2 * error:
        rows["propagation/depth"] = Measurement(1 / rate, error / rate**2, "1", dof + 1, how, dof)
    return Flow("equal layers of infinite width", AXIS, (Scale(0.0, "fixed point", measurements=rows),))
