"""Methods: what was done, with sources, and how to repeat it."""

from __future__ import annotations

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 60
BODY = """
{% for note in notes %}<p>{{ note }}</p>{% endfor %}
<div class="scroll"><table>
<tr><th>kind</th><th>method</th><th>what it does</th><th>source</th><th>known answer</th></tr>
{% for row in methods %}
<tr><td>{{ row.family }}</td><td><code>{{ row.name }}</code></td><td>{{ row.summary }}</td>
<td><code>{{ row.source }}</code></td>
<td>{% if row.family == "schemes" %}{{ "tethered" if row.tethered else "untethered" }}{% endif %}</td></tr>
{% endfor %}
</table></div>
<p class="soft"><code>blockspin cite</code> with this folder prints the BibTeX of these sources. Errors are one standard
error unless a caption says otherwise; a number without an error is never shown as a result.</p>
<h3>To repeat this run</h3>
<p><code>blockspin run config.toml</code> with the file below gives the same bytes in <code>answers.json</code> on the
same packages and processor model.</p>
<details><summary>config.toml</summary><pre>{{ config }}</pre></details>
<details><summary>versions, hashes and times</summary><div class="scroll"><table>
{% for key, value in facts %}<tr><th>{{ key }}</th><td>{{ value }}</td></tr>{% endfor %}
</table></div></details>
"""


def section(run: RunFolder) -> Section:
    """Return notes, sources, configuration and versions."""
    about = run.manifest
    facts = [
        ("processor", about["processor"]),
        ("platform", about["platform"]),
        ("git revision", about["git_revision"] or "not a checkout"),
        ("seed", about["seed"]),
        *((name, version) for name, version in about["versions"].items()),
        *((f"hash of {name}", value) for name, value in about["hashes"].items()),
        *((f"{step}, seconds", value) for step, value in about["seconds"].items()),
    ]
    answers = run.answers
    body = fill(BODY, notes=answers["notes"], methods=answers["methods"], config=run.config, facts=facts)
    return Section("Methods", body)
