"""Width: what was measured of every layer, and of the networks as wholes, along a family of several widths."""

from __future__ import annotations

from typing import Any

from blockspin.report._family import panels
from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 36
FIRST = {
    "loss.mean": "Loss on the records that were read",
    "participation-ratio.debiased": "Participation ratio",
    "cka.with_last": "Similarity with the widest network (debiased CKA)",
    "cka.similarity": "Similarity with the next narrower one (debiased CKA)",
    "cka.with_target": "Alignment of the kernel with that of the targets",
    "cumulants.kurtosis": "Excess kurtosis",
    "covariance.variance": "Total variance",
}
"""Shown in this order and with these titles; all else that was measured is in the files of the flows."""
BODY = """
<p>{{ rows|length }} networks were read over the same inputs; all else on this page is of the widest. Couplings of
their last layers, and what those of the narrower say of the widest, stand under effective couplings.</p>
<div class="scroll" tabindex="0"><table>
<tr><th>network</th><th>parameters</th><th>loss</th></tr>
{% for row in rows %}
<tr><td>{{ row.label }}</td><td class="num">{{ "{:,}".format(row.parameters) }}</td>
{% if row.loss %}<td class="num">{{ row.loss|number }}</td>{% else %}<td>none: {{ row.no_loss }}</td>{% endif %}</tr>
{% endfor %}
</table></div>
<p class="soft">The error of a loss is that over records; another training of the same network would differ by more.</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
"""


def section(run: RunFolder) -> Section | None:
    """Return the table of the networks and one figure a quantity; nothing where there is no family of widths."""
    plots = panels(run, "width", FIRST, "width")
    rows: list[dict[str, Any]] = run.answers["network"].get("family", [])
    return Section("Width", fill(BODY, plots=plots, rows=rows)) if plots else None
