"""Methods: what was done, with sources."""

from __future__ import annotations

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 60
BODY = """
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
<div class="scroll" tabindex="0"><table>
<tr><th>method</th><th>what it does</th><th>source</th><th>known answers</th></tr>
{% for row in methods %}
<tr><td><code>{{ row.name }}</code><br><span class="soft">{{ row.family.removesuffix("s") }}</span></td>
<td>{{ row.summary|prose }}</td>
<td><code>{{ row.source }}</code></td>
<td>{% if row.tethered %}<span class="chip green">✓ tethered</span>{% elif row.family == "schemes" %}
<span class="chip amber">! untethered</span>{% endif %}</td></tr>
{% endfor %}
</table></div>
<p class="soft">A scheme is tethered where one of its numbers is tested against a known answer; for an untethered one
there is no such test. <code>blockspin cite</code> with this folder prints the BibTeX of these sources. Errors in tables
are one standard error.</p>
"""


def section(run: RunFolder) -> Section:
    """Return notes and the methods that took part."""
    return Section("Methods", fill(BODY, notes=run.answers["notes"], methods=run.answers["methods"]))
