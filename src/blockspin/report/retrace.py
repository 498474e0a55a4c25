"""Retrace: where the coarse-grained levels lie with respect to the network's own flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import floor
from typing import Any

from markupsafe import Markup

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, bars, figure, fill, finite, panel
from blockspin.report._labels import categories, cut, near, short, ticks

ORDER = 20
COLOURS = {"yes": "var:in", "no": "var:out", "cannot tell": "var:open"}
WORDS = {"yes": "inside", "no": "outside", "cannot tell": "cannot tell"}
SYMBOLS = {"yes": "circle", "no": "triangle-up", "cannot tell": "circle-open"}
BODY = """
<p>Each level is compared, by its kernel over the same inputs, with the curve through the kernels of the data and of all
layers. D is its distance from that curve less the radius of the tube there: below zero inside, above zero outside.</p>
<div class="grid">{% for picture in pictures %}{{ picture }}{% endfor %}</div>
<details><summary>All levels as a table</summary><div class="scroll" tabindex="0"><table>
<tr><th>level</th><th>verdict</th><th>D</th><th>distance</th><th>radius</th><th>nearest to</th><th>lost</th>
<th>added</th></tr>
{% for row in levels %}
<tr><td>{{ row.label }}</td>
<td class="{{ row.verdict|replace(" ", "-") }}">{{ signs[row.verdict] }} {{ words[row.verdict] }}</td>
<td class="num">{{ row.D|number }}</td><td class="num">{{ row.distance|number }}</td>
<td class="num">{{ row.radius|number }}</td><td>{{ row.near }}</td><td class="num">{{ row.lost|number }}</td>
<td class="num">{{ row.added|number }}</td></tr>
{% endfor %}
</table></div></details>
"""
Rows = Sequence[Mapping[str, Any]]


def section(run: RunFolder) -> Section | None:
    """Return the pictures of the question ``retrace``; nothing where it was not asked or had nothing to compare."""
    answer = next((row for row in run.answers["answers"] if row["question"] == "retrace"), None)
    if answer is None or not answer["figure"].get("levels"):
        return None
    data = answer["figure"]
    levels, points = data["levels"], data.get("points", [])
    pictures = (
        panel("D of every level", lambda: _excess(levels)),
        panel("Where each level lies along the flow", lambda: _tube(levels, points)),
        panel("What is lost, what is added", lambda: _split(levels)),
        panel("Map of all kernels", lambda: _map(data["embedding"], levels)),
    )
    names = [point["label"] for point in points]
    body = fill(BODY, pictures=pictures, levels=[_row(row, names) for row in levels], words=WORDS)
    return Section("On the network's own flow?", body)


def _row(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    kept = {key: row.get(key) for key in ("label", "verdict", "distance", "radius", "lost", "added")}
    D = {"value": row.get("D"), "error": row.get("D_error")}
    return {**kept, "D": D, "near": near(row.get("position"), names)}


def _by_verdict(levels: Rows, x: str, template: str) -> Iterator[tuple[dict[str, Any], Rows, str]]:
    """Return (trace, its levels, their colour) for each verdict, so that colour and sign are in the legend."""
    for verdict, colour in COLOURS.items():
        found = [row for row in levels if row["verdict"] == verdict]
        trace = {
            "x": [row[x] for row in found],
            "text": [row["label"] for row in found],
            "name": WORDS[verdict],
            "mode": "markers",
            "marker": {"size": 11, "color": colour, "symbol": SYMBOLS[verdict]},
            "hovertemplate": template + "<extra>%{fullData.name}</extra>",
        }
        if found:
            yield trace, found, colour


def _excess(levels: Rows) -> Markup:
    traces = []
    for trace, found, colour in _by_verdict(levels, "label", "%{x}: D = %{y:.4f}"):
        error = {**bars([row["D_error"] for row in found]), "color": colour}
        traces.append({**trace, "y": finite(row["D"] for row in found), "error_y": error})
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": {"color": "var:soft"}}
    layout = {
        "xaxis": categories([row["label"] for row in levels]),
        "yaxis": {"title": {"text": "D = distance − radius"}},
        "shapes": [line],
        "showlegend": True,
    }
    caption = "Below the line a level lies inside the tube, above it outside. Bars: two standard errors."
    return figure("D of every level", traces, layout, caption)


def _tube(levels: Rows, points: Rows) -> Markup:
    radii = [point["radius"] for point in points]
    known = [max((r for r in ends if r is not None), default=None) for ends in pairwise(radii)]
    tube = {
        "x": list(range(len(points))),
        "y": finite([*known, known[-1]]),
        "name": "the tube",
        "mode": "lines",
        "line": {"shape": "hv", "width": 1, "color": "var:accent"},
        "fill": "tozeroy",
        "fillcolor": "var:band",
        "hoverinfo": "skip",
    }
    traces: list[dict[str, Any]] = [tube]
    for trace, found, colour in _by_verdict(levels, "position", "%{text}: distance %{y:.4f} at %{x:.2f}"):
        distance = [row["distance"] or {} for row in found]
        error = {**bars([number.get("error") for number in distance]), "color": colour}
        along = {**_span(found), "color": colour}
        y = finite(number.get("value") for number in distance)
        traces.append({**trace, "y": y, "error_y": error, "error_x": along})
    places = [row["position"] for row in levels if row["position"] is not None]
    begin = max(0, floor(min(places, default=0)) - 1)
    layout = {
        "xaxis": {
            **ticks(range(begin, len(points)), short([point["label"] for point in points])[begin:]),
            "range": [begin - 0.1, len(points) - 0.85],
            "title": {"text": "point of the network's flow"},
        },
        "yaxis": {"title": {"text": "distance from the flow"}, "rangemode": "tozero"},
        "showlegend": True,
    }
    caption = (
        "Across: the point of the network's flow that each level is most like, with its 95 % interval; the last is the "
        "representation itself. Up: how far off it is, with two standard errors. Shaded: the tube."
    )
    return figure("Where each level lies along the flow", traces, layout, caption)


def _span(rows: Rows) -> dict[str, Any]:
    high = [_gap(row["interval"][1], row["position"]) for row in rows]
    low = [_gap(row["position"], row["interval"][0]) for row in rows]
    return {"type": "data", "symmetric": False, "array": high, "arrayminus": low, "thickness": 1.2, "width": 3}


def _gap(high: float | None, low: float | None) -> float:
    return 0.0 if high is None or low is None else max(0.0, high - low)


def _split(levels: Rows) -> Markup:
    parts = (("lost", "var:out"), ("added", "var:accent"))
    traces = [
        {
            "type": "bar",
            "name": key,
            "x": [row["label"] for row in levels],
            "y": finite((row[key] or {}).get("value") for row in levels),
            "error_y": {**bars([(row[key] or {}).get("error") for row in levels]), "color": "var:ink"},
            "marker": {"color": colour},
            "hovertemplate": "%{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
        }
        for key, colour in parts
    ]
    layout = {
        "barmode": "group",
        "xaxis": categories([row["label"] for row in levels]),
        "yaxis": {"title": {"text": "1 − held-out R²"}, "rangemode": "tozero"},
        "showlegend": True,
    }
    caption = (
        "Lost: the share of the flow's nearest point that a linear map cannot predict from the level. Added: the share "
        "of the level that it cannot predict from that point. Bars: two standard errors."
    )
    return figure("What is lost, what is added", traces, layout, caption)


def _map(embedding: Mapping[str, Any], levels: Rows) -> Markup:
    rows = list(zip(embedding["points"], embedding["labels"], embedding["kinds"], strict=True))
    kinds = list(dict.fromkeys(kind for _, _, kind in rows))
    traces = [_cloud([row for row in rows if row[2] == kind], kind, levels) for kind in kinds]
    flow = [(point, label) for point, label, kind in rows if kind == "flow"]
    layout = {
        "xaxis": {"showticklabels": False, "showgrid": False},
        "yaxis": {"showticklabels": False, "showgrid": False, "scaleanchor": "x"},
        "showlegend": True,
    }
    caption = (
        "The network's flow from the data to the representation, and the levels that the scheme makes of it. Near "
        "means similar; two dimensions show only part of all distances, so read D for the verdicts."
    )
    return figure("Map of all kernels", [*traces, _ends(flow)], layout, caption)


def _cloud(rows: Sequence[tuple[Sequence[float], str, str]], kind: str, levels: Rows) -> dict[str, Any]:
    trace = {
        "x": finite(point[0] for point, _, _ in rows),
        "y": finite(point[1] for point, _, _ in rows),
        "text": [label for _, label, _ in rows],
        "name": {"flow": "network's flow", "level": "levels"}.get(kind, kind),
        "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
    }
    if kind == "flow":
        line = {"color": "var:accent", "width": 2.5}
        return {**trace, "mode": "lines+markers", "line": line, "marker": {"size": 6, "color": "var:accent"}}
    if kind != "level":
        return {**trace, "mode": "markers", "marker": {"size": 8, "symbol": "x-thin-open", "color": "var:open"}}
    verdicts = [row["verdict"] for row in levels]
    colours, symbols = ([table[verdict] for verdict in verdicts] for table in (COLOURS, SYMBOLS))
    marker = {"size": 10, "color": colours, "symbol": symbols, "line": {"width": 1, "color": "var:panel"}}
    return {
        **trace,
        "mode": "lines+markers",
        "line": {"color": "var:open", "width": 1, "dash": "dot"},
        "marker": marker,
    }


def _ends(flow: Sequence[tuple[Sequence[float], str]]) -> dict[str, Any]:
    """Return the names of the two ends of the flow."""
    (first, label), (last, _) = flow[0], flow[-1]
    return {
        "x": finite([first[0], last[0]]),
        "y": finite([first[1], last[1]]),
        "text": [cut(label), "representation"],
        "mode": "text",
        "textposition": ["top right", "bottom left"],
        "showlegend": False,
        "hoverinfo": "skip",
    }
