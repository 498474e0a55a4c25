"""Axis, Scale and Flow: ensembles and measurements along one named axis, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from blockspin.errors import ConfigError, FitFailedError
from blockspin.law import Source
from blockspin.measurement import Measurement

if TYPE_CHECKING:
    import xarray


class Direction(Enum):
    """Which way a flow runs: toward fewer, larger-scale degrees of freedom, toward more, or not known."""

    COARSENING = "coarsening"
    REFINING = "refining"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Axis:
    """What the scale runs along.

    Args:
        name: Depth, training, width, temperature, noise level, or the name of the scheme that is iterated.
        unit: The unit of positions, "1" for a count.
        direction: Which way positions run.
    """

    name: str
    unit: str = "1"
    direction: Direction = Direction.UNKNOWN


@dataclass(frozen=True, eq=False)
class Scale:
    """One point of a flow.

    Args:
        position: Where the point lies on the axis.
        label: Its name for a person: a layer path, a number of sites.
        log_length: ln of its length in spacings of the finest level, where a length exists; grows toward coarse.
        ensemble: The field at this scale (samples or a law), or None where it was measured in a stream only.
        fit_half: The half of the units that the coarse-graining was fitted on, likewise coarse-grained.
        map: The fitted map that led here from the scale before, or None at the first.
        factor: The field renormalisation applied after the map.
        measurements: What was measured here, by "observable/quantity".
    """

    position: float
    label: str
    log_length: float | None = None
    ensemble: Any = None
    fit_half: Any = None
    map: Any = None
    factor: Any = 1.0
    measurements: Mapping[str, Measurement] = field(default_factory=dict)

    def next(self, map: Any, fit_half: Source, ensemble: Source, factor: Any = 1.0) -> Scale:
        """Return the scale that one coarse-graining step leads to; the lattice spacing grows by the map's b."""
        length = None if self.log_length is None or map.log_b is None else self.log_length + map.log_b
        label = sites_label(ensemble.geometry.sites)
        return Scale(self.position + 1, label, length, ensemble, fit_half, map, factor)

    def with_measurements(self, measurements: Mapping[str, Measurement]) -> Scale:
        """Return the same scale with more measurements."""
        return replace(self, measurements={**self.measurements, **measurements})


@dataclass(frozen=True, eq=False)
class Flow:
    """Ensembles and measurements along one axis: read off a network, or computed by iterating a scheme.

    Args:
        name: What flows: "network", "untrained network", "principal-modes of encoder.layer.5".
        axis: What the scale runs along.
        scales: The points, in order of position.
        ended: Why a computed ladder stopped, empty where it ran to the number of steps asked for.
    """

    name: str
    axis: Axis
    scales: tuple[Scale, ...]
    ended: str = ""

    def __len__(self) -> int:
        return len(self.scales)

    def __iter__(self) -> Iterator[Scale]:
        return iter(self.scales)

    def __getitem__(self, index: int) -> Scale:
        return self.scales[index]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the scales, in order."""
        return tuple(scale.label for scale in self.scales)

    def with_measurements(self, rows: Mapping[str, Mapping[str, Measurement]]) -> Flow:
        """Return the flow with measurements added to its scales, by label."""
        return replace(self, scales=tuple(s.with_measurements(rows.get(s.label, {})) for s in self.scales))

    def to_xarray(self) -> xarray.Dataset:
        """Return the measurements as a labelled dataset along the dimension ``scale``.

        One variable "observable.quantity" and its error "observable.quantity:error" for each quantity.

        Arrays of different lengths at different scales (spectra) are padded with NaN.
        """
        import xarray

        variables: dict[str, Any] = {}
        for key in sorted({key for scale in self.scales for key in scale.measurements}):
            found = [scale.measurements.get(key) for scale in self.scales]
            known = next(m for m in found if m is not None)
            name = key.replace("/", ".")  # a slash would be a path in the file formats that xarray writes
            dims = ("scale", *(f"{name}:{i}" for i in range(np.ndim(known.value))))
            attributes = {"unit": known.unit, "how": known.how, "dof": known.dof}
            variables[name] = (dims, _stack([None if m is None else m.value for m in found]), attributes)
            variables[f"{name}:error"] = (dims, _stack([None if m is None else m.error for m in found]))
            variables[f"{name}:n_eff"] = ("scale", [np.nan if m is None else m.n_eff for m in found])
        length = [np.nan if s.log_length is None else s.log_length for s in self.scales]
        coordinates = {
            "position": ("scale", [s.position for s in self.scales], {"unit": self.axis.unit}),
            "label": ("scale", list(self.labels)),
            "log_length": ("scale", length),
        }
        about = {"name": self.name, "axis": self.axis.name, "direction": self.axis.direction.value, "ended": self.ended}
        return xarray.Dataset(variables, coords=coordinates, attrs=about)


def sites_label(sites: int) -> str:
    """Return the label of a coarse-grained level: its number of sites."""
    return "1 site" if sites == 1 else f"{sites} sites"


def log_slope(flow: Flow, key: str) -> Measurement:
    """Return the slope of ln |number| against ln position along a flow, by least squares weighted by the errors.

    Args:
        flow: Its positions positive where the number is known: widths, temperatures.
        key: The number, "observable/quantity".

    Raises:
        ConfigError: If the number is known at fewer than two positions, or one is not positive.
        FitFailedError: If it changes sign, or is not told from zero (three errors) at some position.
    """
    rows = [(scale.position, scale.measurements[key]) for scale in flow if key in scale.measurements]
    if len(rows) < 2 or min(position for position, _ in rows) <= 0:
        raise ConfigError("key", key, "a number that is known at two positive positions at least.")
    at, value, error = (np.array(c, float) for c in zip(*((x, m.value, m.error) for x, m in rows), strict=True))
    if not (np.abs(value) > 3 * error).all() or len(set(np.sign(value))) > 1:
        raise FitFailedError(
            f"{key} is not of one sign, three errors from zero, at every {flow.axis.name}: {value.tolist()}",
            "Give more samples.",
        )
    weight, x = (value / error) ** 2, np.log(at)
    mean = (weight * x).sum() / weight.sum()
    spread = (weight * (x - mean) ** 2).sum()
    slope = (weight * (x - mean) * np.log(np.abs(value))).sum() / spread
    how = f"weighted least squares over {len(x)} {flow.axis.name}s"
    return Measurement(slope, spread**-0.5, "1", rows[0][1].n_eff, how)


def _stack(rows: list[Any]) -> np.ndarray:
    arrays = [np.asarray(np.nan if row is None else row, dtype=float) for row in rows]
    rank = max(array.ndim for array in arrays)
    arrays = [array if array.ndim == rank else np.full((1,) * rank, np.nan) for array in arrays]
    shape = tuple(max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True))
    stacked = np.full((len(arrays), *shape), np.nan)
    for i, array in enumerate(arrays):
        place: Any = (i, *(slice(n) for n in array.shape))
        stacked[place] = array
    return stacked
