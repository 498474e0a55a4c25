"""Family: what was measured of every layer, and of networks as wholes, along a width, a context, or another axis."""

from __future__ import annotations

from blockspin.report._family import panels
from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 36
TRAINING, CONTEXT = "training", "context"
FIRST = {
    "loss.mean": "Loss on the records that were read",
    "participation-ratio.debiased": "Participation ratio",
    "cka.with_last": "Similarity with the last (debiased CKA)",
    "cka.similarity": "Similarity with the one before (debiased CKA)",
    "cka.with_target": "Alignment of the kernel with that of the targets",
    "cumulants.kurtosis": "Excess kurtosis",
    "covariance.variance": "Total variance",
}
"""Shown in this order and with these titles; all else that was measured is in the files of the flows."""
BODY = """
<p>{{ rows|length }} {{ what }} were read over the same inputs; all else on this page is of the last. Couplings of
their last layers, and what those before say of the last, stand under effective couplings.</p>
<div class="scroll" tabindex="0"><table>
<tr><th>{{ along }}</th><th>parameters</th><th>loss</th></tr>
{% for row in rows %}
<tr><td>{{ row.label }}</td><td class="num">{{ "{:,}".format(row.parameters) }}</td>
{% if row.loss %}<td class="num">{{ row.loss|number }}</td>{% else %}<td>none: {{ row.no_loss }}</td>{% endif %}</tr>
{% endfor %}
</table></div>
<p class="soft">The error of a loss is that over records{{ beyond }}.</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
"""


BEYOND = "; another training of the same network would differ by more"


def section(run: RunFolder) -> Section | None:
    """Return the table of the networks and one figure a quantity; of a training, which has its own section, nothing."""
    network = run.answers["network"]
    along, rows = network.get("along", ""), network.get("family", [])
    plots = panels(run, along, FIRST, along) if along and along != TRAINING else []
    if not plots:
        return None
    context = along == CONTEXT
    what, beyond = ("contexts of one network", "") if context else ("networks", BEYOND)
    body = fill(BODY, plots=plots, rows=rows, along=along, what=what, beyond=beyond)
    return Section(along.capitalize(), body)
