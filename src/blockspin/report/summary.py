"""Summary: what a person can quote."""

from __future__ import annotations

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 10
BODY = """
{% for answer in answers %}
<p><span class="chip {{ answer.verdict|replace(" ", "-") }}">{{ signs[answer.verdict] }} {{ answer.verdict }}</span>
<span class="soft">Does the coarse-graining lie on the network's own flow, at every level?</span></p>
{% endfor %}
<p class="lead">{{ sentences[0] }}</p>
{% for sentence in sentences[1:] %}<p>{{ sentence }}</p>{% endfor %}
<div class="facts">
<div class="fact"><span>network</span><b>{{ network.name }}</b>
<span>{{ network.class }}, {{ "{:,}".format(network.parameters) }} parameters</span></div>
<div class="fact"><span>data</span><b>{{ data.name }}</b>
<span>{{ data.drawn }} of {{ data.records }} records, {{ data.modality }}</span></div>
<div class="fact"><span>scheme</span><b>{{ scheme }}</b>
<span>{{ steps }} level{{ "" if steps == 1 else "s" }} below the representation</span></div>
</div>
<p class="soft"><b>Implicit flow:</b> how the network itself carries the data, layer by layer, to its representation.
<b>Explicit flow:</b> how the chosen coarse-graining brings that representation down again, step by step.
A level lies <b>on the flow</b> if its kernel is within the tube around the curve of the network's own kernels.</p>
"""
SIGNS = {"yes": "●", "no": "▲", "cannot tell": "○"}


def section(run: RunFolder) -> Section:
    """Return the verdicts, the sentences and what was read."""
    answers = run.answers
    explicit = next(flow for flow in answers["flows"] if flow["role"] == "explicit")
    body = fill(
        BODY,
        answers=answers["answers"],
        sentences=answers["summary"],
        network=answers["network"],
        data=answers["data"],
        scheme=explicit["name"],
        steps=len(explicit["labels"]) - 1,
        signs=SIGNS,
    )
    return Section(answers["title"], body)
