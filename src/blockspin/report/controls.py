"""Controls: the same measurement where the answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, bars, figure, fill, finite, with_error
from blockspin.report._labels import LEGEND, categories, cut

ORDER = 50
EXPECTED = {
    "untrained network": "the same levels against the curve of an untrained copy: no reason to lie on it",
    "samples permuted": "levels whose samples were shuffled: outside, near 1",
    "random projection of equal dimension": "as many random directions instead of the scheme's: no reason to stay near",
    "relaxations of the same steps and errors: false alarms": "the share that raises an alarm: at most the level",
    "white noise": "noise of equal shape: outside, near 1",
    "untrained network: share not Gaussian": "of an untrained copy: what its nonlinearities alone do",
    "untrained network: largest cumulants/kurtosis": "of an untrained copy: what its nonlinearities alone do",
    "untrained network: largest cumulants/fourth_order": "of an untrained copy: what its nonlinearities alone do",
    "Gaussian of equal covariance: share not Gaussian": "of Gaussian fields: none, at the level of the question",
    "Gaussian of equal covariance: largest cumulants/kurtosis": "of Gaussian fields: nothing beyond its error",
    "Gaussian of equal covariance: largest cumulants/fourth_order": "of Gaussian fields: nothing beyond its error",
}
BODY = """
{% for answer in answers %}
<p><span class="chip {{ answer.verdict|replace(" ", "-") }}">{{ signs[answer.verdict] }} {{ answer.verdict }}</span>
<span class="soft">is what <b>{{ answer.question }}</b> says. Beside it, the same measurement where one knows
what to expect:</span></p>
<div class="scroll" tabindex="0"><table>
<tr><th>what</th><th>expected</th><th>measured</th></tr>
{% for row in answer.ranges %}
<tr><td><b>{{ row.name }}</b></td><td>{{ row.expected }}</td><td class="num wrap">{{ row.measured }}</td></tr>
{% endfor %}
</table></div>
{{ answer.plot }}
{% if answer.labels %}
<details><summary>All numbers</summary><div class="scroll" tabindex="0"><table>
<tr><th>level</th>{% for name in answer.rows %}<th>{{ name }}</th>{% endfor %}</tr>
{% for label in answer.labels %}
<tr><td>{{ label }}</td>
{% for row in answer.rows.values() %}<td class="num">{{ row.get(label)|number }}</td>{% endfor %}</tr>
{% endfor %}
</table></div></details>
{% endif %}
{% endfor %}
{% if nulls %}<p class="soft">Couplings and their predictions stand beside null flows of their own:
<a href="#effective-couplings">Effective couplings</a>.</p>{% endif %}
"""
OWN = "the scheme"
MARK = ": D at "
SYMBOLS = ("square-open", "diamond-open", "cross-thin-open", "x-thin-open", "star-open", "hexagon-open")
Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]


def section(run: RunFolder) -> Section | None:
    """Return, for each question, what was expected and measured; nothing where no control was made."""
    answers = [_answer(answer) for answer in run.answers["answers"] if answer["controls"]]
    nulls = bool((run.optional("couplings.json") or {}).get("nulls"))
    return Section("Controls", fill(BODY, answers=answers, nulls=nulls)) if answers else None


def _answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    labels = list(answer["verdicts"])
    own = {label: answer["numbers"][f"{label}: D"] for label in labels if f"{label}: D" in answer["numbers"]}
    rows: dict[str, dict[str, Any]] = {OWN: own} if own else {}
    for key, number in answer["controls"].items():
        name, _, label = key.partition(MARK)
        rows.setdefault(name, {})[label] = number
    kept = {name: row for name, row in rows.items() if set(row) & set(labels)}
    return {
        "question": answer["question"],
        "verdict": answer["verdict"],
        "labels": labels if kept else [],
        "rows": kept,
        "ranges": [_range(name, list(row.values())) for name, row in rows.items()],
        "plot": _plot(kept, labels) if len(kept) > 1 else "",
    }


def _range(name: str, numbers: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    known = [row for row in numbers if isinstance(row["value"], float | int)]
    low, high = (choose(known, key=lambda row: row["value"], default=None) for choose in (min, max))
    if low is None or high is None:
        measured = "no number"
    else:
        ends = [with_error(row["value"], row["error"]) for row in (low, high)]
        measured = ends[0] if low is high else f"{ends[0]} to {ends[1]}"
    expected = "to be judged" if name == OWN else EXPECTED.get(name, "see the method notes")
    return {"name": name, "expected": expected, "measured": measured}


def _plot(rows: Rows, labels: Sequence[str]) -> Markup:
    traces = []
    for k, (name, row) in enumerate(rows.items()):
        own = name == OWN
        colour = "var:accent" if own else "var:open"
        found = [row.get(label, {"value": None, "error": None}) for label in labels]
        traces.append(
            {
                "x": list(labels),
                "y": finite(number["value"] for number in found),
                "error_y": {**bars([number["error"] for number in found]), "color": colour},
                "name": cut(name, LEGEND),
                "mode": "lines+markers",
                "line": {"color": colour, "width": 2.5 if own else 1, "dash": "solid" if own else "dot"},
                "marker": {"size": 8, "color": colour, "symbol": "circle" if own else SYMBOLS[k % len(SYMBOLS)]},
                "hovertemplate": "%{x}: D = %{y:.4f}<extra>%{fullData.name}</extra>",
            }
        )
    layout = {"yaxis": {"title": {"text": "D"}}, "xaxis": categories(labels), "showlegend": True}
    caption = "D of the scheme's own levels (solid) beside the controls (dotted). Bars: two standard errors."
    return figure("The scheme beside its controls", traces, layout, caption, wide=True)
