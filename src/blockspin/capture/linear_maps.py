"""Linear maps: what enters and what leaves each linear map of a network of vectors, over a few inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blockspin.capture.base import Network
from blockspin.capture.hooks import capture_as
from blockspin.capture.places import INPUT
from blockspin.errors import ShapeError

ROUNDING = 1e-5
"""Share of the largest activation by which two ways of computing it may differ."""
REMEDY = "Read a network of one vector a record, or fit a map in Python with the coupling random-layer."


@dataclass(frozen=True, eq=False)
class LinearMap:
    """One linear map, in float64.

    Args:
        name: Path of the module.
        at: The first of the layers asked for that is reached with it or after it; blank where none is.
        features: What enters [inputs, features].
        fields: What leaves [inputs, units].
        weight: Its weights [units, features].
        bias: Its biases [units]; zeros where it has none.
    """

    name: str
    at: str
    features: Tensor
    fields: Tensor
    weight: Tensor
    bias: Tensor

    def first(self, inputs: int) -> LinearMap:
        """Return the same over the first inputs alone."""
        return LinearMap(self.name, self.at, self.features[:inputs], self.fields[:inputs], self.weight, self.bias)

    def follows(self, before: LinearMap, activations: Mapping[str, Callable[[Tensor], Tensor]]) -> str:
        """Return the name of the activation that makes what enters here of what leaves the map before; blank if none.

        Blank says that something else stands between them: a skip connection, a norm, an activation not named.
        """
        x, z = self.features, before.fields
        if x.shape != z.shape or not len(x):
            return ""
        near = ROUNDING * float(x.abs().max())
        return next((name for name, phi in activations.items() if float((phi(z) - x).abs().max()) <= near), "")


def linear_maps(network: Network, contents: Sequence[Any], layers: Sequence[str] = ()) -> tuple[LinearMap, ...]:
    """Read every linear map of a network of vectors, in the order in which they run.

    Args:
        network: The network, in eval mode.
        contents: A few inputs, run as one batch.
        layers: Places to say of each map where along them it stands.

    Raises:
        ShapeError: If there is no linear map, or maps read several positions of a record, as behind attention or a
            convolution: units are then no samples over the records.
        MissingModelError: If a map is never reached.
    """
    linear = {name: module for name, module in network.module.named_modules() if name and isinstance(module, nn.Linear)}
    if not linear:
        raise ShapeError("the network has no linear map", REMEDY)
    inputs, _ = network.run(contents)
    order: list[str] = []
    places = dict.fromkeys(layers)

    def read(place: str, activation: Tensor) -> Tensor:
        order.append(place)
        if place.removesuffix(INPUT) not in linear:
            return torch.empty(0)  # reached, and not kept
        if activation.shape[1] != 1:
            raise ShapeError(
                f"{place.removesuffix(INPUT)!r} reads {activation.shape[1]} positions of a record, as behind attention "
                "or a convolution: its units are no samples over the records",
                REMEDY,
            )
        return activation[:, 0].to("cpu", torch.float64, copy=True)

    both = [place for name in linear for place in (f"{name}{INPUT}", name)]
    found = capture_as(read, network, inputs, tuple(dict.fromkeys([*both, *places])))
    maps = []
    for name in sorted(linear, key=order.index):
        module, features, fields = linear[name], found[f"{name}{INPUT}"], found[name]
        at = next((place for place in order[order.index(name) :] if place in places), "")
        weight = module.weight.detach().to("cpu", torch.float64)
        bias = torch.zeros(len(weight), dtype=torch.float64)
        if module.bias is not None:
            bias = module.bias.detach().to("cpu", torch.float64)
        maps.append(LinearMap(name, at, features, fields, weight, bias))
    return tuple(maps)
