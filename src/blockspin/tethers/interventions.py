"""Interventions: answers of linear and error-function layers to shifts of features, with and without all parents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.interventions.experiment import experiment
from blockspin.interventions.features import Features, directions
from blockspin.interventions.plan import Plan
from blockspin.interventions.responses import GIVEN, SLOPE, WHOLE, Response
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.sources.base import draw_records
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import linear_response as theory

MIXING = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.5, -0.5, 0.7]], dtype=torch.float64)
"""From independent numbers to the activation: what makes its entries go together."""
JACOBIAN = torch.tensor([[1.0, 0.5, -1.0], [0.3, -1.0, 0.4]], dtype=torch.float64)
DELTA, SPREAD, RECORDS = 1.0, 1.5, 2000


class Erf(torch.nn.Module):
    """The error function of each entry."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return torch.erf(x)


def layer_response(layer: torch.nn.Module, points: Tensor, given: int) -> Response:
    """Return how the outputs of a layer answer to shifts of the first entries of its input.

    Args:
        layer: From [n, d] to outputs.
        points: float64 [n, d].
        given: How many entries are features.
    """
    network = torch.nn.Sequential(torch.nn.Identity(), layer).eval()
    records = member("sources", "given-records")(tuple(points.float().numpy()), "array")
    recipe = NetworkRecipe(member("sources", "given-module")(network), "array")
    sample, tokens = draw_records(records, len(points)), member("representations", "tokens")()
    reading = ActivationPass(recipe, sample, ("0", "1"), tokens, 256, 256, 40)

    def make(name: str, covariance: Tensor) -> Features:
        count = given if name == "0" else len(covariance)
        names = tuple(f"entry {k}" for k in range(count))
        return directions(torch.eye(len(covariance), dtype=torch.float64)[:count], names)

    found = experiment(
        reading,
        make,
        Plan(delta=DELTA),
        executor=member("engine", "serial")(),
        generator=torch.Generator().manual_seed(0),
    )
    return found.responses[0]


@register
class InterventionsTether(Tether):
    """Shift entries of Gaussian activations, and hold what moves against the regression on what was observed."""

    name = "interventions"
    system = "layers whose answers to interventions are known"
    source = "baldovin2020"

    def rows(self) -> Iterator[Row]:
        """Yield a linear layer with all parents and with some left out, and the error function."""
        generator = torch.Generator().manual_seed(0)
        points = torch.randn(RECORDS, 3, generator=generator, dtype=torch.float64)
        yield from _linear(points @ MIXING.T)
        yield from _erf(SPREAD * points[:, :1])


def _linear(points: Tensor) -> Iterator[Row]:
    layer = torch.nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(JACOBIAN)
    J, C = JACOBIAN.numpy(), (MIXING @ MIXING.T).numpy()
    deviation = np.sqrt(np.diag(J @ C @ J.T))
    for given in (3, 2, 1):
        response = layer_response(layer, points, given)
        m = J[:, :given].T * np.sqrt(np.diag(C))[:given, None] / deviation
        p = theory.regression(J, C, list(range(given))).T * np.sqrt(np.diag(C))[:given, None] / deviation
        expected = theory.slope(m, p)
        of = f"{given} of 3 parents given"
        whole = response.numbers[WHOLE][SLOPE]
        yield exact(f"slope from the whole activation, {of}", 1.0, float(whole.value), 1e-5)
        slope = response.numbers[GIVEN][SLOPE]
        if given == 3:
            yield exact(f"slope, {of}", expected, float(slope.value), 1e-5)
        else:
            yield sampled(f"slope, {of}", expected, slope)


def _erf(points: Tensor) -> Iterator[Row]:
    response, variance = layer_response(Erf(), points, 1), SPREAD**2
    moved = theory.erf_shift(DELTA * SPREAD, variance)
    expected = moved / (DELTA * SPREAD * theory.erf_slope(variance))
    yield sampled(
        "slope of the error function, a shift of one standard deviation", expected, response.numbers[GIVEN][SLOPE]
    )
    deviation = np.sqrt(2 / np.pi * np.arcsin(2 * variance / (1 + 2 * variance)))
    answer = response.measured
    one = Measurement(answer.value[0, 0], answer.error[0, 0], answer.unit, answer.n_eff, answer.how, answer.dof)
    yield sampled("its answer", moved / (DELTA * deviation), one)
