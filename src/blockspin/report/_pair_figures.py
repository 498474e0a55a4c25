"""Pair figures: couplings that belong to pairs of something, one square a pair at every scale, a null's below."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from blockspin.report._html import figure, finite, panel, with_error
from blockspin.report._labels import categories

PAIR = re.compile(r"(?P<kind>[^\[]+)\[(?P<first>[^,\]]+), (?P<second>[^,\]]+)\]")
"""A coupling of a pair: "cross[head 0, head 3]"."""
MANY = 10
"""Pairs from which on they are a picture rather than columns of a table."""
SCALES = 6
"""Most scales that are drawn: first, last, and as evenly between as may be."""
WIDTH = 150.0
"""Pixels that the largest squares of a column have together."""
LEAST = 3.0
"""Pixels of the smallest square."""
Pairs = Mapping[str, tuple[str, str]]


def pairs_of(names: Sequence[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return what couplings of pairs belong to, by kind and name, of the kinds that have many."""
    kinds: dict[str, dict[str, tuple[str, str]]] = {}
    for name in names:
        if found := PAIR.fullmatch(name):
            kinds.setdefault(found["kind"], {})[name] = found["first"], found["second"]
    return {kind: pairs for kind, pairs in kinds.items() if len(pairs) >= MANY}


def pair_plots(table: Mapping[str, Any], names: Sequence[str]) -> list[Markup]:
    """Return figures of the couplings of many pairs, one a scale.

    Args:
        table: Of couplings.json, its null flows under "beside".
        names: All its couplings.
    """
    drawn = []
    for kind, pairs in pairs_of(names).items():
        rows = _spread([row for row in table["rows"] if row["values"].keys() & pairs.keys()])
        nulls = [_null(table, row) for row in rows]
        shown = [m["value"] for row in (*rows, *(null for _, null in nulls)) for m in _of(row, pairs).values()]
        largest = max((abs(value) for value in shown if value is not None), default=0.0)
        for row, null in zip(rows, nulls, strict=True):
            title = f"{table['theory']}: {kind}, {row['label']}"
            drawn.append(panel(title, partial(_squares, title, row, null, pairs, largest)))
    return drawn


def _spread(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(rows) <= SCALES:
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / (SCALES - 1))] for k in range(SCALES)]


def _null(table: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the first null flow that has the same scale, and its row; blank where there is none."""
    for name, other in table["beside"]:
        for same in other["rows"]:
            if same["position"] == row["position"] and same["values"]:
                return name, same
    return "", {"values": {}}


def _of(row: Mapping[str, Any], pairs: Pairs) -> dict[str, Any]:
    return {name: m for name, m in row["values"].items() if name in pairs}


def _squares(
    title: str,
    row: Mapping[str, Any],
    null: tuple[str, Mapping[str, Any]],
    pairs: Pairs,
    largest: float,
) -> Markup:
    """Return a square a pair, its side as the root of the coupling; all scales are drawn alike, up to the largest."""
    members = list(dict.fromkeys(member for pair in pairs.values() for member in pair))
    side = WIDTH / len(members) / (largest or 1) ** 0.5
    name, other = null
    traces = _trace("measured", _of(row, pairs), pairs, side, 1, "var:accent")
    traces += _trace(name, _of(other, pairs), pairs, side, -1, "var:soft")
    layout = {
        "xaxis": categories(members),
        "yaxis": {**categories(members), "tickangle": 0, "autorange": "reversed"},
        "showlegend": False,
        "margin": {"t": 16, "r": 24},
    }
    below = f" Below the diagonal the same of the null “{name}”." if name else ""
    caption = (
        f"Every square is a pair, its area in proportion to the coupling, up to {largest:.2g} over all of them; full "
        f"where it is above two standard errors, else hollow.{below}"
    )
    return figure(title, traces, layout, caption)


def _trace(
    title: str, values: Mapping[str, Any], pairs: Pairs, side: float, order: int, colour: str
) -> list[dict[str, Any]]:
    """Return the squares of one flow, above the diagonal, or below it where ``order`` is -1."""
    found = [(pairs[name][::order], m) for name, m in values.items() if m["value"] is not None]
    if not found:
        return []
    clear = [m["error"] is not None and m["value"] > 2 * m["error"] for _, m in found]
    return [
        {
            "x": [pair[1] for pair, _ in found],
            "y": [pair[0] for pair, _ in found],
            "text": [f"{pair[0]}, {pair[1]}: {with_error(m['value'], m['error'])}" for pair, m in found],
            "name": title,
            "mode": "markers",
            "marker": {
                "symbol": ["square" if sure else "square-open" for sure in clear],
                "size": finite([max(LEAST, side * abs(m["value"]) ** 0.5) for _, m in found]),
                "color": colour,
            },
            "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
        }
    ]
