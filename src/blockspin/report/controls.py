"""Controls: the same measurement where the answer is known, and what the verdict rests on."""

from __future__ import annotations

from typing import Any

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 50
EXPECTED = {
    "untrained network": "the same levels against the curve of an untrained copy: no reason to lie on it",
    "samples permuted": "levels whose samples were shuffled: outside, near 1",
    "random projection of equal dimension": "as many random directions in place of the scheme's",
    "white noise": "noise of equal shape: outside, near 1",
}
BODY = """
{% for answer in answers %}
<p>D of the scheme's own levels beside D of levels for which the answer is known:</p>
<ul class="soft">
{% for name in answer.names %}<li><b>{{ name }}</b>: {{ expected.get(name, "another flow") }}</li>{% endfor %}
</ul>
<div class="scroll"><table>
<tr><th>level</th><th>the scheme</th>{% for name in answer.names %}<th>{{ name }}</th>{% endfor %}</tr>
{% for label in answer.labels %}
<tr><td>{{ label }}</td><td class="num"><b>{{ answer.own.get(label)|number }}</b></td>
{% for name in answer.names %}<td class="num">{{ answer.rows[name].get(label)|number }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
<h3>What the verdict rests on</h3>
<div class="scroll"><table>
<tr><th></th><th>assumption</th><th>why</th></tr>
{% for item in answer.assumptions %}
<tr><td><span class="chip {{ item.light }}">{{ signs[item.light] }} {{ item.light }}</span></td>
<td>{{ item.name }}</td><td>{{ item.reason }}</td></tr>
{% endfor %}
</table></div>
{% endfor %}
"""
SIGNS = {"green": "✓", "amber": "!", "red": "✕"}


def section(run: RunFolder) -> Section:
    """Return, for each question, the table of controls and the lights of its assumptions."""
    rows = [_table(answer) for answer in run.answers["answers"]]
    return Section("Controls and assumptions", fill(BODY, answers=rows, expected=EXPECTED, signs=SIGNS))


def _table(answer: dict[str, Any]) -> dict[str, Any]:
    rows: dict[str, dict[str, Any]] = {}
    for key, number in answer["controls"].items():
        name, _, label = key.partition(": D at ")
        rows.setdefault(name, {})[label] = number
    labels = list(answer["verdicts"])
    own = {label: answer["numbers"].get(f"{label}: D") for label in labels}
    return {"labels": labels, "own": own, "names": list(rows), "rows": rows, "assumptions": answer["assumptions"]}
