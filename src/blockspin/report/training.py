"""Training: couplings of every layer along the checkpoints, and where they change faster than relaxations can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from blockspin.report._folder import RunFolder, Series
from blockspin.report._html import Section, bars, figure, fill, finite, nice, panel
from blockspin.report._labels import LEGEND, cut, words

ORDER = 35
FIRST = {
    "participation-ratio.debiased": "Participation ratio",
    "cka.with_last": "Similarity with the last checkpoint (debiased CKA)",
    "cka.similarity": "Similarity with the checkpoint before (debiased CKA)",
    "cka.with_target": "Alignment of the kernel with that of the targets",
    "cka.with_layer_before": "Similarity with the layer before (debiased CKA)",
    "cumulants.kurtosis": "Excess kurtosis",
    "covariance.variance": "Total variance",
}
"""Shown in this order and with these titles; all else that was measured is in the files of the flows."""
OWN = {"loss": "Loss during the training", "accuracy": "Accuracy during the training"}
"""Curves of the training itself that are drawn beside the flow, by the last word of their names."""
BODY = """
<p>Every checkpoint was read over the same inputs. Shaded: where a curve changes faster than any relaxation.</p>
{% if own %}<div class="grid">{% for plot in own %}{{ plot }}{% endfor %}</div>{% endif %}
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% macro table(rows) %}
<div class="scroll" tabindex="0"><table>
<tr><th>quantity</th><th>layer</th><th>transition</th><th>steps</th><th>changes by</th><th>relaxations at most</th></tr>
{% for curve in rows %}
<tr><td>{{ curve.quantity }}</td><td><code>{{ curve.layer }}</code></td>
<td><span class="chip {{ curve.verdict|replace(" ", "-") }}">{{ signs[curve.verdict] }} {{ curve.verdict }}</span></td>
<td class="num">{{ "%g"|format(curve.interval[0]) }} to {{ "%g"|format(curve.interval[1]) }}</td>
<td class="num">{{ curve.share|number }}</td><td class="num">{{ "%.3f"|format(curve.bound) }}</td></tr>
{% endfor %}
</table></div>
{% endmacro %}
{% if seen %}{{ table(seen) }}{% endif %}
{% if others %}<details><summary>{{ others|length }} without a transition</summary>{{ table(others) }}</details>
{% endif %}
{% if seen or others %}
<p class="soft">The steps are those between which a curve exceeds relaxations most, whatever the verdict. Changes are
shares of the range between the first checkpoint and the last.</p>
{% endif %}
"""
SHADES = ("var:accent", "var:in", "var:out", "var:open", "var:ink")
DECADES = 30
"""Largest over smallest value beyond which a curve is drawn on a logarithmic axis."""
NAMED = 5
"""Most layers that the legend names."""
FIRST_HUE, LAST_HUE = 225, 385
"""Blue to orange by way of violet: as dark all along."""


def section(run: RunFolder) -> Section | None:
    """Return one figure a quantity, a line a layer; nothing where there are no checkpoints."""
    found = {key: [s for s in run.quantities.get(key, ()) if s.role == "training"] for key in FIRST}
    answer = next((a for a in run.answers["answers"] if a["question"] == "transition"), None)
    curves = [_named(curve) for curve in answer["figure"].get("curves", ())] if answer else []
    colours = _colours(list(dict.fromkeys(item.flow for series in found.values() for item in series)))
    plots = [_panel(key, series, curves, colours) for key, series in found.items() if series]
    if not plots:
        return None
    seen = [curve for verdict in ("yes", "cannot tell") for curve in curves if curve["verdict"] == verdict]
    others = [curve for curve in curves if curve["verdict"] == "no"]
    own = _own(run.answers.get("training_curves", {}), curves)
    return Section("Training", fill(BODY, own=own, plots=plots, seen=seen, others=others))


def _own(found: Mapping[str, Mapping[str, Sequence[float]]], curves: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return figures of what the training itself measured, on the axis of the flow."""
    plots = []
    for word, title in OWN.items():
        series = [_seen(name, curve) for name, curve in found.items() if name.rpartition("_")[2] == word]
        series = [item for item in series if (item.positions > 0).any()]
        if series:
            plots.append(panel(title, lambda title=title, series=series: _trained(title, series, curves)))  # type: ignore[misc]
    return plots


def _seen(name: str, curve: Mapping[str, Sequence[float]]) -> Series:
    """Return a curve of the training as a series without errors."""
    steps, values = (np.asarray(curve[key], dtype=float) for key in ("steps", "values"))
    labels = tuple(f"step {step:g}" for step in steps)
    about = ("1", "measured during the training", "training", "steps")
    return Series(name.replace("_", " "), "training", steps, labels, values, np.full_like(values, np.nan), *about)


def _trained(title: str, series: Sequence[Series], curves: Sequence[Mapping[str, Any]]) -> Markup:
    seen = {tuple(curve["interval"]) for curve in curves if curve["verdict"] == "yes"}
    values = np.concatenate([item.value for item in series])
    wide = bool((values > 0).all()) and values.max() > DECADES * values.min()
    layout: dict[str, Any] = {
        "xaxis": _axis(series),
        "yaxis": {"type": "log", "exponentformat": "power", "dtick": 1} if wide else {},
        "showlegend": True,
        "shapes": [{**_shade(interval), "opacity": 0.15 / len(seen) ** 0.5} for interval in seen],
    }
    lines = [
        {**_line(item, SHADES[k % len(SHADES)], True), "marker": {"opacity": 0}, "error_y": {"visible": False}}
        for k, item in enumerate(sorted(series, key=lambda item: item.flow))
    ]
    # markers that are not seen leave the same room at the ends of the axis as those of the other figures
    caption = "As the training itself measured it on its own data; it left no errors with these numbers."
    if seen:
        caption += " Shaded: all transitions of the table below."
    return figure(title + (" (logarithmic)" if wide else ""), lines, layout, caption)


def _named(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Return a curve with its quantity, as a key and in words, and its layer."""
    name, _, layer = str(curve["name"]).partition(" of ")
    key = name.replace("/", ".")
    return {**curve, "key": key, "quantity": FIRST.get(key, words(key)).partition(" (")[0], "layer": layer}


def _panel(
    key: str, series: Sequence[Series], curves: Sequence[Mapping[str, Any]], colours: Mapping[str, str]
) -> Markup:
    return panel(FIRST.get(key, words(key)), lambda: _plot(key, series, curves, colours))


def _plot(
    key: str, series: Sequence[Series], curves: Sequence[Mapping[str, Any]], colours: Mapping[str, str]
) -> Markup:
    own = [curve for curve in curves if curve["verdict"] == "yes" and curve["key"] == key]
    layout: dict[str, Any] = {
        "xaxis": _axis(series),
        "showlegend": len(series) > 1,
        "legend": {"title": {"text": "layer "}},
        "shapes": [_shade(interval) for interval in {tuple(curve["interval"]) for curve in own}],
    }
    unit = "" if series[0].unit == "1" else f" ({nice(series[0].unit)})"
    where = "; ".join(f"{c['layer']} between {c['interval'][0]:g} and {c['interval'][1]:g} steps" for c in own)
    caption = f"Shaded: {where}. " if own else ""
    if len(series) > NAMED:
        caption += "Layers run from the first (blue) to the last (orange); point at a line for its name. "
    caption += f"Bars are two standard errors: {series[0].how}."
    named = {series[round(k * (len(series) - 1) / (NAMED - 1))].flow for k in range(NAMED)}
    return figure(
        FIRST[key] + unit, [_line(item, colours[item.flow], item.flow in named) for item in series], layout, caption
    )


def _axis(series: Sequence[Series]) -> dict[str, Any]:
    """Return a logarithmic axis with a tick a decade; the start stands at half the first step after it."""
    after = np.concatenate([item.positions[item.positions > 0] for item in series])
    decades = [10.0**k for k in range(int(np.floor(np.log10(after.min()))), int(np.log10(after.max())) + 1)]
    shown = [tick for tick in decades if tick >= after.min()] or [float(after.min())]
    names = [f"{tick:g}" for tick in shown]
    if any((item.positions <= 0).any() for item in series):
        shown, names = [_start(after), *shown], ["start", *names]
    ticks = {"tickmode": "array", "tickvals": shown, "ticktext": names}
    return {"type": "log", "title": {"text": "training steps (logarithmic)"}, **ticks}


def _start(after: np.ndarray) -> float:
    return float(after.min()) / 2 if len(after) else 1.0


def _line(item: Series, colour: str, named: bool) -> dict[str, Any]:
    start = _start(item.positions[item.positions > 0])
    return {
        "x": finite(np.where(item.positions > 0, item.positions, start)),
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


def _shade(interval: Sequence[float]) -> dict[str, Any]:
    edges = {"x0": interval[0], "x1": interval[1], "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "rect", **edges, "fillcolor": "var:open", "opacity": 0.15, "line": {"width": 0}}
