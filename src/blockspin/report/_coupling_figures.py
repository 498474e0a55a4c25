"""Figures of couplings: each along its flow with its errors, predictions and baselines beside it, null flows behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from markupsafe import Markup

from blockspin.report._family import axis, start
from blockspin.report._html import bars, figure, finite, in_unit, panel
from blockspin.report._key import key
from blockspin.report._labels import LEGEND, cut, ticks
from blockspin.report._nulls import traces
from blockspin.report._pair_figures import pairs_of

NAMES = {
    "network": "over depth",
    "explicit": "under coarse-graining",
}
"""Flows in words; all others run over networks of a family, and along an axis that is drawn logarithmically."""
STYLES = (("var:warn", "dot"), ("var:out", "dash"), ("var:in", "dashdot"))
FEW = 4
"""Entries of one table of couplings that are drawn; all are in the table."""
Tables = Sequence[Mapping[str, Any]]


def where(flow: str) -> str:
    """Return a flow in words."""
    return NAMES.get(flow, f"over {flow}")


def names_of(table: Mapping[str, Any]) -> list[str]:
    """Return the couplings of a table, in their order."""
    return list(dict.fromkeys(name for row in table["rows"] for name in row["values"]))


def listed_of(table: Mapping[str, Any]) -> list[str]:
    """Return the couplings of a table that stand in columns: not those of many pairs, which make pictures."""
    names = names_of(table)
    paired = {name for pairs in pairs_of(names).values() for name in pairs}
    return [name for name in names if name not in paired]


def legend(tables: Tables, rows: Tables) -> Markup:
    """Return one key to the figures of all tables."""
    return key([trace for table in tables for trace in _traces(table, *_first(table, rows))])


def plots(table: Mapping[str, Any], rows: Tables) -> list[Markup]:
    """Return figures of the first couplings of a table.

    Args:
        table: Of couplings.json, its null flows under "beside".
        rows: Predictions with their scores.
    """
    listed = listed_of(table)
    names = _drawn(listed)
    left = len(listed) - len(names)
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
    return next(iter(names_of(table)), ""), _mine(table, rows)


def _plot(table: Mapping[str, Any], name: str, score: Mapping[str, Any] | None, left: int) -> Markup:
    lines = [row for row in table["rows"] if name in row["values"]]
    unit = lines[0]["values"][name]["unit"]
    along, _ = _places(table)
    layout = {"xaxis": along, "showlegend": False}
    title = f"{table['theory']}: {name}, {where(table['flow'])}{in_unit(unit)}"
    level = score["scored"]["level"] if score and score["scored"] else None
    held_as = f" Predicted with its {100 * level:.0f} % interval; lines are the baselines." if level else ""
    more = f" {left} more {'coupling is' if left == 1 else 'couplings are'} in the table below." if left else ""
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
    if table["flow"] in NAMES:
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
