"""Repeat: the configuration, versions and times, and how to get the same bytes again."""

from __future__ import annotations

from typing import Any

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, fill

ORDER = 70
BODY = """
<p><code>blockspin run config.toml</code> with the file below gives the same bytes in <code>answers.json</code> on the
same packages and processor model; <code>blockspin report</code> with this folder makes this page again, without the
network or the data.</p>
<details><summary>config.toml</summary><pre tabindex="0">{{ config }}</pre></details>
{% for title, rows in tables %}
{% if rows %}<details><summary>{{ title }}</summary><div class="scroll" tabindex="0"><table>
{% for key, value in rows %}<tr><th scope="row">{{ key }}</th><td><code>{{ value }}</code></td></tr>{% endfor %}
</table></div></details>{% endif %}
{% endfor %}
"""


def section(run: RunFolder) -> Section:
    """Return configuration, versions, hashes and times."""
    about = run.manifest
    machine = [
        ("command", about.get("command") or "from Python"),
        ("processor", about["processor"]),
        ("platform", about["platform"]),
        ("git revision", about["git_revision"] or "not a checkout"),
        ("seed", about["seed"]),
    ]
    tables = (
        ("Versions and machine", [*about["versions"].items(), *machine]),
        ("Hashes", list(about["hashes"].items())),
        ("Parts put together", list(enumerate(about.get("parts", ()), 1))),
        (f"Times, {sum(about['seconds'].values()):.0f} seconds in all", _times(about["seconds"])),
    )
    return Section("Repeat this run", fill(BODY, config=run.config, tables=tables))


def _times(seconds: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step, f"{time:.1f} s") for step, time in seconds.items()]
