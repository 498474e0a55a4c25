"""Gaussian: layer by layer, whether a description by second cumulants alone is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, bars, figure, fill, finite, panel
from blockspin.report._labels import LEGEND, cut, ticks, words

ORDER = 45
QUESTION = "gaussian-enough"
BODY = """
<p>{{ answer.statement }}</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
<div class="scroll" tabindex="0"><table>
<tr><th>{{ axis }}</th><th>view</th><th>Gaussian enough</th><th>quantity</th><th>measured</th><th>limit</th>
<th>differs from theory</th></tr>
{% for row in rows %}
<tr><td><code>{{ row.label }}</code></td><td>{{ row.view }}</td>
<td><span class="chip {{ row.part|replace(" ", "-") }}">{{ signs[row.part] }} {{ row.part }}</span></td>
<td>{{ row.words }}</td><td class="num">{{ row.number|number }}</td><td class="num">{{ "%.3g"|format(row.limit) }}</td>
<td>{{ "no number" if row.departs is none else "yes" if row.departs else "not beyond errors" }}</td></tr>
{% endfor %}
</table></div>
<p class="soft">A field is Gaussian enough where four-point functions are those of Wick's theorem to
{{ "%.0f"|format(100 * tolerance) }} %. The verdict is on a layer and view as a whole.</p>
"""
COLOURS = ("var:accent", "var:open", "var:in", "var:out")


def section(run: RunFolder) -> Section | None:
    """Return a figure a quantity and the table of all numbers; nothing where the question was not asked."""
    answer = next((a for a in run.answers["answers"] if a["question"] == QUESTION), None)
    rows: Sequence[Mapping[str, Any]] = answer["figure"].get("rows", ()) if answer else ()
    if not answer or not rows:
        return None
    plots = [
        _panel(key, [row for row in rows if row["key"] == key]) for key in dict.fromkeys(row["key"] for row in rows)
    ]
    named = [{**row, "words": words(row["key"].replace("/", "."))} for row in rows]
    figures = {"axis": answer["figure"]["axis"], "tolerance": answer["figure"]["tolerance"]}
    return Section("Gaussian enough?", fill(BODY, answer=answer, plots=plots, rows=named, **figures))


def _panel(key: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    title = words(key.replace("/", "."))
    return panel(title, lambda: _plot(title, rows))


def _plot(title: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    positions, labels = [row["position"] for row in rows], [row["label"] for row in rows]
    limit = rows[0]["limit"]
    measured = {
        "x": finite(positions),
        "y": finite(row["number"]["value"] for row in rows),
        "error_y": {**bars([row["number"]["error"] for row in rows]), "color": COLOURS[0]},
        "text": labels,
        "name": "measured",
        "mode": "lines+markers",
        "line": {"color": COLOURS[0], "width": 2},
        "hovertemplate": "%{text}: %{y:.4g}<extra></extra>",
    }
    theory = {
        "x": finite(positions),
        "y": finite(row["theory"]["value"] if row["theory"] else None for row in rows),
        "text": labels,
        "name": cut("theory", LEGEND),
        "mode": "lines",
        "line": {"color": COLOURS[1], "dash": "dot", "width": 1},
        "hovertemplate": "%{text}: %{y:.4g}<extra>theory</extra>",
    }
    edges = {"xref": "paper", "x0": 0, "x1": 1, "y0": -limit, "y1": limit}
    band = {"type": "rect", **edges, "fillcolor": "var:in", "opacity": 0.12, "line": {"width": 0}}
    layout = {"xaxis": ticks(positions, labels), "shapes": [band], "showlegend": True}
    caption = f"Shaded: within the limit. Bars are two standard errors: {rows[0]['number']['how']}."
    return figure(title, [measured, theory], layout, caption)
