"""Layers: theory and data on the same axes with what is left between them, and whether inputs part or merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import hypot
from typing import Any

from markupsafe import Markup

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, bars, chance, figure, fill, finite, in_unit, panel
from blockspin.report._labels import ticks, words

ORDER = 46
THEORY, CHAOS = "theory-holds", "order-or-chaos"
TITLES = {
    "random-layer/weight_variance": "Variance of weights, times the fan-in",
    "random-layer/bias_variance": "Variance of biases",
    "kernel/variance": "Kernel: mean variance over inputs",
    "kernel/covariance": "Kernel: mean covariance of pairs of inputs",
}
"""Of the quantities that every such run has; others are named by their keys."""
MARKS = {
    False: ("circle", "var:accent", "measured"),
    True: ("triangle-up", "var:out", "measured, beyond errors"),
}
BODY = """
{% for answer in answers %}<p>{{ answer.statement }}</p>{% endfor %}
<p class="soft">Each linear map is read over a few inputs, its units as samples. Variances are what the units say, the
theory what the weights themselves do; kernels are measured behind each map, the theory what infinite width makes of the
kernel before it.</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% if rows %}
<details><summary>All numbers</summary><div class="scroll" tabindex="0"><table>
<tr><th>layer</th><th>number</th><th>measured</th><th>theory</th><th>chance of so large a difference</th></tr>
{% for row in rows %}
<tr><td><code>{{ row.label }}</code></td><td>{{ row.word }}</td><td class="num">{{ row.number|bare }}</td>
<td class="num">{{ row.theory|bare }}</td>
<td class="num">{{ row.shown }}{% if row.departs %} {{ signs["no"] }}{% endif %}</td></tr>
{% endfor %}
</table></div></details>
{% endif %}
"""
Rows = Sequence[Mapping[str, Any]]


def section(run: RunFolder) -> Section | None:
    """Return figures of every number beside its theory, and of chi; nothing where neither was asked."""
    answers = {a["question"]: a for a in run.answers["answers"] if a["question"] in (THEORY, CHAOS)}
    compared: Rows = answers[THEORY]["figure"].get("rows", ()) if THEORY in answers else ()
    chi: Rows = answers[CHAOS]["figure"].get("rows", ()) if CHAOS in answers else ()
    if not compared and not chi:
        return None
    plots = []
    for key in dict.fromkeys(row["key"] for row in compared):
        own = [row for row in compared if row["key"] == key]
        for draw in (_both, _left):
            plots.append(panel(_word(key), partial(draw, key, own)))
    plots += [panel("Order and chaos", lambda: _chi(chi))] if chi else []
    shown = [
        {**row, "word": _word(row["key"]), "shown": "unknown" if row["chance"] is None else chance(row["chance"])}
        for row in compared
    ]
    return Section("Layers beside theory", fill(BODY, answers=answers.values(), plots=plots, rows=shown))


def _word(key: str) -> str:
    return TITLES.get(key, words(key.replace("/", ".")))


def _both(key: str, rows: Rows) -> Markup:
    """Draw a number and its theory on the same axes."""
    theory = {
        "x": finite(row["position"] for row in rows),
        "y": finite(row["theory"]["value"] for row in rows),
        "name": "theory",
        "mode": "lines+markers",
        "marker": {"size": 5, "color": "var:ink", "symbol": "line-ew-open"},
        "line": {"color": "var:ink", "dash": "dot", "width": 1},
        "hovertemplate": "%{y:.4g}<extra>theory</extra>",
    }
    drawn = [theory, *_points(rows, [row["number"]["value"] for row in rows], [row["number"]["error"] for row in rows])]
    how = rows[0]["number"]["how"]
    said = rows[0]["theory"]["how"]
    return figure(
        f"{_word(key)}{in_unit(rows[0]['number']['unit'])}",
        drawn,
        {**_axis(rows), "showlegend": True},
        f"Bars are two standard errors: {how}. Dotted: {said}.",
    )


def _left(key: str, rows: Rows) -> Markup:
    """Draw what is left of a number when its theory is taken off."""
    values = [row["number"]["value"] - row["theory"]["value"] for row in rows]
    errors = [hypot(row["number"]["error"], row["theory"]["error"]) for row in rows]
    level = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0}
    layout = {**_axis(rows), "shapes": [{**level, "line": {"color": "var:ink", "dash": "dot", "width": 1}}]}
    title = f"{_word(key)}: less theory{in_unit(rows[0]['number']['unit'])}"
    caption = "Bars are two standard errors. Triangles: beyond errors, all looks counted."
    return figure(title, _points(rows, values, errors), layout, caption)


def _chi(rows: Rows) -> Markup:
    """Draw by what small differences grow at each layer, with the line between order and chaos."""
    values, errors = ([row["chi"][key] for row in rows] for key in ("value", "error"))
    level = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1}
    layout = {**_axis(rows), "shapes": [{**level, "line": {"color": "var:ink", "dash": "dot", "width": 1}}]}
    caption = f"Dotted: critical. Above it small differences grow, below they shrink. {rows[0]['chi']['how']}."
    return figure("χ, growth of small squared differences", _points(rows, values, errors), layout, caption)


def _axis(rows: Rows) -> dict[str, Any]:
    return {"xaxis": ticks([row["position"] for row in rows], [row["label"] for row in rows])}


def _points(rows: Rows, values: Sequence[float | None], errors: Sequence[float | None]) -> list[dict[str, Any]]:
    """Return measured numbers with their bars, those that agree with theory apart from those beyond errors."""
    traces = []
    for away, (symbol, colour, name) in MARKS.items():
        own = [k for k, row in enumerate(rows) if bool(row.get("departs")) is away]
        trace = {
            "x": finite(rows[k]["position"] for k in own),
            "y": finite(values[k] for k in own),
            "error_y": {**bars([errors[k] for k in own]), "color": colour},
            "text": [rows[k]["label"] for k in own],
            "name": name,
            "mode": "markers",
            "marker": {"size": 8, "symbol": symbol, "color": colour},
            "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
        }
        traces += [trace] if own else []
    return traces
