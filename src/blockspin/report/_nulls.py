"""Nulls: couplings beside those of flows where training, or structure between sites, is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from blockspin.report._html import bars, chance, fill, finite
from blockspin.report._labels import LEGEND, cut, short

BODY = """
<h3>Beside null flows</h3>
{% if groups %}
<p>The same couplings over the same samples where something is missing: {{ missing|join("; ") }}. The levels of a null
are those of the same scheme, fitted to it.</p>
<div class="scroll" tabindex="0"><table>
<tr><th>couplings</th><th>predicted</th>{% for null in nulls %}<th>{{ null }}</th><th>predicted there</th>{% endfor %}
</tr>
{% for where, rows in groups %}
<tr><th colspan="{{ 2 + 2 * nulls|length }}" scope="rowgroup">{{ where }}</th></tr>
{% for row in rows %}
<tr><td><code>{{ row.theory }}</code></td><td>{{ row.predicted }}</td>
{% for null in nulls %}
{% set cell = row.cells.get(null) %}
{% if cell %}
<td><span class="chip {{ cell.mood }}">{{ cell.word }}</span><br><span class="soft">{{ cell.text|prose }}</span></td>
<td>{{ cell.predicted }}</td>
{% else %}<td colspan="2">not measured</td>{% endif %}
{% endfor %}</tr>
{% endfor %}{% endfor %}
</table></div>
<p class="soft">“Differs”: at least at one scale, at the 5 % level after all {{ tests }} comparisons of this table, by
Hotelling's statistic of all couplings there with the covariance of their differences. “Not told apart” does not say
that they are equal. A prediction that is better than every baseline on a null flow too says nothing about what is
missing there; one that is so on the flow alone has not been shown to be better than on the null.</p>
{% else %}<p class="soft">No null flows were measured in this run.</p>{% endif %}
"""
MISSING = {
    "untrained network": "in an untrained copy of the network, training",
    "sites shuffled": "with the samples of every site put in an order of their own, structure between sites",
    "Gaussian of equal covariance": "in a Gaussian field of the same mean and covariance, all beyond pairs of sites",
}
"""What each null flow lacks."""
LINES = (("solid", "circle"), ("dot", "square"), ("dash", "diamond"))
"""How null flows are told apart, all being thin and grey."""
SIGNS = {"better": "●", "not better": "▲", "cannot tell": "○"}
LARGEST = 1e4
"""Misses above this are not told apart."""


def comparison(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], where: Mapping[str, str]) -> Markup:
    """Return the table of all couplings beside those of the null flows.

    Args:
        found: couplings.json.
        rows: Predictions with their scores, those along null flows included.
        where: Flows in words.
    """
    compared = found.get("nulls", ())
    words = {(row["flow"], row["theory"]): _predicted(row) for row in rows}
    labels = {table["flow"]: [row["label"] for row in table["rows"]] for table in found["tables"]}
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for row in compared:
        flow, theory = row["flow"], row["theory"]
        empty = {"theory": theory, "predicted": words.get((flow, theory), "no number"), "cells": {}}
        line = groups.setdefault(flow, {}).setdefault(theory, empty)
        names = dict(zip(labels[flow], short(labels[flow]), strict=True))
        predicted = words.get((row["slug"], theory), "no number")
        line["cells"][row["null"]] = {**_cell(row, names), "predicted": predicted}
    nulls = list(dict.fromkeys(row["null"] for row in compared))
    tests = sum(len(row["scales"]) for row in compared)
    shown = [(where.get(flow, flow), list(lines.values())) for flow, lines in groups.items()]
    return fill(BODY, groups=shown, nulls=nulls, tests=tests, missing=[MISSING.get(null, null) for null in nulls])


def _cell(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return how couplings compare with those of one null flow."""
    scales = row["scales"]
    if not scales:
        return {"mood": "cannot-tell", "word": "○ cannot tell", "text": row["reason"]}
    away = [scale for scale in scales if scale["differs"]]
    least = min(scales, key=lambda scale: scale["p_value"])
    most = f"most at {names[least['label']]} in {least['largest']}, {chance(least['adjusted'])}"
    if not away:
        return {"mood": "cannot-tell", "word": "○ not told apart", "text": f"at {len(scales)} scales; {most}"}
    return {"mood": "yes", "word": "● differs", "text": f"at {len(away)} of {len(scales)} scales; {most}"}


def _predicted(row: Mapping[str, Any]) -> str:
    """Return the verdict on a prediction, with its mean squared miss."""
    if not row["scored"]:
        return "no number"
    word = row["scored"]["verdict"]
    return f"{SIGNS.get(word, '')} {word}, miss {miss(row['scored']['scores'][0]['miss'])}"


def miss(number: float | None) -> str:
    """Return a mean squared miss in squared errors."""
    if number is None:
        return "no number"
    return f"over {LARGEST:,.0f}" if number > LARGEST else f"{number:,.0f}" if number >= 100 else f"{number:.2f}"


def tables_beside(found: Mapping[str, Any], table: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the tables of the same theory along the null flows of a flow, with what is missing in each."""
    names = {row["slug"]: row["null"] for row in found.get("nulls", ())}
    return [
        (names.get(other["flow"], other["flow"]), other)
        for other in found["tables"]
        if other.get("null_of") == table["flow"] and other["theory"] == table["theory"]
    ]


def traces(beside: Sequence[tuple[str, Mapping[str, Any]]], name: str) -> list[dict[str, Any]]:
    """Return one coupling along the null flows, thin and grey."""
    drawn = []
    for k, (null, table) in enumerate(beside):
        rows = [row for row in table["rows"] if name in row["values"]]
        found = [row["values"][name] for row in rows]
        numbers = [number["value"] for number in found], [number["error"] for number in found]
        if rows:
            where = [row["position"] for row in rows], [row["label"] for row in rows]
            drawn.append(thin(null, *where, *numbers, LINES[k % len(LINES)]))
    return drawn


def thin(
    name: str,
    positions: Iterable[float],
    labels: Sequence[str],
    values: Iterable[float | None],
    errors: Iterable[float | None],
    style: tuple[str, str] = LINES[0],
) -> dict[str, Any]:
    """Return a thin grey line with its error bars: what stands beside the flow in question."""
    return {
        "x": finite(positions),
        "y": finite(values),
        "error_y": {**bars(errors, cap=2), "thickness": 0.8, "color": "var:open"},
        "text": list(labels),
        "name": cut(name, LEGEND),
        "mode": "lines+markers",
        "line": {"color": "var:open", "width": 1, "dash": style[0]},
        "marker": {"size": 4, "symbol": style[1], "color": "var:open"},
        "opacity": 0.7,
        "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
    }
