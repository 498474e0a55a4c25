"""Finite width: kurtosis and vertex of deep networks over seeds fall as one over width, with the known coefficient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blockspin.flow import Flow
from blockspin.flows.width import outputs_of, slope_in_width, width_flow
from blockspin.organisms.random_mlp import RandomMlp
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether
from blockspin.tethers.finite_networks import kernel_theory, network, points

WIDTHS, LAYERS, SEEDS = (16, 32, 64), 4, 5000
KURTOSIS = "width/kurtosis"


@register
@dataclass(frozen=True)
class FiniteWidthTether(Tether):
    """Draw thousands of critical tanh networks of each width and average their outputs over seeds."""

    name = "finite-width"
    system = "critical tanh networks of four layers over width"
    source = "roberts2022"
    fast = False
    minutes = 0.6

    def rows(self) -> Iterator[Row]:
        """Yield the slope in ln width and the kurtosis at every width, to second order in depth / width."""
        flow = family(SEEDS)
        slope = slope_in_width(flow)
        bend = 1 / min(WIDTHS)  # second order in 1 / width bends the line by about this share
        yield Row("slope of the kurtosis in ln width", -1.0, slope, 4 * slope.error + bend, slope.unit)
        for scale in flow:
            width, found = int(scale.position), scale.measurements[KURTOSIS]
            known = kernel_theory(_organism(width), points(width, 2), corrected=True)
            aim = float(known[LAYERS - 1].measurements[KURTOSIS].value)
            allowed = 4 * found.error + LAYERS / width * aim
            yield Row(f"kurtosis of {SEEDS} networks of width {width}", aim, found, allowed)


def family(seeds: int, widths: tuple[int, ...] = WIDTHS) -> Flow:
    """Return the flow over width of the preactivations of the last layer."""
    outputs = {
        width: outputs_of((network(_organism(width), seed)[:-1] for seed in range(seeds)), points(width, 2))
        for width in widths
    }
    return width_flow("critical tanh networks", outputs)


def _organism(width: int) -> RandomMlp:
    return RandomMlp(1.0, 0.0, width, LAYERS)
