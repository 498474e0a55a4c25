"""Interventions: what shifts of features do, held against what their couplings predict, hop by hop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from markupsafe import Markup

from blockspin.report._folder import RunFolder, section_of
from blockspin.report._html import Section, bars, chance, figure, fill, finite, panel
from blockspin.report._labels import short

ORDER = 48
GIVEN, WHOLE = "given features", "whole activation"
LOOKS = {GIVEN: ("circle", "var:accent"), WHOLE: ("diamond-open", "var:ink"), "untrained": ("x-thin-open", "var:open")}
SHOWN = {"slope": "Slope of measured on predicted answers", "share explained": "Share of answers explained"}
STRONGEST = 20
"""Edges that are shown; all stand in the file."""
LEVEL = {"type": "line", "line": {"color": "var:ink", "dash": "dot", "width": 1}}
BODY = """
<p>{{ signs[answer.verdict] }} {{ answer.statement }}</p>
<p class="soft">Features: {{ features }}. Half of the records say how features couple, on the other half each is shifted
up and down; both are in standard deviations.</p>
<div class="grid">{{ hops }}</div>
<div class="scroll" tabindex="0"><table>
<tr><th>from</th><th>to</th><th>edges within, across</th><th>slope</th><th>share explained</th><th></th>
<th>slope, whole activation</th><th></th></tr>
{% for row in rows %}
<tr><td><code>{{ row["from"] }}</code></td><td><code>{{ row["to"] }}</code></td>
<td class="num">{{ row.edges_within }}, {{ row.edges_across }}</td>
<td class="num">{{ row.given["slope"]|bare }}</td><td class="num">{{ row.given["share explained"]|bare }}</td>
<td>{{ signs[row.given.verdict] }} {{ row.given.verdict }}</td>
<td class="num">{{ row.whole["slope"]|bare }}</td><td>{{ signs[row.whole.verdict] }} {{ row.whole.verdict }}</td></tr>
{% endfor %}
</table></div>
{% if lack %}<p>No untrained copy: {{ lack }}</p>{% endif %}
<details><summary>Every pair of features</summary><div class="grid">{{ pairs }}</div></details>
<details><summary>{{ edges|length }} strongest of {{ found }} edges, of {{ looks }} that there could be</summary>
<p class="soft">At most {{ level }} of the edges are expected to be false. Strengths are measured on records that did
not choose them.</p>
<div class="scroll" tabindex="0"><table><tr><th>from</th><th>to</th><th></th><th>coupling</th><th></th></tr>
{% for edge in edges %}
<tr><td>{{ edge["from"]|join(", ") }}</td><td>{{ edge["to"]|join(", ") }}</td><td>{{ edge.kind }}</td>
<td class="num">{{ edge.coupling|bare }}</td><td class="num">{{ edge.p }}</td></tr>
{% endfor %}
</table></div></details>
<details><summary>What the predictions rest on</summary><ul>
{% for item in answer.assumptions %}
<li>{{ signs[item.light] }} {{ item.name }}: {{ item.reason }}</li>
{% endfor %}
</ul></details>
"""
Rows = Sequence[Mapping[str, Any]]


def section(run: RunFolder) -> Section | None:
    """Return answers to shifts beside their predictions; nothing where they were not asked for."""
    return section_of(run, "responses.json", "Couplings and interventions", _body)


def _body(found: Mapping[str, Any]) -> Markup:
    rows, untrained, graph = found["running"], found["untrained"], found["graph"]
    kinds = {name: [row["predictions"][name] for row in rows] for name in (GIVEN, WHOLE)}
    if "running" in untrained:
        kinds["untrained"] = [row["predictions"][GIVEN] for row in untrained["running"]]
    strongest = sorted(graph["edges"], key=lambda edge: -abs(edge["coupling"]["value"] or 0.0))[:STRONGEST]
    return fill(
        BODY,
        answer=found["answer"],
        features=found["features"],
        rows=[{**row, "given": row["predictions"][GIVEN], "whole": row["predictions"][WHOLE]} for row in rows],
        lack=untrained.get("reason"),
        hops=Markup("").join(panel(title, partial(_by_hop, title, key, rows, kinds)) for key, title in SHOWN.items()),
        pairs=Markup("").join(panel(_hop(row), partial(_pairs, row)) for row in found["responses"]),
        edges=[{**edge, "p": chance(edge["p_value"])} for edge in strongest],
        found=len(graph["edges"]),
        looks=graph["looks"],
        level=f"{graph['level']:.0%}",
    )


def _by_hop(title: str, key: str, rows: Rows, kinds: Mapping[str, Rows]) -> Markup:
    """Draw a number of every hop: of both predictions, and of the untrained copy, which may have hops of its own."""
    labels = short([row["to"] for row in rows])
    traces = [
        {
            **_points(name, [n[key]["value"] for n in numbers], [n[key]["error"] for n in numbers], labels),
            "x": list(range(len(numbers))),
            "hovertemplate": "%{text}: %{y:.3g}<extra>%{fullData.name}</extra>",
        }
        for name, numbers in kinds.items()
    ]
    layout = {
        "xaxis": {"title": {"text": "hop"}, "dtick": 1, "tick0": 0},
        "shapes": [{**LEVEL, "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1}],
        "showlegend": True,
    }
    caption = "Bars are two standard errors; dotted: as predicted. Hops in the order of the table."
    return figure(title, traces, layout, caption)


def _hop(row: Mapping[str, Any]) -> str:
    return f"{row['from'][0]} to {row['to'][0]}"


def _pairs(row: Mapping[str, Any]) -> Markup:
    """Draw the measured answer of every feature to every shift against both predictions of it."""
    measured, errors = (list(chain.from_iterable(row["measured"][key])) for key in ("value", "error"))
    texts = [f"{one} to {other}" for one in row["from"][1:] for other in row["to"][1:]]
    traces = [
        {
            **_points(name, measured, errors, texts),
            "x": finite(chain.from_iterable(predicted["value"])),
            "hovertemplate": "%{text}: %{x:.3g} predicted, %{y:.3g} measured<extra>%{fullData.name}</extra>",
        }
        for name, predicted in row["predicted"].items()
    ]
    drawn = [value for trace in traces for value in (*trace["x"], *trace["y"]) if value is not None]
    ends = min(drawn, default=0.0), max(drawn, default=0.0)
    layout = {
        "xaxis": {"title": {"text": "predicted"}},
        "yaxis": {"title": {"text": "measured"}},
        "shapes": [{**LEVEL, "x0": ends[0], "y0": ends[0], "x1": ends[1], "y1": ends[1]}],
        "showlegend": True,
    }
    return figure(_hop(row), traces, layout, "Standard deviations; bars are two standard errors; dotted: as predicted.")


def _points(
    name: str, values: Sequence[float | None], errors: Sequence[float | None], texts: Sequence[str]
) -> dict[str, Any]:
    """Return the marks of one prediction, with their bars."""
    symbol, colour = LOOKS[name]
    return {
        "y": finite(values),
        "error_y": {**bars(errors), "color": colour},
        "text": list(texts),
        "name": name,
        "mode": "markers",
        "marker": {"size": 7, "symbol": symbol, "color": colour},
    }
