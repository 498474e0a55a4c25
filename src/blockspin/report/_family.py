"""Along a family: one figure a quantity, a line a layer, over training steps or widths; what its sections share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from blockspin.report._folder import RunFolder, Series
from blockspin.report._html import bars, figure, finite, in_unit, panel
from blockspin.report._labels import LEGEND, cut

SHADES = ("var:accent", "var:in", "var:out", "var:open", "var:ink")
NAMED = 5
"""Most layers that the legend names."""
FIRST_HUE, LAST_HUE = 225, 385
"""Blue to orange by way of violet: as dark all along."""
Marks = Sequence[tuple[str, tuple[float, float]]]
"""Intervals that are shaded, each with its layer."""


def panels(
    run: RunFolder, role: str, titles: Mapping[str, str], title: str, marks: Mapping[str, Marks] | None = None
) -> list[Markup]:
    """Return one figure a quantity that was measured along a family.

    Args:
        run: The run folder.
        role: Of its flows: "training", "width".
        titles: Of the quantities that are shown, in this order; all else is in the files of the flows.
        title: Of the axis.
        marks: What is shaded, by quantity.
    """
    found = {key: [s for s in run.quantities.get(key, ()) if s.role == role] for key in titles}
    colours = _colours(list(dict.fromkeys(item.flow for series in found.values() for item in series)))

    def draw(key: str) -> Markup:
        own = (marks or {}).get(key, ())
        return panel(titles[key], lambda: _plot((titles[key], title), found[key], own, colours))

    return [draw(key) for key, series in found.items() if series]


def _plot(titles: tuple[str, str], series: Sequence[Series], own: Marks, colours: Mapping[str, str]) -> Markup:
    layout: dict[str, Any] = {
        "xaxis": axis([item.positions for item in series], titles[1]),
        "showlegend": len(series) > 1,
        "legend": {"title": {"text": "layer "}},
        "shapes": [shade(interval) for interval in {interval for _, interval in own}],
    }
    where = "; ".join(f"{layer} between {low:g} and {high:g} {series[0].unit_of_axis}" for layer, (low, high) in own)
    caption = f"Shaded: {where}. " if own else ""
    if len(series) > NAMED:
        caption += "Layers run from the first (blue) to the last (orange); point at a line for its name. "
    caption += f"Bars are two standard errors: {series[0].how}."
    named = {series[round(k * (len(series) - 1) / (NAMED - 1))].flow for k in range(NAMED)}
    lines = [line(item, colours[item.flow], item.flow in named) for item in series]
    return figure(titles[0] + in_unit(series[0].unit), lines, layout, caption)


def axis(positions: Sequence[np.ndarray], title: str) -> dict[str, Any]:
    """Return a logarithmic axis with a tick a decade, or at every position where they span few.

    A start at zero stands at half the first position after it.
    """
    every = np.unique(np.concatenate(positions))
    after = every[every > 0]
    if not len(after):
        return {"title": {"text": title}}
    decades = [10.0**k for k in range(int(np.floor(np.log10(after.min()))), int(np.log10(after.max())) + 1)]
    shown = [tick for tick in decades if tick >= after.min()]
    shown = shown if len(shown) > 1 else after.tolist()
    names = [f"{tick:g}" for tick in shown]
    if len(after) < len(every):
        shown, names = [start(after), *shown], ["start", *names]
    ticks = {"tickmode": "array", "tickvals": shown, "ticktext": names}
    return {"type": "log", "title": {"text": f"{title} (logarithmic)"}, **ticks}


def start(after: np.ndarray) -> float:
    """Return where a start at zero stands on a logarithmic axis, given the positions after it."""
    return float(after.min()) / 2 if len(after) else 1.0


def line(item: Series, colour: str, named: bool) -> dict[str, Any]:
    """Return one curve in its colour, with its error bars; in the legend where it is named there."""
    first = start(item.positions[item.positions > 0])
    return {
        "x": finite(np.where(item.positions > 0, item.positions, first)),
        "y": finite(item.value),
        "error_y": {**bars(item.error), "color": colour},
        "text": list(item.labels),
        "name": cut(item.flow, LEGEND),
        "showlegend": named,
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"size": 5, "color": colour},
        "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
    }


def _colours(layers: Sequence[str]) -> dict[str, str]:
    """Return the colour of each layer, by its place between the first and the last where there are many."""
    if len(layers) <= len(SHADES):
        return dict(zip(layers, SHADES, strict=False))
    step = (LAST_HUE - FIRST_HUE) / (len(layers) - 1)
    return {layer: f"hsl({(FIRST_HUE + k * step) % 360:.0f}, 65%, 52%)" for k, layer in enumerate(layers)}


def shade(interval: Sequence[float]) -> dict[str, Any]:
    """Return a band between two positions, behind the curves."""
    edges = {"x0": interval[0], "x1": interval[1], "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "rect", **edges, "fillcolor": "var:open", "opacity": 0.15, "line": {"width": 0}}
