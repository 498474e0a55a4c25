"""Couplings: effective theories scale by scale, what they predict beside the baselines, and where they stop to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blockspin.report._coupling_figures import FEW, NAMES, legend, listed_of, names_of, plots, where
from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, chance, fill, in_unit, panel
from blockspin.report._nulls import SIGNS, comparison, miss, tables_beside
from blockspin.report._pair_figures import pair_plots

ORDER = 37
ORDERS = {"better": "yes", "not better": "no", "cannot tell": "cannot-tell"}
HELD = {"yes": "● not refused", "no": "▲ fails", "cannot tell": "○ cannot tell"}
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
{% if pairs %}<h3>Pairs</h3><div class="grid">{% for plot in pairs %}{{ plot }}{% endfor %}</div>{% endif %}
{{ nulls }}
<h3>Where the theories hold</h3>
<p class="soft">A theory is tested by its own goodness of fit at every scale, where it has a p-value, and by how its
couplings run: each scale against the others. Where a small p-value is no failure but what was looked for, as couplings
across sectors, it is said in those words. One that no test refuses is not thereby shown to be true.</p>
{% for row in validity %}
<p><span class="chip {{ row.verdict|replace(" ", "-") }}">{{ row.chip }}</span>
<code>{{ row.theory }}</code> {{ row.where }}: {{ row.statement }}</p>
{% if row.fired %}<details><summary>{{ row.shown }}</summary><ul>{% for check in row.fired %}
<li><code>{{ check.scale }}</code>{{ check.part }}: {{ check.what }}{{ check.off }}, {{ check.chance }} after
all tests</li>{% endfor %}</ul></details>{% endif %}
{% else %}<p>No theory could be tested.</p>{% endfor %}
<h3>Couplings at every scale</h3>
{% for table in tables %}
<details><summary><code>{{ table.theory }}</code> {{ table.where }}</summary>
{% if table.left_out %}<p class="soft">The theory leaves out: {{ table.left_out|join("; ") }}.</p>{% endif %}
{% if table.drawn %}<p class="soft">{{ table.drawn }} couplings of pairs are drawn above, and listed in
<code>couplings.json</code>.</p>{% endif %}
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
        scores=[(where(flow), [_score(row, models) for row in rows if row["flow"] == flow]) for flow in flows],
        models=models,
        level=f"{100 * max(levels, default=0.9):.0f}",
        orders=ORDERS,
        marks=SIGNS,
        key=panel("Key", lambda: legend(tables, rows)),
        plots=[plot for table in tables if not table["observable"] for plot in plots(table, rows)],
        pairs=[plot for table in tables for plot in pair_plots(table, names_of(table))],
        more=[plot for table in tables if table["observable"] for plot in plots(table, rows)],
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
    sign = row.get("sign")
    chips = {**HELD, "yes": f"● {sign}: not seen", "no": f"▲ {sign}"} if sign else HELD
    about = {"where": where(row["flow"]), "chip": chips[row["verdict"]]}
    return {**row, **about, "fired": listed, "shown": f"{'Tests that fired' if sign else 'Where it fails'}: {shown}"}


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    others = [(null, {row["position"]: row for row in other["rows"]}) for null, other in table["beside"]]
    rows = []
    for row in table["rows"]:
        same = [(null, by[row["position"]]) for null, by in others if row["position"] in by]
        rows.append({**row, "fit": _fit(row), "beside": [(null, {**r, "fit": _fit(r)}) for null, r in same]})
    units = {name: in_unit(m["unit"]) for row in table["rows"] for name, m in row["values"].items()}
    names = listed_of(table)
    about = {"names": names, "drawn": len(names_of(table)) - len(names)}
    return {**table, **about, "units": units, "rows": rows, "where": where(table["flow"])}


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
