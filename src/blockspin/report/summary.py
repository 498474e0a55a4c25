"""Summary: what a person can quote."""

from __future__ import annotations

from typing import Any

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 10
BODY = """
{% for answer in answers %}
<div class="verdict {{ answer.verdict|replace(" ", "-") }}">
<p class="soft">{{ questions.get(answer.question, answer.question) }}</p>
<p class="word">{{ signs[answer.verdict] }} {{ answer.verdict }}</p>
<p class="lead">{{ answer.statement }}</p>
</div>
{% endfor %}
{% for sentence in sentences %}<p>{{ sentence }}</p>{% endfor %}
<dl class="facts">
{% for what, name, more in facts %}
<div class="fact"><dt>{{ what }}</dt><dd><b>{{ name }}</b><span>{{ more }}</span></dd></div>
{% endfor %}
</dl>
<dl class="terms">{% for term, meaning in terms %}<dt>{{ term }}</dt><dd>{{ meaning }}</dd>{% endfor %}</dl>
"""
EXPLICIT = "Explicit flow"
OF_NETWORK = (
    ("Implicit flow", "how the network itself carries the data, layer by layer, to its representation."),
    (EXPLICIT, "how the chosen coarse-graining brings that representation down again, step by step."),
    ("On the flow", "a level is, if its kernel lies within the tube around the curve of the network's own kernels."),
)
OF_DATA = ((EXPLICIT, "how the chosen coarse-graining brings the data themselves down, step by step."),)
"""Terms that the summary uses, of a run with a network and of one of data alone."""


def section(run: RunFolder) -> Section:
    """Return the verdicts, the sentences and what was read."""
    answers = run.answers
    body = fill(
        BODY,
        answers=answers["answers"],
        sentences=_others(answers),
        questions={row["name"]: row["summary"] for row in answers["methods"] if row["family"] == "questions"},
        facts=_facts(answers),
        terms=OF_NETWORK if answers["network"] else OF_DATA,
    )
    return Section("Summary", body)


def _others(answers: dict[str, Any]) -> list[str]:
    """Return the sentences that are not the statement of an answer, which stands beside its verdict already."""
    said = {answer["statement"] for answer in answers["answers"]}
    return [sentence for sentence in answers["summary"] if sentence not in said]


def _facts(answers: dict[str, Any]) -> list[tuple[str, str, str]]:
    network, data = answers["network"], answers["data"]
    drawn = f"{data['drawn']:,} of {data['records']:,} records, {data['modality']}"
    facts = []
    if network:
        facts.append(("network", network["name"], f"{network['class']}, {network['parameters']:,} parameters"))
    facts.append(("data", data["name"], drawn))
    above = "the representation" if network else "the data"
    for flow in answers["flows"]:
        if flow["role"] == "explicit":
            steps = len(flow["labels"]) - 1
            facts.append(("scheme", flow["name"], f"{steps} level{'' if steps == 1 else 's'} below {above}"))
    return facts
