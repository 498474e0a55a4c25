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
BODY = """
<p>Every checkpoint was read over the same inputs. Shaded: where a curve changes faster than any relaxation.</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% if curves %}
<div class="scroll" tabindex="0"><table>
<tr><th>curve</th><th>transition</th><th>steps</th><th>share of the range</th><th>relaxations reach</th></tr>
{% for curve in curves %}
<tr><td><code>{{ curve.name }}</code></td>
<td><span class="chip {{ curve.verdict|replace(" ", "-") }}">{{ signs[curve.verdict] }} {{ curve.verdict }}</span></td>
<td class="num">{{ "%g"|format(curve.interval[0]) }} to {{ "%g"|format(curve.interval[1]) }}</td>
<td class="num">{{ curve.share|number }}</td><td class="num">{{ "%.3f"|format(curve.bound) }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
<p class="soft">Both the curve's window and its share are those of the largest excess, whatever the verdict.</p>
"""
SHADES = ("var:accent", "var:in", "var:out", "var:open", "var:ink")
DASHES = ("solid", "dot", "dash", "dashdot")


def section(run: RunFolder) -> Section | None:
    """Return one figure a quantity, a line a layer; nothing where there are no checkpoints."""
    found = {key: [s for s in run.quantities.get(key, ()) if s.role == "training"] for key in FIRST}
    answer = next((a for a in run.answers["answers"] if a["question"] == "transition"), None)
    curves: Sequence[Mapping[str, Any]] = answer["figure"].get("curves", ()) if answer else ()
    plots = [_panel(key, series, curves) for key, series in found.items() if series]
    return Section("Training", fill(BODY, plots=plots, curves=curves)) if plots else None


def _panel(key: str, series: Sequence[Series], curves: Sequence[Mapping[str, Any]]) -> Markup:
    return panel(FIRST.get(key, words(key)), lambda: _plot(key, series, curves))


def _plot(key: str, series: Sequence[Series], curves: Sequence[Mapping[str, Any]]) -> Markup:
    own = [c for c in curves if c["verdict"] == "yes" and c["name"].startswith(f"{key.replace('.', '/')} of ")]
    layout: dict[str, Any] = {
        "xaxis": {"type": "log", "title": {"text": "training steps"}},
        "showlegend": len(series) > 1,
        "shapes": [_shade(curve["interval"]) for curve in own],
    }
    unit = "" if series[0].unit == "1" else f" ({nice(series[0].unit)})"
    caption = (
        "Steps on a logarithmic axis; the start stands at half the first step after it. Bars are two standard errors: "
        f"{series[0].how}."
    )
    return figure(FIRST[key] + unit, [_line(item, n) for n, item in enumerate(series)], layout, caption)


def _line(item: Series, number: int) -> dict[str, Any]:
    colour, dash = SHADES[number % len(SHADES)], DASHES[number // len(SHADES) % len(DASHES)]
    after = item.positions[item.positions > 0]
    start = after.min() / 2 if len(after) else 1.0
    return {
        "x": finite(np.where(item.positions > 0, item.positions, start)),
        "y": finite(item.value),
        "error_y": {**bars(item.error), "color": colour},
        "text": list(item.labels),
        "name": cut(item.flow, LEGEND),
        "mode": "lines+markers",
        "line": {"color": colour, "dash": dash, "width": 2},
        "marker": {"size": 5, "color": colour},
        "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
    }


def _shade(interval: Sequence[float]) -> dict[str, Any]:
    edges = {"x0": interval[0], "x1": interval[1], "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "rect", **edges, "fillcolor": "var:open", "opacity": 0.15, "line": {"width": 0}}
