"""Training: couplings of every layer along the checkpoints, and where they change faster than relaxations can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blockspin.report._family import panels
from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill
from blockspin.report._labels import words

ORDER = 35
FIRST = {
    "loss.mean": "Loss on the records that were read",
    "participation-ratio.debiased": "Participation ratio",
    "cka.with_last": "Similarity with the last checkpoint (debiased CKA)",
    "cka.similarity": "Similarity with the checkpoint before (debiased CKA)",
    "cka.with_target": "Alignment of the kernel with that of the targets",
    "cka.with_layer_before": "Similarity with the layer before (debiased CKA)",
    "cumulants.kurtosis": "Excess kurtosis",
    "covariance.variance": "Total variance",
}
"""Shown in this order and with these titles; all else that was measured is in the files of the flows."""
BODY = """
<p>Every checkpoint was read over the same inputs. Shaded: where a curve changes faster than any relaxation.</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% macro table(rows) %}
<div class="scroll" tabindex="0"><table>
<tr><th>quantity</th><th>layer</th><th>transition</th><th>steps</th><th>changes by</th><th>relaxations at most</th></tr>
{% for curve in rows %}
<tr><td>{{ curve.quantity }}</td><td><code>{{ curve.layer }}</code></td>
<td><span class="chip {{ curve.verdict|replace(" ", "-") }}">{{ signs[curve.verdict] }} {{ curve.verdict }}</span></td>
<td class="num">{{ "%g"|format(curve.interval[0]) }} to {{ "%g"|format(curve.interval[1]) }}</td>
<td class="num">{{ curve.share|number }}</td><td class="num">{{ "%.3f"|format(curve.bound) }}</td></tr>
{% endfor %}
</table></div>
{% endmacro %}
{% if seen %}{{ table(seen) }}{% endif %}
{% if others %}<details><summary>{{ others|length }} without a transition</summary>{{ table(others) }}</details>
{% endif %}
{% if seen or others %}
<p class="soft">The steps are those between which a curve exceeds relaxations most, whatever the verdict. Changes are
shares of the range between the first checkpoint and the last.</p>
{% endif %}
"""


def section(run: RunFolder) -> Section | None:
    """Return one figure a quantity, a line a layer; nothing where there are no checkpoints."""
    answer = next((a for a in run.answers["answers"] if a["question"] == "transition"), None)
    curves = [_named(curve) for curve in answer["figure"].get("curves", ())] if answer else []
    marks: dict[str, list[tuple[str, tuple[float, float]]]] = {}
    for curve in curves:
        if curve["verdict"] == "yes":
            low, high = curve["interval"]
            marks.setdefault(curve["key"], []).append((curve["layer"], (low, high)))
    plots = panels(run, "training", FIRST, "training steps", marks)
    if not plots:
        return None
    seen = [curve for verdict in ("yes", "cannot tell") for curve in curves if curve["verdict"] == verdict]
    others = [curve for curve in curves if curve["verdict"] == "no"]
    return Section("Training", fill(BODY, plots=plots, seen=seen, others=others))


def _named(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Return a curve with its quantity, as a key and in words, and its layer."""
    name, _, layer = str(curve["name"]).partition(" of ")
    key = name.replace("/", ".")
    return {**curve, "key": key, "quantity": FIRST.get(key, words(key)).partition(" (")[0], "layer": layer}
