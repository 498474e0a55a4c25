"""Windows: the effective theories along every flow, each over the scales where it holds, and beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from blockspin.report._coupling_figures import where
from blockspin.report._folder import RunFolder, section_of
from blockspin.report._html import Section, chance, fill, number

ORDER = 39
MOODS = {"yes": "yes", "no": "amber", "cannot tell": "cannot-tell"}
BODY = """
<p>Windows are the fewest stretches of scales over each of which every coupling of a theory stays, or obeys one beta
function, {% if together %}{{ together|join(", ") }} counting together{% else %}each by itself{% endif %}. More windows
than there are are named with a chance of at most one in twenty; fewer may be, where errors are large.</p>
{% for row in rows %}
<details{{ " open" if loop.first }}><summary><span class="chip {{ row.mood }}">{{ row.count }}</span>
{{ row.where }}, <code>{{ row.theory }}</code></summary>
<p>{{ row.statement|prose }}
{%- if row.left_out %} Not among them, as they do not exist at all of these scales:
{{ row.left_out|join(", ") }}.{% endif %}</p>
{% if row.windows %}
<div class="scroll" tabindex="0"><table>
<tr><th>window</th><th>coupling</th><th>it</th><th>at its first scale</th><th>at its last</th><th></th></tr>
{% for window in row.windows %}{% for part in window.parts %}
<tr><td>{{ window.span }}</td><td>{{ part.name }}</td><td>{{ part.kind }}</td><td class="num">{{ part.first }}</td>
<td class="num">{{ part.last }}</td><td class="num">{{ part.p }}</td></tr>
{% endfor %}{% endfor %}
</table></div>
{% endif %}
{% if row.table %}
<div class="scroll" tabindex="0"><table>
<tr><th>model of</th>{% for span in row.spans %}<th>at {{ span }}</th>{% endfor %}</tr>
{% for span, cells in row.table %}
<tr><td>{{ span }}</td>{% for cell in cells %}<td class="num">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
<p class="soft">Root mean square of what each model misses at scales that it was not fitted to, in errors of the
measurement. A model is carried beyond its window by its own beta function.</p>
{% endif %}
</details>
{% endfor %}
"""


def section(run: RunFolder) -> Section | None:
    """Return the windows of every flow and theory; nothing where they were not asked for."""
    return section_of(run, "windows.json", "Effective theories by window of scales", _body)


def _body(found: Mapping[str, Any]) -> Markup:
    return fill(BODY, together=found["together"], rows=[_row(row) for row in found["hierarchies"]])


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    count = len(row["windows"])
    spans = [_span(window) for window in row["windows"]]
    about: dict[str, Any] = {"where": where(row["flow"]), "mood": MOODS[row["verdict"]], "spans": spans}
    about["count"] = f"{count} window{'s' * (count > 1)}" if count else "cannot tell"
    about["windows"] = [
        {"span": span, "parts": _parts(window)} for span, window in zip(spans, row["windows"], strict=True)
    ]
    cells = {(cell["model"], cell["window"]): cell["miss"] for cell in row["table"]}
    about["table"] = [
        (span, [_missed(cells[m, w]) for w in range(count)]) for m, span in enumerate(spans if cells else ())
    ]
    return {**row, **about}


def _parts(window: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "name": name,
            "kind": f"runs, order {part['order']}" if part["order"] else "stays",
            "first": number(value),
            "last": number(part["last"][name]),
            "p": chance(part["p_value"]),
        }
        for part in window["effective"]
        for name, value in part["first"].items()
    ]


def _span(window: Mapping[str, Any]) -> str:
    return f"{window['labels'][0]} to {window['labels'][-1]}"


def _missed(miss: float | None) -> str:
    return "without bound" if miss is None else f"{miss**0.5:.3g}"
