"""Couplings: effective theories scale by scale, what they predict beside the baselines, and where they stop to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from markupsafe import Markup

from blockspin.report._family import axis, start
from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, bars, chance, figure, fill, finite, in_unit, panel
from blockspin.report._key import key
from blockspin.report._labels import LEGEND, cut, ticks
from blockspin.report._nulls import comparison, miss, tables_beside, traces

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
HELD = {"yes": "● not refused", "no": "▲ fails", "cannot tell": "○ cannot tell"}
STYLES = (("var:warn", "dot"), ("var:out", "dash"), ("var:in", "dashdot"))
FEW = 4
"""Entries of one table of couplings that are drawn; all are in the table."""
BODY = """
<p>A coupling is a parameter of an effective theory that was assumed; it means what it says where the theory fits.
Fields have unit mean variance, so that scales can be compared. Observables are predicted alike and assume nothing.</p>
<h3>Predicted and measured</h3>
<p class="soft">{{ order }}</p>
{% if scores %}
<div class="scroll" tabindex="0"><table>
<tr><th>couplings</th><th>the theory is</th>
{% for model in models %}<th>{{ model }}</th>{% endfor %}<th>inside</th></tr>
{% for where, group in scores %}
<tr><th colspan="{{ models|length + 3 }}" scope="rowgroup">{{ where }}</th></tr>
{% for row in group %}
<tr><td><code>{{ row.theory }}</code></td>
{% if row.scored %}
<td><span class="chip {{ orders[row.word] }}">{{ marks[row.word] }} {{ row.word }}</span></td>
{% for miss in row.misses %}<td class="num">{{ miss }}</td>{% endfor %}
<td class="num">{{ row.inside }}</td>
{% else %}<td colspan="{{ models|length + 2 }}">{{ row.reason|prose }}</td>{% endif %}</tr>
{% endfor %}{% endfor %}
</table></div>
<p class="soft">Numbers are mean squared misses at the held-out scales in units of the measurement's own error; the
least is best. “Better” needs more than the errors allow, against every baseline; the free fit, half of the held-out
data against the other half, is no prediction but what data of that size allow. “Inside” counts measurements within
their {{ level }} % intervals.</p>
{% else %}<p>No flow has enough scales for a prediction.</p>{% endif %}
{{ key }}
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% if more %}<details><summary>{{ more|length }} observables, predicted alike</summary>
<div class="grid">{% for plot in more %}{{ plot }}{% endfor %}</div></details>{% endif %}
{{ nulls }}
<h3>Where the theories hold</h3>
<p class="soft">A theory is tested by its own goodness of fit at every scale, where it has a p-value, and by how its
couplings run: each scale against the others. One that no test refuses is not thereby shown to be true.</p>
{% for row in validity %}
<p><span class="chip {{ row.verdict|replace(" ", "-") }}">{{ held[row.verdict] }}</span>
<code>{{ row.theory }}</code> {{ row.where }}: {{ row.statement }}</p>
{% if row.fired %}<details><summary>{{ row.shown }}</summary><ul>{% for check in row.fired %}
<li><code>{{ check.scale }}</code>{{ check.part }}: {{ check.what }}{{ check.off }}, {{ check.chance }} after
all tests</li>{% endfor %}</ul></details>{% endif %}
{% else %}<p>No theory could be tested.</p>{% endfor %}
<h3>Couplings at every scale</h3>
{% for table in tables %}
<details><summary><code>{{ table.theory }}</code> {{ table.where }}</summary>
{% if table.left_out %}<p class="soft">The theory leaves out: {{ table.left_out|join("; ") }}.</p>{% endif %}
<div class="scroll" tabindex="0"><table>
<tr><th>scale</th>{% for name in table.names %}<th>{{ name }}{{ table.units[name] }}</th>{% endfor %}<th>fit</th></tr>
{% for row in table.rows %}
<tr><td><code>{{ row.label }}</code></td>
{% for name in table.names %}<td class="num">{{ row["values"].get(name)|bare }}</td>{% endfor %}
<td class="text">{{ row.fit|prose }}</td></tr>
{% for null, other in row.beside %}
<tr class="soft"><td>{{ null }}</td>
{% for name in table.names %}<td class="num">{{ other["values"].get(name)|bare }}</td>{% endfor %}
<td class="text">{{ other.fit|prose }}</td></tr>
{% endfor %}
{% endfor %}
</table></div></details>
{% endfor %}
"""
DEFAULT = (
    "The last third of every flow, of coarse-grained levels the finest third, was predicted from the other scales "
    "before the files of the held-out scales were opened. The command “blockspin predict” does so for scales of your "
    "own choice."
)
Tables = Sequence[Mapping[str, Any]]


def section(run: RunFolder) -> Section | None:
    """Return predictions beside measurements, where theories hold, and all couplings; nothing where there are none."""
    found = run.optional("couplings.json")
    if found is None:
        return None
    written = run.optional("scores.json")
    everything = found["predictions"] if written is None else written["scores"]
    rows = [row for row in everything if not row.get("null_of")]
    models = list(dict.fromkeys(s["model"] for row in rows if row["scored"] for s in row["scored"]["scores"]))
    levels = {row["scored"]["level"] for row in rows if row["scored"]}
    tables = [
        {**table, "beside": tables_beside(found, table)}
        for table in found["tables"]
        if not table.get("null_of") and any(line["values"] or line["reason"] for line in table["rows"])
    ]
    flows = dict.fromkeys(row["flow"] for row in rows)
    body = fill(
        BODY,
        order=DEFAULT if written is None else written["order"],
        scores=[(_where(flow), [_score(row, models) for row in rows if row["flow"] == flow]) for flow in flows],
        models=models,
        level=f"{100 * max(levels, default=0.9):.0f}",
        orders=ORDERS,
        marks=SIGNS,
        held=HELD,
        key=panel("Key", lambda: key([trace for table in tables for trace in _traces(table, *_first(table, rows))])),
        plots=[plot for table in tables if not table["observable"] for plot in _plots(table, rows)],
        more=[plot for table in tables if table["observable"] for plot in _plots(table, rows)],
        nulls=comparison(found, everything, NAMES),
        validity=[_held(row) for row in found["validity"]],
        tables=[_table(table) for table in tables],
    )
    return Section("Effective couplings", body)


def _score(row: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    about = {"theory": row["theory"], "scored": row["scored"], "reason": row["reason"]}
    if not row["scored"]:
        return about
    by = {score["model"]: score for score in row["scored"]["scores"]}
    own = row["scored"]["scores"][0]
    return {
        **about,
        "word": row["scored"]["verdict"],
        "misses": [miss(by[model]["miss"]) if model in by else "no number" for model in models],
        "inside": f"{own['inside']} of {own['points']}",
    }


def _where(flow: str) -> str:
    return NAMES.get(flow, flow)


def _held(row: Mapping[str, Any]) -> dict[str, Any]:
    fired = sorted((c for c in row["checks"] if c["fired"]), key=lambda c: c["p_value"])
    listed = [
        {
            **check,
            "part": "" if check["slice"] == "all" else f" on {check['slice']}",
            "chance": chance(check["adjusted"]),
            "off": "" if check["deviation"] is None else f" {check['deviation']:+.1f} errors off".replace("-", "−"),
        }
        for check in fired[: 2 * FEW]
    ]
    shown = f"the {len(listed)} clearest of {len(fired)}" if len(fired) > len(listed) else f"all {len(fired)}"
    return {**row, "where": _where(row["flow"]), "fired": listed, "shown": f"Where it fails: {shown}"}


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    others = [(null, {row["position"]: row for row in other["rows"]}) for null, other in table["beside"]]
    rows = []
    for row in table["rows"]:
        same = [(null, by[row["position"]]) for null, by in others if row["position"] in by]
        rows.append({**row, "fit": _fit(row), "beside": [(null, {**r, "fit": _fit(r)}) for null, r in same]})
    units = {name: in_unit(m["unit"]) for row in table["rows"] for name, m in row["values"].items()}
    return {**table, "names": _names(table), "units": units, "rows": rows, "where": _where(table["flow"])}


def _names(table: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for row in table["rows"] for name in row["values"]))


def _fit(row: Mapping[str, Any]) -> str:
    """Return how well the theory fits at a scale, with ranks, or why there is nothing."""
    parts = []
    if row["goodness"]:
        g = row["goodness"]
        score = g["score"]["value"]
        p = "" if g["p_value"] is None else f", {chance(g['p_value'])}"
        parts.append(f"{g['name']} {'unknown' if score is None else _number(score)}{p}")
    parts += [f"{name} {_number(value)}" for name, value in row["notes"].items() if value is not None]
    return "; ".join([*parts, *([row["reason"]] if row["reason"] else [])]) or "no theory assumed"


def _number(x: float) -> str:
    return f"{x:.4g}".replace("-", "−")


# --- figures ----------------------------------------------------------------------------------------------------------


def _plots(table: Mapping[str, Any], rows: Tables) -> list[Markup]:
    names = _drawn(_names(table))
    left = len(_names(table)) - len(names)
    return [
        panel(f"{table['theory']}: {name}", lambda name=name: _plot(table, name, _mine(table, rows), left))  # type: ignore[misc]
        for name in names
    ]


def _drawn(names: Sequence[str]) -> list[str]:
    """Return the few couplings that are drawn: the first of every kind before the second of any."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(name.partition("[")[0], []).append(name)
    return [name for name in chain.from_iterable(zip_longest(*kinds.values())) if name is not None][:FEW]


def _mine(table: Mapping[str, Any], rows: Tables) -> Mapping[str, Any] | None:
    return next((row for row in rows if (row["flow"], row["theory"]) == (table["flow"], table["theory"])), None)


def _first(table: Mapping[str, Any], rows: Tables) -> tuple[str, Mapping[str, Any] | None]:
    return next(iter(_names(table)), ""), _mine(table, rows)


def _plot(table: Mapping[str, Any], name: str, score: Mapping[str, Any] | None, left: int) -> Markup:
    lines = [row for row in table["rows"] if name in row["values"]]
    unit = lines[0]["values"][name]["unit"]
    along, _ = _places(table)
    layout = {"xaxis": along, "showlegend": False}
    title = f"{table['theory']}: {name}, {_where(table['flow'])}{in_unit(unit)}"
    level = score["scored"]["level"] if score and score["scored"] else None
    held_as = f" Predicted with its {100 * level:.0f} % interval; lines are the baselines." if level else ""
    more = f" {left} more couplings are in the table below." if left else ""
    caption = f"Bars of what was measured are two standard errors.{held_as}{more}"
    return figure(title, _traces(table, name, score), layout, caption)


def _traces(table: Mapping[str, Any], name: str, score: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    _, place = _places(table)
    lines = [{**row, "position": place[row["label"]]} for row in table["rows"] if name in row["values"]]
    held = set(score["held_out"]) if score else set()
    seen = [r for r in lines if r["label"] in held]
    return [
        *traces(table["beside"], name),
        _trace("measured", [r for r in lines if r["label"] not in held], name),
        *([_trace("measured, held out", seen, name, "circle-open")] if seen else []),
        *(_predicted(score, name, place) if score else []),
    ]


def _places(table: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, float]]:
    """Return the axis of a table's scales, and where each of them stands on it."""
    labels, positions = [row["label"] for row in table["rows"]], [row["position"] for row in table["rows"]]
    if table["axis"] not in LOGARITHMIC:
        along = {**ticks(positions, labels), "title": {"text": table["axis"]}}
        return along, dict(zip(labels, positions, strict=True))
    first = start(np.array([x for x in positions if x > 0]))
    shown = [x if x > 0 else first for x in positions]
    return axis([np.array(positions, dtype=float)], table["axis"]), dict(zip(labels, shown, strict=True))


def _trace(title: str, rows: Sequence[Mapping[str, Any]], name: str, symbol: str = "circle") -> dict[str, Any]:
    found = [row["values"][name] for row in rows]
    return {
        "x": finite([row["position"] for row in rows]),
        "y": finite([m["value"] for m in found]),
        "error_y": {**bars([m["error"] for m in found]), "color": "var:accent"},
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
    drawn: list[dict[str, Any]] = [
        {
            "x": finite([place[p["label"]] for p in points]),
            "y": finite([p["predicted"]["value"] for p in points]),
            "error_y": {
                "type": "data",
                "array": finite([p["half_width"] for p in points]),
                "thickness": 3,
                "width": 6,
                "color": "var:ink",
            },
            "name": "predicted",
            "mode": "markers",
            "marker": {"size": 8, "symbol": "diamond", "color": "var:ink"},
            "hovertemplate": "%{y:.4g}<extra>predicted</extra>",
        }
    ]
    held = [place[label] for label in score["held_out"]]
    for (model, values), (colour, dash) in zip(score["baselines"].items(), STYLES, strict=False):
        line = {"color": colour, "dash": dash, "width": 2}
        about = {"x": finite(held), "y": finite(values.get(name, [])), "name": cut(f"baseline: {model}", LEGEND)}
        drawn.append({**about, "mode": "lines", "line": line})
    return drawn
