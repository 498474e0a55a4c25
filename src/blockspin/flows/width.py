"""Width: the flow of an ensemble of networks toward the Gaussian process that it becomes when it is infinitely wide."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from blockspin.errors import CheckpointError, NonFiniteError, ShapeError
from blockspin.flow import Axis, Direction, Flow, Scale, log_slope
from blockspin.flows._jackknife import jackknifed
from blockspin.flows.family import Kinship, number_in
from blockspin.measurement import Measurement

AXIS = Axis("width", "units", Direction.UNKNOWN)
WIDTH = Kinship(AXIS, "width")
"""What networks of one architecture and several widths are to each other."""
NO_WIDTH = re.compile(r"\d\.\d+\D*$|\d[kKmMbB]\b\D*$")
"""Names whose last number counts something else, as pythia-70m or pythia-1.4b."""
UNITS = {"width/kurtosis": "1", "width/vertex": "1", "width/overlap": "1", "width/kernel": "field^2"}


def outputs_of(networks: Iterable[nn.Module], inputs: Tensor) -> Tensor:
    """Return the outputs float64 [seeds, inputs, components] of networks drawn with different seeds, one at a time.

    Args:
        networks: The networks, in eval mode; a generator that makes each when it is asked for keeps one in memory.
        inputs: What all of them read, [inputs, ...].
    """
    with torch.no_grad():
        return torch.stack([network(inputs).to(torch.float64).reshape(len(inputs), -1) for network in networks])


def networks_of(places: Sequence[str], word: str = WIDTH.word) -> dict[int, str]:
    """Return the networks of a family by their width, or what else they differ in, in its order. Nothing is opened.

    The width is the last number in the name (``nets/width-64``, ``my.networks:width_64``), or stands before it
    (``512=EleutherAI/pythia-70m``).

    Args:
        places: Networks one by one (folders that ``save_pretrained`` wrote, Hugging Face ids, package.module:factory),
            or patterns of folders.
        word: What they differ in.

    Raises:
        CheckpointError: If fewer than two are found, two have the same width, or a name does not say it.
    """
    found: dict[int, str] = {}
    for width, model in (pair for place in places for pair in _sized(place, word)):
        if width in found:
            raise CheckpointError(
                f"{found[width]} and {model} are both of {word} {width}",
                f"Give one of each {word}, or say it before the name: 64=NAME.",
            )
        found[width] = model
    if len(found) < 2:
        raise CheckpointError(
            f"{len(found)} network(s) at {', '.join(places)}",
            "Give at least two folders, names or factories, or a pattern.",
        )
    return dict(sorted(found.items()))


def _sized(place: str, word: str) -> Iterator[tuple[int, str]]:
    """Yield the width, or what else is meant, and the name of every network that is meant."""
    head, sign, rest = place.partition("=")
    if sign and head.isdecimal():
        yield int(head), rest
        return
    listed = [place]
    if glob.has_magic(place):
        folders = sorted(glob.glob(str(Path(place).expanduser())))
        listed = [folder for folder in folders if (Path(folder) / "config.json").is_file()]
    for model in listed:
        name = model.rstrip("/").rpartition("/")[2].rpartition(":")[2]
        if NO_WIDTH.search(name):
            raise CheckpointError(f"the last number of {name} is no {word}", f"Say it before the name: 512={model}.")
        yield number_in(name, word, f"{word}-64, or say it before the name: 64=NAME"), model


def width_flow(name: str, outputs: Mapping[int, Tensor], theory: Tensor | None = None) -> Flow:
    r"""Return the flow over width of an ensemble of networks, from their outputs over the same inputs.

    Measured at every width, over seeds:

    - "width/kernel" [inputs, inputs]: :math:`K_{xy} = \langle f_x f_y \rangle`;
    - "width/kurtosis": :math:`\langle f_x^4 \rangle / K_{xx}^2 - 3`, averaged over inputs;
    - "width/vertex": :math:`(\langle f_x^2 f_y^2 \rangle - K_{xx} K_{yy} - 2 K_{xy}^2) / K_{xx} K_{yy}`, the connected
      four-point function averaged over pairs of different inputs;
    - "width/overlap" with a theory's kernel :math:`\Theta`: :math:`K \cdot \Theta / |K| |\Theta|`, with
      :math:`|K|^2` from pairs of different seeds, so that noise does not lower it.

    Kurtosis and vertex fall as one over width where the limit is a Gaussian process.

    Args:
        name: What flows: "random relu network".
        outputs: {width: [seeds, inputs, components]}; seeds are independent, means over them are zero by symmetry.
        theory: The kernel [inputs, inputs] of infinite width, or None.

    Raises:
        ShapeError: If outputs do not have these axes, or differ in their inputs, or the theory does.
        TooFewSamplesError: If there are fewer than 40 seeds.
        NonFiniteError: If an output is NaN or infinite.

    Do not trust when:
        Outputs have a mean (a bias that is not random): moments are about zero. Of few seeds the kurtosis is too small
        by a share of about 6 over their number.

    Source:
        yaida2020 for the connected four-point function at finite width.
    """
    inputs = {rows.shape[1] for rows in outputs.values() if rows.ndim == 3}
    if len(inputs) != 1 or any(rows.ndim != 3 for rows in outputs.values()):
        raise ShapeError("outputs are not [seeds, inputs, components] over the same inputs at every width")
    if theory is not None and theory.shape != (n := inputs.pop(), n):
        raise ShapeError(f"a kernel of shape {tuple(theory.shape)} does not belong to {n} inputs")
    scales = []
    for width in sorted(outputs):
        if not bool(torch.isfinite(outputs[width]).all()):
            raise NonFiniteError(f"an output at width {width} is NaN or infinite", "Check the networks.")
        found = jackknifed(outputs[width].to(torch.float64), lambda rows: _numbers(rows, theory), UNITS)
        scales.append(Scale(float(width), f"width {width}", measurements=found))
    return Flow(name, AXIS, tuple(scales))


def slope_in_width(flow: Flow, key: str = "width/kurtosis") -> Measurement:
    """Return the slope of ln |number| against ln width, by least squares weighted by the errors: ``flow.log_slope``.

    Raises:
        ConfigError: If the number is known at fewer than two widths.
        FitFailedError: If it changes sign, or is not told from zero (three errors) at some width.
    """
    return log_slope(flow, key)


def _numbers(f: Tensor, theory: Tensor | None) -> dict[str, Tensor]:
    seeds, inputs, components = f.shape
    own = torch.einsum("sxc,syc->sxy", f, f) / components
    K, square = own.mean(0), f.square()
    fourth = torch.einsum("sxc,syc->xy", square, square) / (seeds * components)
    power = K.diagonal()
    norm = power[:, None] * power[None]
    connected = (fourth - norm - 2 * K.square()) / norm
    different = ~torch.eye(inputs, dtype=torch.bool)
    found = {"width/kernel": K, "width/kurtosis": connected.diagonal().mean()}
    if inputs > 1:
        found["width/vertex"] = connected[different].mean()
    if theory is not None:
        pairs = (own.sum(0).square().sum() - own.square().sum()) / (seeds * (seeds - 1))
        aim = theory.to(torch.float64)
        found["width/overlap"] = (K * aim).sum() / (pairs.clamp(min=0).sqrt() * aim.norm())
    return found
