"""Retrace: where the coarse-grained levels lie with respect to the network's own flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, figure, fill

ORDER = 20
COLOURS = {"yes": "var:in", "no": "var:out", "cannot tell": "var:open"}
WORDS = {"yes": "inside", "no": "outside", "cannot tell": "cannot tell"}
SYMBOLS = {"yes": "circle", "no": "triangle-up", "cannot tell": "circle-open"}
BODY = """
<p>Each level is compared, by its kernel over the same inputs, with the curve through the kernels of the data and of all
layers. D is its distance from that curve less the radius of the tube there: below zero inside, above zero outside.</p>
<div class="grid">{{ picture }}{{ excess }}{{ split }}{{ place }}</div>
<details><summary>All levels as a table</summary><div class="scroll"><table>
<tr><th>level</th><th>verdict</th><th>D</th><th>distance</th><th>radius</th><th>nearest to</th><th>lost</th>
<th>added</th></tr>
{% for row in levels %}
<tr><td>{{ row.label }}</td><td class="{{ row.verdict|replace(" ", "-") }}">{{ words[row.verdict] }}</td>
<td class="num">{{ {"value": row.D, "error": row.D_error}|number }}</td><td class="num">{{ row.distance|number }}</td>
<td class="num">{{ row.radius|number }}</td><td>{{ row.near }}</td><td class="num">{{ row.lost|number }}</td>
<td class="num">{{ row.added|number }}</td></tr>
{% endfor %}
</table></div></details>
"""


def section(run: RunFolder) -> Section | None:
    """Return the pictures of the question ``retrace``; nothing where it was not asked or had nothing to compare."""
    answer = next((row for row in run.answers["answers"] if row["question"] == "retrace"), None)
    if answer is None or not answer["figure"].get("levels"):
        return None
    data = answer["figure"]
    names = [point["label"] for point in data["points"]]
    levels = [{**row, "near": _near(row["position"], names)} for row in data["levels"]]
    body = fill(
        BODY,
        picture=_map(data["embedding"], levels),
        excess=_excess(levels),
        split=_split(levels),
        place=_place(levels, names),
        levels=levels,
        words=WORDS,
    )
    return Section("On the network's own flow?", body)


def _map(embedding: Mapping[str, Any], levels: Sequence[Mapping[str, Any]]) -> Markup:
    rows = list(zip(embedding["points"], embedding["labels"], embedding["kinds"], strict=True))
    flow = [(point, label) for point, label, kind in rows if kind == "flow"]
    own = [(point, label) for point, label, kind in rows if kind == "level"]
    verdicts = [row["verdict"] for row in levels]
    curve = {
        "x": [point[0] for point, _ in flow],
        "y": [point[1] for point, _ in flow],
        "text": [label for _, label in flow],
        "mode": "lines+markers",
        "name": "network's flow",
        "line": {"color": "var:accent", "width": 2.5},
        "marker": {"size": 6},
        "hovertemplate": "%{text}<extra></extra>",
    }
    ladder = {
        "x": [flow[-1][0][0], *(point[0] for point, _ in own)],
        "y": [flow[-1][0][1], *(point[1] for point, _ in own)],
        "text": ["representation", *(label for _, label in own)],
        "mode": "lines+markers",
        "name": "levels",
        "line": {"color": "var:open", "width": 1.2, "dash": "dot"},
        "marker": {
            "size": [1, *([11] * len(own))],
            "color": ["var:open", *(COLOURS[verdict] for verdict in verdicts)],
            "symbol": ["circle", *(SYMBOLS[verdict] for verdict in verdicts)],
        },
        "hovertemplate": "%{text}<extra></extra>",
    }
    ends = _named(flow[0][0], flow[0][1], flow[-1][0])
    layout = {
        "title": {"text": "Map of all kernels", "font": {"size": 14}},
        "xaxis": {"showticklabels": False, "zeroline": False},
        "yaxis": {"showticklabels": False, "zeroline": False, "scaleanchor": "x"},
    }
    caption = (
        "The network's flow from the data to the representation, and the levels that the scheme makes of it. Near "
        "means similar; two dimensions show only part of all distances, so read D for the verdicts."
    )
    return figure([curve, ladder, ends], layout, caption)


def _named(first: Sequence[float], label: str, last: Sequence[float]) -> dict[str, Any]:
    """Return the names of the two ends of the flow."""
    return {
        "x": [first[0], last[0]],
        "y": [first[1], last[1]],
        "text": [label, "representation"],
        "mode": "text",
        "textposition": ["top right", "bottom left"],
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _excess(levels: Sequence[Mapping[str, Any]]) -> Markup:
    trace = {
        "x": [row["label"] for row in levels],
        "y": [row["D"] for row in levels],
        "error_y": {"type": "data", "array": [2 * (row["D_error"] or 0) for row in levels], "thickness": 1.4},
        "mode": "markers",
        "marker": {
            "size": 11,
            "color": [COLOURS[row["verdict"]] for row in levels],
            "symbol": [SYMBOLS[row["verdict"]] for row in levels],
        },
        "text": [WORDS[row["verdict"]] for row in levels],
        "hovertemplate": "%{x}: D = %{y:.4f}, %{text}<extra></extra>",
    }
    layout = {
        "title": {"text": "D of every level", "font": {"size": 14}},
        "yaxis": {"title": {"text": "distance – radius"}},
        "shapes": [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": {"color": "var:soft"}}
        ],
    }
    caption = "Below the line inside the tube (●), above it outside (▲), ○ cannot tell. Bars: two standard errors."
    return figure([trace], layout, caption)


def _split(levels: Sequence[Mapping[str, Any]]) -> Markup | str:
    if not any(row["lost"] for row in levels):
        return ""
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": [row["label"] for row in levels],
            "y": [row[key] and row[key]["value"] for row in levels],
            "error_y": {"type": "data", "array": [row[key] and 2 * row[key]["error"] for row in levels]},
            "marker": {"color": colour},
        }
        for key, name, colour in (("lost", "lost", "var:out"), ("added", "added", "var:accent"))
    ]
    layout = {
        "title": {"text": "What is lost, what is added", "font": {"size": 14}},
        "barmode": "group",
        "yaxis": {"title": {"text": "1 – held-out R²"}, "rangemode": "tozero"},
    }
    caption = (
        "Lost: the share of the flow's nearest point that a linear map cannot predict from the level. Added: the share "
        "of the level that it cannot predict from that point. Bars: two standard errors."
    )
    return figure(traces, layout, caption)


def _place(levels: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Markup:
    middle = [row["position"] for row in levels]
    trace = {
        "x": middle,
        "y": [row["label"] for row in levels],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [_gap(row["interval"][1], row["position"]) for row in levels],
            "arrayminus": [_gap(row["position"], row["interval"][0]) for row in levels],
        },
        "mode": "markers",
        "marker": {"size": 9, "color": "var:accent"},
        "text": [_near(position, names) for position in middle],
        "hovertemplate": "%{y}: near %{text}<extra></extra>",
    }
    layout = {
        "title": {"text": "Nearest point of the flow", "font": {"size": 14}},
        "xaxis": {"title": {"text": "position: 0 = data, last = representation"}, "range": [-0.4, len(names) - 0.6]},
        "yaxis": {"autorange": "reversed"},
    }
    return figure([trace], layout, "Which depth of the network each level is most like, with its 95 % interval.")


def _near(position: float | None, names: Sequence[str]) -> str:
    return "no point" if position is None else names[min(round(position), len(names) - 1)]


def _gap(high: float | None, low: float | None) -> float:
    return 0.0 if high is None or low is None else max(0.0, high - low)
