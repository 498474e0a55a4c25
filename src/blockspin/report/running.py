"""Running: whether couplings run, by which beta function, where it vanishes, and what is left at infinite size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from blockspin.report._coupling_figures import where
from blockspin.report._folder import RunFolder, section_of
from blockspin.report._html import Section, figure, fill, finite, in_unit, number, panel

ORDER = 38
SIGNS = {"runs": "●", "stays": "–", "no beta function": "▲", "cannot tell": "○"}
MOODS = {"runs": "yes", "stays": "amber", "no beta function": "no", "cannot tell": "cannot-tell"}
LEVEL = 0.95
BODY = """
<p>A beta function says how fast couplings run as a function of themselves; where it vanishes they would stay. Every
coupling {% if together %}among {{ together|join(", ") }} counts together with the others
{%- else %}counts by itself{% endif %}. Fixed points beyond the measured range are not looked for, and what does not
move has not been shown to be at one. Directions are relevant or irrelevant along coarsening flows with a length alone;
elsewhere they grow or decay per step. On unordered sites the ratio of their counts stands for that of lengths.</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% for where, rows in groups %}
<details{{ " open" if loop.first }}><summary>{{ where }}</summary>
<div class="scroll" tabindex="0"><table>
<tr><th>coupling</th><th>it</th><th></th><th>fixed point</th><th>directions there</th>
{% if nulls %}<th>beside null flows it</th>{% endif %}</tr>
{% for row in rows %}
<tr><td><code>{{ row.theory }}</code> {{ row.couplings|join(", ") }}</td>
<td><span class="chip {{ row.mood }}">{{ row.sign }} {{ row.kind }}</span></td>
<td class="text">{{ row.statement|prose }}</td>
<td class="num">{% for point in row.points %}{{ point.at }}<br><span class="soft">{{ point.region }}</span><br>
{% else %}{{ row.none }}{% endfor %}</td>
<td>{% for point in row.points %}{% for each in point.directions %}{{ each }}<br>{% endfor %}{% endfor %}</td>
{% if nulls %}<td class="text">{{ row.beside|join("; ") }}</td>{% endif %}</tr>
{% endfor %}
</table></div></details>
{% endfor %}
<p class="soft">“Stays”: movement is not beyond the errors at the 5 % level. “No beta function”: no polynomial of the
coupling alone describes how it runs, so that others act on it or it depends on where along the axis it is. Relevance
is said after all directions of this section{{ ", those of null flows among them" if nulls }} (Holm, 5 %).
{%- if not nulls %} The command “blockspin running” follows null flows too.{% endif %}</p>
{% if limits %}
<h3>At infinite size</h3>
<div class="scroll" tabindex="0"><table>
<tr><th>flow</th><th>quantity</th><th>limit</th><th>{{ level }} % interval</th><th>a correction is</th></tr>
{% for row in limits %}
<tr><td>{{ row.where }}</td><td><code>{{ row.theory }}</code> {{ row.coupling }}</td>
{% if row.limit %}<td class="num">{{ row.value }}</td><td class="num">{{ row.interval }}</td>
<td>{{ "seen" if row.needed else "not seen" }}</td>
{% else %}<td colspan="3" class="text">{{ row.reason|prose }}</td>{% endif %}</tr>
{% endfor %}
</table></div>
<p class="soft">Of y + a L<sup>−ω</sup> over {{ axes|join(", ") }}; intervals hold what every exponent from 0.25 to 4
allows. What another training of the same networks changes is not in them.</p>
{% endif %}
"""


def section(run: RunFolder) -> Section | None:
    """Return what couplings do along every flow; nothing where that was not asked."""
    return section_of(run, "running.json", "How couplings run", _body)


def _body(found: Mapping[str, Any]) -> Markup:
    own = [row for row in found["courses"] if not row["null_of"]]
    flows = dict.fromkeys(row["flow"] for row in own)
    limits = [_limit(row) for row in found["limits"] if not row["null_of"]]
    return fill(
        BODY,
        together=found["together"],
        nulls=len(own) < len(found["courses"]),
        plots=[panel(_title(row), lambda row=row: _plot(row)) for row in own if (row["beta"] or {}).get("curve")],  # type: ignore[misc]
        groups=[(where(flow), [_row(row, found["courses"]) for row in own if row["flow"] == flow]) for flow in flows],
        limits=limits,
        level=f"{100 * max((row['level'] for row in limits if row['limit']), default=LEVEL):.0f}",
        axes=list(dict.fromkeys(row["axis"] for row in limits)),
    )


def _row(row: Mapping[str, Any], everything: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    same = ("theory", "couplings")
    beside = [
        f"{other['kind']} ({other['flow'].removeprefix(row['flow'] + '-')})"
        for other in everything
        if other["null_of"] == row["flow"] and all(other[key] == row[key] for key in same)
    ]
    fixed = row["fixed"] or {"verdict": "", "points": []}
    none = {"no": "none in the measured range", "cannot tell": "cannot be told"}.get(fixed["verdict"], "")
    _, _, said = row["statement"].partition(": ")
    about: dict[str, Any] = {
        "statement": said,
        "mood": MOODS[row["kind"]],
        "sign": SIGNS[row["kind"]],
        "none": none,
        "beside": beside,
    }
    return {**row, **about, "points": [_point(point) for point in fixed["points"]]}


def _point(point: Mapping[str, Any]) -> dict[str, Any]:
    at = ", ".join(number(value) for value in point["values"].values())
    ends = "; ".join(f"{low:.4g} to {high:.4g}" for low, high in point["region"].values()).replace("-", "−")
    directions = [f"{each['relevance']}, rate {number(each['rate'])}" for each in point["directions"]]
    return {"at": at, "region": f"{100 * point['level']:.0f} %: {ends}", "directions": directions}


def _limit(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["limit"] is None:
        return {**row, "where": where(row["flow"])}
    low, high = row["limit"]["interval"]
    shown = {"value": f"{row['limit']['value']:.4g}", "interval": f"{low:.4g} to {high:.4g}"}
    return {**row, **{key: text.replace("-", "−") for key, text in shown.items()}, "where": where(row["flow"])}


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['theory']}: beta of {row['couplings'][0]}, {where(row['flow'])}"


def _plot(row: Mapping[str, Any]) -> Markup:
    """Return the beta function of one coupling with its interval, and zero."""
    curve, name = row["beta"]["curve"], row["couplings"][0]
    band = f"{100 * curve['level']:.0f} %"
    g, beta, half = (np.asarray(curve[key], dtype=float) for key in ("g", "beta", "half_width"))
    ends = {"mode": "lines", "line": {"width": 0, "color": "var:accent"}, "hoverinfo": "skip"}
    traces: list[dict[str, Any]] = [
        {**ends, "x": finite(g), "y": finite(beta - half), "name": "below"},
        {**ends, "x": finite(g), "y": finite(beta + half), "name": band, "fill": "tonexty"},
        {"x": finite(g), "y": finite(beta), "name": "beta", "mode": "lines", "line": {"color": "var:accent"}},
        {
            "x": finite(g[[0, -1]]),
            "y": [0, 0],
            "name": "zero",
            "mode": "lines",
            "line": {"color": "var:ink", "width": 1},
        },
    ]
    unit = in_unit(next(iter(row["plateau"]["values"].values()))["unit"])
    layout = {"showlegend": False, "xaxis": {"title": {"text": f"{name}{unit}"}}}
    caption = (
        f"Per {row['beta']['per']}, of order {row['beta']['order']}, over the range that was measured; "
        f"the band holds {band}. Couplings rise where beta is above zero."
    )
    return figure(_title(row), traces, layout, caption)
