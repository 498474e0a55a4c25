"""Nulls: couplings beside those of flows where training, or structure between sites, is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from blockspin.report._html import bars, fill, finite
from blockspin.report._labels import LEGEND, cut

BODY = """
<h3>Beside null flows</h3>
{% if rows %}
<p>The same couplings over the same samples where something is missing: in an untrained copy of the network, training;
with the samples of every site put in an order of their own, structure between sites. The levels of a null are those of
the same scheme, fitted to it.</p>
<div class="scroll" tabindex="0"><table>
<tr><th>couplings</th><th>flow</th>{% for null in nulls %}<th>{{ null }}</th><th>predicted there</th>{% endfor %}</tr>
{% for row in rows %}
<tr><td><code>{{ row.theory }}</code></td><td>{{ row.where }}</td>
{% for null in nulls %}
{% set cell = row.cells.get(null) %}
{% if cell %}
<td><span class="chip {{ cell.mood }}">{{ cell.word }}</span><br><span class="soft">{{ cell.text }}</span></td>
<td>{{ cell.predicted }}</td>
{% else %}<td colspan="2">not measured</td>{% endif %}
{% endfor %}</tr>
{% endfor %}
</table></div>
<p class="soft">“Differs”: at least at one scale, at the 5 % level after all {{ tests }} comparisons of this table, by
Hotelling's statistic of all couplings there with the covariance of their differences. “Not told apart” does not say
that they are equal. A prediction that is better than every baseline on a null flow too says nothing about what is
missing there; one that is so on the flow alone has not been shown to be better than on the null.</p>
{% else %}<p class="soft">No null flows were measured in this run.</p>{% endif %}
"""
LINES = (("solid", "circle"), ("dot", "square"), ("dash", "diamond"))
"""How null flows are told apart, all being thin and grey."""
MOST = 1e-100


def comparison(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], where: Mapping[str, str]) -> Markup:
    """Return the table of all couplings beside those of the null flows.

    Args:
        found: couplings.json.
        rows: Predictions with their scores, those along null flows included.
        where: Flows in words.
    """
    compared = found.get("nulls", ())
    words = {(row["flow"], row["theory"]): _predicted(row) for row in rows}
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in compared:
        key = row["flow"], row["theory"]
        empty: dict[str, Any] = {"theory": row["theory"], "where": where.get(row["flow"], row["flow"]), "cells": {}}
        line = lines.setdefault(key, empty)
        line["cells"][row["null"]] = {**_cell(row), "predicted": words.get((row["slug"], row["theory"]), "no number")}
    nulls = list(dict.fromkeys(row["null"] for row in compared))
    tests = sum(len(row["scales"]) for row in compared)
    return fill(BODY, rows=list(lines.values()), nulls=nulls, tests=tests)


def _cell(row: Mapping[str, Any]) -> dict[str, str]:
    """Return how couplings compare with those of one null flow."""
    scales = row["scales"]
    if not scales:
        return {"mood": "cannot-tell", "word": "○ no number", "text": row["reason"]}
    away = [scale for scale in scales if scale["differs"]]
    least = min(scales, key=lambda scale: scale["p_value"])
    p = least["adjusted"]
    chance = f"p = {p:.1g}" if p >= MOST else "p below 1e−100"
    most = f"most at {least['label']} by {least['largest']} ({chance})"
    if not away:
        return {"mood": "cannot-tell", "word": "○ not told apart", "text": f"at {len(scales)} scales; {most}"}
    return {"mood": "yes", "word": "● differs", "text": f"at {len(away)} of {len(scales)} scales, {most}"}


def _predicted(row: Mapping[str, Any]) -> str:
    """Return the verdict on a prediction, with its mean squared miss."""
    if not row["scored"]:
        return "no number"
    miss = row["scored"]["scores"][0]["miss"]
    return row["scored"]["verdict"] if miss is None else f"{row['scored']['verdict']}, miss {miss:.3g}"


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
    rows = []
    for k, (null, table) in enumerate(beside):
        lines = [row for row in table["rows"] if name in row["values"]]
        dash, symbol = LINES[k % len(LINES)]
        if not lines:
            continue
        rows.append(
            {
                "x": finite([row["position"] for row in lines]),
                "y": finite([row["values"][name]["value"] for row in lines]),
                "error_y": {
                    **bars([row["values"][name]["error"] for row in lines], cap=2),
                    "thickness": 0.8,
                    "color": "var:open",
                },
                "text": [row["label"] for row in lines],
                "name": cut(null, LEGEND),
                "mode": "lines+markers",
                "line": {"color": "var:open", "width": 1, "dash": dash},
                "marker": {"size": 4, "symbol": symbol, "color": "var:open"},
                "opacity": 0.7,
                "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
            }
        )
    return rows
