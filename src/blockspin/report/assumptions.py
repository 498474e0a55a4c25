"""Assumptions: what each verdict rests on, and how well that is met."""

from __future__ import annotations

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 55
BODY = """
<p class="soft">✓ green: met. ! amber: not certain, read the reason. ✕ red: not met, do not rely on the verdict.</p>
{% for answer in answers %}
{% if answers|length > 1 %}<h3>{{ questions.get(answer.question, answer.question) }}</h3>{% endif %}
<ul class="lights" aria-label="Assumptions of {{ answer.question }}">
{% for item in answer.assumptions %}
<li><span class="chip {{ item.light }}">{{ signs[item.light] }} {{ item.light }}</span>
<span><b>{{ item.name }}</b>: {{ item.reason }}</span></li>
{% endfor %}
</ul>
{% endfor %}
"""


def section(run: RunFolder) -> Section | None:
    """Return the lights of every question; nothing where none rests on anything."""
    answers = [answer for answer in run.answers["answers"] if answer["assumptions"]]
    questions = {row["name"]: row["summary"] for row in run.answers["methods"] if row["family"] == "questions"}
    return Section("Assumptions", fill(BODY, answers=answers, questions=questions)) if answers else None
