"""Couplings: effective theories scale by scale, what they predict beside the baselines, and where they stop to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from blockspin.report._family import axis, start
from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, figure, fill, finite, nice, panel
from blockspin.report._labels import LEGEND, cut, ticks

ORDER = 37
NAMES = {
    "network": "over depth",
    "explicit": "under coarse-graining",
    "training": "over training",
    "width": "over width",
}
LOGARITHMIC = ("training", "width")
"""Axes that are drawn so."""
ORDERS = {"better": "yes", "not better": "no", "cannot tell": "cannot-tell"}
SIGNS = {"better": "●", "not better": "▲", "cannot tell": "○"}
STYLES = (("var:open", "dot"), ("var:out", "dash"), ("var:in", "dashdot"))
FEW = 4
"""Entries of one table of couplings that are drawn; all are in the table."""
TINY = 1e-100
"""Chances below this are not told apart."""
BODY = """
<p>A coupling is a parameter of an effective theory that was assumed; it means what it says where the theory fits.
Fields have unit mean variance, so that scales can be compared. Observables are predicted alike and assume nothing.</p>
<h3>Predicted and measured</h3>
<p class="soft">{{ order }}</p>
{% if scores %}
<div class="scroll" tabindex="0"><table>
<tr><th>couplings</th><th>flow</th><th>the theory is</th>
{% for model in models %}<th>{{ model }}</th>{% endfor %}<th>inside</th></tr>
{% for row in scores %}
<tr><td><code>{{ row.theory }}</code></td><td>{{ row.where }}</td>
{% if row.scored %}
<td><span class="chip {{ orders[row.word] }}">{{ marks[row.word] }} {{ row.word }}</span></td>
{% for miss in row.misses %}<td class="num">{{ miss }}</td>{% endfor %}
<td class="num">{{ row.inside }}</td>
{% else %}<td colspan="{{ models|length + 2 }}">{{ row.reason }}</td>{% endif %}</tr>
{% endfor %}
</table></div>
<p class="soft">Numbers are mean squared misses at the held-out scales in units of the measurement's own error; the
least is best. “Better” needs more than the errors allow, against every baseline; the free fit, half of the held-out
data against the other half, is no prediction but what data of that size allow. “Inside” counts measurements within
their {{ level }} % intervals.</p>
{% else %}<p>No flow has enough scales for a prediction.</p>{% endif %}
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% if more %}<details><summary>{{ more|length }} observables, predicted alike</summary>
<div class="grid">{% for plot in more %}{{ plot }}{% endfor %}</div></details>{% endif %}
<h3>Where the theories hold</h3>
{% for row in validity %}
<p><span class="chip {{ row.verdict|replace(" ", "-") }}">{{ signs[row.verdict] }} {{ row.verdict }}</span>
<code>{{ row.theory }}</code> {{ row.where }}: {{ row.statement }}</p>
{% if row.fired %}<ul>{% for check in row.fired %}
<li><code>{{ check.scale }}</code>{{ check.part }}: {{ check.what }}{{ check.off }}, {{ check.chance }} after
all tests</li>{% endfor %}</ul>{% endif %}
{% else %}<p>No theory could be tested.</p>{% endfor %}
<h3>Couplings at every scale</h3>
{% for table in tables %}
<details><summary><code>{{ table.theory }}</code> {{ table.where }}</summary>
{% if table.left_out %}<p class="soft">The theory leaves out: {{ table.left_out|join("; ") }}.</p>{% endif %}
<div class="scroll" tabindex="0"><table>
<tr><th>scale</th>{% for name in table.names %}<th>{{ name }}</th>{% endfor %}<th>fit</th></tr>
{% for row in table.rows %}
<tr><td><code>{{ row.label }}</code></td>
{% for name in table.names %}<td class="num">{{ row["values"].get(name)|number }}</td>{% endfor %}
<td>{{ row.fit }}</td></tr>
{% endfor %}
</table></div></details>
{% endfor %}
"""


def section(run: RunFolder) -> Section | None:
    """Return predictions beside measurements, where theories hold, and all couplings; nothing where there are none."""
    found = run.optional("couplings.json")
    if found is None:
        return None
    written = run.optional("scores.json")
    rows = found["predictions"] if written is None else written["scores"]
    order = DEFAULT if written is None else written["order"]
    models = list(dict.fromkeys(s["model"] for row in rows if row["scored"] for s in row["scored"]["scores"]))
    levels = {row["scored"]["level"] for row in rows if row["scored"]}
    tables = [table for table in found["tables"] if any(line["values"] or line["reason"] for line in table["rows"])]
    body = fill(
        BODY,
        order=order,
        scores=[_score(row, models) for row in rows],
        models=models,
        level=f"{100 * max(levels, default=0.9):.0f}",
        orders=ORDERS,
        marks=SIGNS,
        plots=[plot for table in tables if not table["observable"] for plot in _plots(table, rows)],
        more=[plot for table in tables if table["observable"] for plot in _plots(table, rows)],
        validity=[_held(row) for row in found["validity"]],
        tables=[_table(table) for table in tables],
    )
    return Section("Effective couplings", body)


DEFAULT = (
    "The last third of every flow, of coarse-grained levels the finest third, was predicted from the other scales "
    "before the files of the held-out scales were opened. The command “blockspin predict” does so for scales of your "
    "own choice."
)


def _score(row: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    about = {"theory": row["theory"], "where": _where(row["flow"]), "scored": row["scored"], "reason": row["reason"]}
    if not row["scored"]:
        return about
    by = {score["model"]: score for score in row["scored"]["scores"]}
    misses = [_miss(by[model]) if model in by else "no number" for model in models]
    own = row["scored"]["scores"][0]
    return {
        **about,
        "word": row["scored"]["verdict"],
        "misses": misses,
        "inside": f"{own['inside']} of {own['points']}",
    }


def _miss(score: Mapping[str, Any]) -> str:
    miss = score["miss"]
    return "no number" if miss is None else f"{miss:,.0f}" if miss >= 100 else f"{miss:.2f}"


def _where(flow: str) -> str:
    return NAMES.get(flow, flow)


def _held(row: Mapping[str, Any]) -> dict[str, Any]:
    fired = sorted((c for c in row["checks"] if c["fired"]), key=lambda c: c["p_value"])
    shown = [
        {
            **check,
            "part": "" if check["slice"] == "all" else f" on {check['slice']}",
            "chance": _chance(check["adjusted"]),
            "off": "" if check["deviation"] is None else f" {check['deviation']:+.1f} errors off".replace("-", "−"),
        }
        for check in fired[: 2 * FEW]
    ]
    return {**row, "where": _where(row["flow"]), "fired": shown}


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for row in table["rows"] for name in row["values"]))
    rows = [{**row, "fit": _fit(row)} for row in table["rows"]]
    return {**table, "names": names, "where": _where(table["flow"]), "rows": rows}


def _fit(row: Mapping[str, Any]) -> str:
    """Return how well the theory fits at a scale, with ranks, or why there is nothing."""
    parts = []
    if row["goodness"]:
        g = row["goodness"]
        score = g["score"]["value"]
        p = "" if g["p_value"] is None else f", {_chance(g['p_value'])}"
        parts.append(f"{g['name']} {'unknown' if score is None else _number(score)}{p}")
    parts += [f"{name} {value:g}" for name, value in row["notes"].items() if value is not None]
    return "; ".join([*parts, *([row["reason"]] if row["reason"] else [])]) or "no theory assumed"


def _number(x: float) -> str:
    return f"{x:.4g}".replace("-", "−")


def _chance(p: float) -> str:
    return f"p = {p:.1g}" if p >= TINY else "p below 1e−100"


def _plots(table: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Markup]:
    names = list(dict.fromkeys(name for row in table["rows"] for name in row["values"]))[:FEW]
    mine = (row for row in rows if (row["flow"], row["theory"]) == (table["flow"], table["theory"]))
    score = next(mine, None)
    return [
        panel(f"{table['theory']}: {name}", lambda name=name: _plot(table, name, score))  # type: ignore[misc]
        for name in names
    ]


def _plot(table: Mapping[str, Any], name: str, score: Mapping[str, Any] | None) -> Markup:
    lines = [row for row in table["rows"] if name in row["values"]]
    along, place = _places(table)
    held = set(score["held_out"]) if score else set()
    unit = lines[0]["values"][name]["unit"]
    lines = [{**row, "position": place[row["label"]]} for row in lines]
    traces = [_trace("measured", [r for r in lines if r["label"] not in held], name, "circle")]
    seen = [r for r in lines if r["label"] in held]
    traces += [_trace("measured, held out", seen, name, "circle-open")] if seen else []
    traces += _predicted(score, name, place) if score else []
    layout = {"xaxis": along, "showlegend": True}
    title = f"{table['theory']}: {name}, {_where(table['flow'])}" + ("" if unit == "1" else f" ({nice(unit)})")
    held_as = " Predicted with its interval; lines without points are the baselines." if held else ""
    return figure(title, traces, layout, f"Bars are two standard errors.{held_as}")


def _places(table: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, float]]:
    """Return the axis of a table's scales, and where each of them stands on it."""
    labels, positions = [row["label"] for row in table["rows"]], [row["position"] for row in table["rows"]]
    if table["axis"] not in LOGARITHMIC:
        along = {**ticks(positions, labels), "title": {"text": table["axis"]}}
        return along, dict(zip(labels, positions, strict=True))
    first = start(np.array([x for x in positions if x > 0]))
    shown = [x if x > 0 else first for x in positions]
    return axis([np.array(positions, dtype=float)], table["axis"]), dict(zip(labels, shown, strict=True))


def _trace(title: str, rows: Sequence[Mapping[str, Any]], name: str, symbol: str) -> dict[str, Any]:
    found = [row["values"][name] for row in rows]
    errors = [None if m["error"] is None else 2 * m["error"] for m in found]
    return {
        "x": finite([row["position"] for row in rows]),
        "y": finite([m["value"] for m in found]),
        "error_y": {"type": "data", "array": finite(errors), "thickness": 1.2, "width": 3, "color": "var:accent"},
        "text": [row["label"] for row in rows],
        "name": title,
        "mode": "markers",
        "marker": {"size": 7, "symbol": symbol, "color": "var:accent"},
        "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
    }


def _predicted(score: Mapping[str, Any], name: str, place: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the prediction with its interval, and what the baselines said."""
    points = [p for p in (score["scored"] or {"points": []})["points"] if p["coupling"] == name]
    if not points:
        return []
    x = finite([place[p["label"]] for p in points])
    halves = [None if p["predicted"]["error"] is None else 2 * p["predicted"]["error"] for p in points]
    traces: list[dict[str, Any]] = [
        {
            "x": x,
            "y": finite([p["predicted"]["value"] for p in points]),
            "error_y": {"type": "data", "array": finite(halves), "thickness": 3, "width": 6, "color": "var:ink"},
            "name": "predicted",
            "mode": "markers",
            "marker": {"size": 8, "symbol": "diamond", "color": "var:ink"},
            "hovertemplate": "%{y:.4g}<extra>predicted</extra>",
        }
    ]
    held = [place[label] for label in score["held_out"]]
    for (model, values), (colour, dash) in zip(score["baselines"].items(), STYLES, strict=False):
        y = values.get(name, [])
        line = {"color": colour, "dash": dash, "width": 2}
        traces.append({"x": finite(held), "y": finite(y), "name": cut(model, LEGEND), "mode": "lines", "line": line})
    return traces
