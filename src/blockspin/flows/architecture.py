"""Architecture: the scales that a network's layers imply, what they use of them, and those of its activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log, nan

import torch
from torch import Tensor, nn

from blockspin.errors import NonFiniteError, ShapeError, UnknownLayerError
from blockspin.flow import Flow, Scale
from blockspin.flows._jackknife import jackknifed
from blockspin.flows.depth import AXIS
from blockspin.measurement import Measurement

FALLEN = 1 / 2.718281828459045
"""Correlation at which its length is read."""


def architecture_flow(
    name: str, module: nn.Module, inputs: Tensor, layers: Sequence[str] = (), *, generator: torch.Generator
) -> Flow:
    r"""Return the flow over depth of the scales of a network on grids, in sites of the input.

    At every layer, an array with one number an axis of the grid:

    - "scale/field": sites from the first to the last that one output site in the middle depends on, exactly: where the
      gradient of random combinations of its components does not vanish on some input. Where the field reaches the edge
      of the input it is cut off there; ``how`` says so.
    - "scale/stride": by how much the field moves to the next output site, the product of all ratios b; where it is one
      number for all axes, ``log_length`` is its logarithm. Not given where the field is cut off or there is one site.
    - "scale/effective": the size of a uniform field whose squared gradient has the same spread,
      :math:`\sqrt{12 \sigma^2 + 1}`; what the layer uses of its field (luo2016).
    - "scale/correlation_length": distance at which the connected correlation of activations, averaged over components
      and sites, has fallen to 1/e, times the stride.

    Args:
        name: What flows.
        module: In eval mode; reads [samples, channels, ...grid].
        inputs: At least 40 independent ones, all unlike.
        layers: Paths of modules whose output is [samples, components, ...grid]; by default all without children whose
            output has as many axes as the input.
        generator: Randomness of the combinations.

    Raises:
        UnknownLayerError: If a path does not exist.
        ShapeError: If a layer's output is on no grid, or none is.
        TooFewSamplesError: If there are fewer than 40 inputs.
        NonFiniteError: If a gradient is NaN or infinite.

    Do not trust when:
        A layer takes maxima, or is mostly dead: a dependence that no input shows is not seen. Normalisation over the
        grid (as in layer norm over pictures) makes everything depend on everything, weakly; "effective" shows it.

    Source:
        araujo2019 for fields, luo2016 for effective ones.
    """
    taken = _layers(module, layers)
    leaf = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        outputs = _outputs(module, leaf, taken)
        if not layers:
            outputs = {path: out for path, out in outputs.items() if out.ndim == inputs.ndim}
        if not outputs or any(out.ndim != inputs.ndim for out in outputs.values()):
            bad = {path: tuple(out.shape) for path, out in outputs.items() if out.ndim != inputs.ndim}
            raise ShapeError(f"no grid of {inputs.ndim - 2} axes in the outputs {bad}", "Name layers on the grid.")
        scales = [_scale(position, path, out, leaf, generator) for position, (path, out) in enumerate(outputs.items())]
    return Flow(name, AXIS, tuple(scales))


def _scale(position: int, path: str, out: Tensor, leaf: Tensor, generator: torch.Generator) -> Scale:
    grid = out.shape[2:]
    middle = [size // 2 for size in grid]
    energy = _energy(out, leaf, middle, generator)
    field, cut = _extent(energy)
    how = "cut off by the edge of the input" if cut else "exact: where gradients do not vanish"
    found = {"scale/field": Measurement(_sizes(field), 0.0, "sites", how=how)}
    stride = None if cut else _stride(out, leaf, middle, field, generator)
    if stride is not None:
        found["scale/stride"] = Measurement(stride, 0.0, "sites", how="exact: from one output site to the next")
    factor = torch.tensor(stride, dtype=torch.float64) if stride is not None else None
    measured: dict[str, tuple[Tensor, Callable[[Tensor], Tensor]]] = {"scale/effective": (energy, _effective)}
    if factor is not None and max(grid) > 1:
        measured["scale/correlation_length"] = (out.detach(), lambda rows: factor * _correlation_length(rows))
    for key, (rows, value) in measured.items():
        number = jackknifed(rows, _named(key, value), {key: "sites"})[key]
        if bool((torch.as_tensor(number.value) == torch.as_tensor(number.value)).all()):  # no NaN
            found[key] = number
    length = log(stride[0]) if stride is not None and len(set(stride)) == 1 and stride[0] > 0 else None
    return Scale(float(position), path, length, measurements=found)


def _named(key: str, value: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Mapping[str, Tensor]]:
    return lambda rows: {key: value(rows)}


def _layers(module: nn.Module, paths: Sequence[str]) -> dict[str, nn.Module]:
    every = {path: part for path, part in module.named_modules() if path}
    for path in paths:
        if path not in every:
            raise UnknownLayerError(path, every)
    leaves = {path: part for path, part in every.items() if not any(part.children())} or {"": module}
    return {path: every[path] for path in paths} if paths else leaves


def _outputs(module: nn.Module, inputs: Tensor, layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Run once and return what each layer gives, in the order in which they ran."""
    found: dict[str, Tensor] = {}

    def keep(path: str) -> Callable[[nn.Module, object, object], None]:
        def hook(part: nn.Module, given: object, output: object) -> None:
            if isinstance(output, Tensor):
                found[path] = output

        return hook

    handles = [layer.register_forward_hook(keep(path)) for path, layer in layers.items()]
    try:
        module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _energy(out: Tensor, leaf: Tensor, site: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return the squared gradient of random combinations of a site's components, float64 [samples, ...grid]."""
    at = out
    for place in site:  # each takes one axis of the grid away
        at = at.select(2, place)
    weights = torch.randn(at.shape, dtype=at.dtype, generator=generator)
    (slope,) = torch.autograd.grad((at * weights).sum(), leaf, retain_graph=True)
    if not bool(torch.isfinite(slope).all()):
        raise NonFiniteError("a gradient is NaN or infinite", "Check the inputs.")
    scale = slope.abs().max().clamp(min=torch.finfo(slope.dtype).tiny)
    return (slope / scale).to(torch.float64).square().sum(1)


def _extent(energy: Tensor) -> tuple[list[tuple[int, int]], bool]:
    """Return first and last site along each axis, and whether one of them is at an edge."""
    touched = (energy > 0).any(0)
    if not bool(touched.any()):
        return [(0, -1)] * touched.ndim, True
    ends, cut = [], False
    for axis in range(touched.ndim):
        others = [k for k in range(touched.ndim) if k != axis]
        along = (touched.any(dim=others) if others else touched).nonzero().flatten()
        ends.append((int(along[0]), int(along[-1])))
        cut |= ends[-1][0] == 0 or ends[-1][1] == touched.shape[axis] - 1
    return ends, cut


def _sizes(ends: Sequence[tuple[int, int]]) -> list[float]:
    return [float(last - first + 1) for first, last in ends]


def _stride(
    out: Tensor, leaf: Tensor, site: Sequence[int], field: Sequence[tuple[int, int]], generator: torch.Generator
) -> list[float] | None:
    """Return how far the field moves along each axis to the output site before; None where that is cut off."""
    found = []
    for axis, place in enumerate(site):
        if place == 0:
            return None
        before = [*site]
        before[axis] = place - 1
        moved, cut = _extent(_energy(out, leaf, before, generator))
        if cut:
            return None
        found.append(float(field[axis][0] - moved[axis][0]))
    return found


def _effective(energy: Tensor) -> Tensor:
    """Return the equivalent uniform size along each axis of the mean squared gradient."""
    mean = energy.mean(0)
    sizes = []
    for axis in range(mean.ndim):
        others = [k for k in range(mean.ndim) if k != axis]
        share = mean.sum(dim=others) if others else mean
        share = share / share.sum()
        x = torch.arange(len(share), dtype=torch.float64)
        centre = (share * x).sum()
        sizes.append((12 * (share * (x - centre).square()).sum() + 1).sqrt())
    return torch.stack(sizes)


def _correlation_length(rows: Tensor) -> Tensor:
    """Return where the correlation along each axis falls to 1/e, in output sites; NaN where it does not."""
    field = rows.to(torch.float64) - rows.to(torch.float64).mean(0)
    lengths = []
    for axis in range(2, field.ndim):
        size, values = field.shape[axis], [1.0]
        power = field.square().mean()
        for r in range(1, size):
            pair = field.narrow(axis, 0, size - r) * field.narrow(axis, r, size - r)
            values.append(float(pair.mean() / power))
            if values[-1] < FALLEN:
                break
        fell = values[-1] < FALLEN
        step = (values[-2] - FALLEN) / (values[-2] - values[-1]) if fell else nan
        lengths.append(len(values) - 2 + step)
    return torch.tensor(lengths, dtype=torch.float64)
