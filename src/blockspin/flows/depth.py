"""Depth: the flow of a network's representation from layer to layer."""

from __future__ import annotations

from collections.abc import Mapping

from blockspin.ensemble import Ensemble
from blockspin.flow import Axis, Direction, Flow, Scale
from blockspin.measurement import Measurement

AXIS = Axis("depth", "layers", Direction.UNKNOWN)


def depth_flow(
    name: str,
    ensembles: Mapping[str, Ensemble],
    measurements: Mapping[str, Mapping[str, Measurement]] | None = None,
) -> Flow:
    """Return the implicit flow over depth, read off a network.

    Its direction is not known beforehand and it has no length: both would have to be measured.

    Args:
        name: What flows: "network", "untrained network".
        ensembles: The ensemble of each layer, in the order of depth; the data themselves may come first.
        measurements: What was measured at each layer, {layer: {"observable/quantity": measurement}}.
    """
    rows = measurements or {}
    scales = tuple(
        Scale(position, layer, None, ensemble, measurements=dict(rows.get(layer, {})))
        for position, (layer, ensemble) in enumerate(ensembles.items())
    )
    return Flow(name, AXIS, scales)
