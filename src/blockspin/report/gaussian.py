"""Gaussian: layer by layer, whether a description by second cumulants alone is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from blockspin.report._folder import RunFolder, Series
from blockspin.report._html import Section, bars, figure, fill, finite, in_unit, nice, panel
from blockspin.report._labels import short, ticks, words
from blockspin.report._nulls import thin

ORDER = 45
QUESTION = "gaussian-enough"
TITLES = {
    "cumulants/kurtosis": "Excess kurtosis of single sites",
    "cumulants/fourth_order": "Connected fourth order along random directions",
    "negentropy/sites": "Negentropy of single sites",
    "negentropy/directions": "Negentropy along random directions",
}
"""Of the quantities that every run has; others are named by their keys."""
BODY = """
<p>{{ answer.statement }}</p>
<p class="soft">A field counts as Gaussian enough where four-point functions are those of Wick's theorem to
{{ "%.0f"|format(100 * tolerance) }} %: where a quantity lies within its limit, all looks counted. This is about one
site, or one direction, at a time and up to the fourth order; it does not say that the whole field is Gaussian.</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
<details><summary>All numbers, and the verdict on every layer and view</summary>
<div class="scroll" tabindex="0"><table>
<tr><th>{{ axis }}</th>{% for view, keys in views %}<th>{{ view }}</th>
{% for key in keys %}<th>{{ words[key] }}<br>limit {{ limits[key] }}</th>{% endfor %}{% endfor %}</tr>
{% for line in lines %}
<tr><td><code>{{ line.label }}</code></td>
{% for view, keys in views %}
<td>{% if view in line.parts %}<span class="chip {{ line.parts[view]|replace(" ", "-") }}">
{{ signs[line.parts[view]] }} {{ line.parts[view] }}</span>{% else %}not measured{% endif %}</td>
{% for key in keys %}{% set row = line.rows.get(key) %}
<td class="num">{{ (row.number if row else none)|bare }}
{%- if row and row.departs is sameas false %}<br><span class="soft">not told from theory</span>{% endif %}</td>
{% endfor %}{% endfor %}</tr>
{% endfor %}
</table></div></details>
"""
MARKS = {"yes": ("circle", "var:in"), "no": ("triangle-up", "var:out"), "cannot tell": ("circle-open", "var:open")}
MEANING = {"yes": "within the limit", "no": "beyond the limit", "cannot tell": "cannot tell"}
Rows = Sequence[Mapping[str, Any]]


def section(run: RunFolder) -> Section | None:
    """Return a figure a quantity and the table of all numbers; nothing where the question was not asked."""
    answer = next((a for a in run.answers["answers"] if a["question"] == QUESTION), None)
    rows: Rows = answer["figure"].get("rows", ()) if answer else ()
    if not answer or not rows:
        return None
    keys = list(dict.fromkeys(row["key"] for row in rows))
    controls = {key: [s for s in run.quantities.get(_dotted(key), ()) if s.role == "control"] for key in keys}
    named = {view: [k for k in keys if view in {r["view"] for r in rows if r["key"] == k}] for view in _views(rows)}
    body = fill(
        BODY,
        answer=answer,
        axis=answer["figure"]["axis"],
        tolerance=answer["figure"]["tolerance"],
        plots=[
            _panel(key, [r for r in rows if r["key"] == key], controls[key], answer["figure"]["axis"]) for key in keys
        ],
        views=list(named.items()),
        words={key: _word(*key.partition("/")[::2]) for key in keys},
        limits={row["key"]: f"{row['limit']:.2g} {_unit(row)}".strip() for row in rows},
        lines=_lines(rows),
    )
    return Section("Gaussian enough?", body)


def _dotted(key: str) -> str:
    return key.replace("/", ".")


def _unit(row: Mapping[str, Any]) -> str:
    return "" if row["number"]["unit"] == "1" else nice(row["number"]["unit"])


def _word(observable: str, quantity: str) -> str:
    """Return what stands above a column of a view: the quantity, or the observable where that is the view itself."""
    return (observable if quantity in ("sites", "directions") else quantity).replace("_", " ")


def _views(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["view"] for row in rows))


def _lines(rows: Rows) -> list[dict[str, Any]]:
    """Return one line a scale: the verdict on each view, and each number."""
    lines: dict[float, dict[str, Any]] = {}
    for row in rows:
        line = lines.setdefault(row["position"], {"label": row["label"], "parts": {}, "rows": {}})
        line["parts"][row["view"]] = row["part"]
        line["rows"][row["key"]] = row
    names = short([line["label"] for line in lines.values()])
    return [{**line, "label": name} for line, name in zip(lines.values(), names, strict=True)]


def _panel(key: str, rows: Rows, controls: Sequence[Series], axis: str) -> Markup:
    title = TITLES.get(key, words(_dotted(key)))
    return panel(title, lambda: _plot(title, rows, controls, axis))


def _plot(title: str, rows: Rows, controls: Sequence[Series], axis: str) -> Markup:
    positions, labels, limit = [row["position"] for row in rows], [row["label"] for row in rows], rows[0]["limit"]
    through = {
        "x": finite(positions),
        "y": finite(row["number"]["value"] for row in rows),
        "mode": "lines",
        "line": {"color": "var:accent", "width": 1.5},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    marks = [_marked(word, [row for row in rows if row["verdict"] == word]) for word in MARKS]
    edges = {"xref": "paper", "x0": 0, "x1": 1, "y0": -limit, "y1": limit}
    band = {"type": "rect", **edges, "fillcolor": "var:in", "opacity": 0.12, "line": {"width": 0}}
    layout = {
        "xaxis": {**ticks(positions, labels), "title": {"text": axis}},
        "shapes": [band],
        "showlegend": True,
    }
    grey = " Thin and grey: the untrained copy." if controls else ""
    caption = (
        f"Shaded: within the limit of ± {limit:.2g}.{grey} Bars are two standard errors: {rows[0]['number']['how']}."
    )
    unit = rows[0]["number"]["unit"]
    beside = [thin(s.flow, s.positions, s.labels, s.value, s.error) for s in controls]
    drawn = [*beside, *_theory(rows), through, *(mark for mark in marks if mark["x"])]
    return figure(f"{title}{in_unit(unit)}", drawn, layout, caption)


def _marked(word: str, rows: Rows) -> dict[str, Any]:
    """Return the numbers of one verdict."""
    symbol, colour = MARKS[word]
    return {
        "x": finite(row["position"] for row in rows),
        "y": finite(row["number"]["value"] for row in rows),
        "error_y": {**bars([row["number"]["error"] for row in rows]), "color": colour},
        "text": [row["label"] for row in rows],
        "name": MEANING[word],
        "mode": "markers",
        "marker": {"size": 8, "symbol": symbol, "color": colour},
        "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
    }


def _theory(rows: Rows) -> list[dict[str, Any]]:
    """Return what an exact theory says, where one was given that is not zero throughout."""
    values = [row["theory"]["value"] if row["theory"] else None for row in rows]
    if not any(values):
        return []
    line = {"color": "var:ink", "dash": "dot", "width": 1}
    about = {"x": finite(row["position"] for row in rows), "y": finite(values), "name": "theory", "mode": "lines"}
    return [{**about, "line": line, "hovertemplate": "%{y:.4g}<extra>theory</extra>"}]
