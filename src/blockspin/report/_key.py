"""Key: one legend for many figures of the same kind, as swatches beside words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from blockspin.report._html import fill

DASHES = {"solid": "none", "dot": "2 3", "dash": "7 4", "dashdot": "7 3 2 3"}
SHAPES = {
    "circle": "M14 2.5a3.5 3.5 0 1 0 .01 0z",
    "square": "M11 3h6v6h-6z",
    "diamond": "M14 1.5l4.5 4.5-4.5 4.5-4.5-4.5z",
}
BODY = """
<ul class="key" aria-label="How to read the figures">
{% for item in items %}
<li><svg width="28" height="12" viewBox="0 0 28 12" aria-hidden="true" style="color:var(--{{ item.tone }})">
{% if item.dash %}<path d="M0 6h28" stroke="currentColor" fill="none" stroke-width="{{ item.width }}"
stroke-dasharray="{{ item.dash }}"/>{% endif %}
{% if item.shape %}<path d="{{ item.shape }}" stroke="currentColor" stroke-width="1.2"
fill="{{ "none" if item.open else "currentColor" }}"/>{% endif %}
</svg>{{ item.name }}</li>
{% endfor %}
</ul>
"""


def key(traces: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the legend of some traces of figures, each name once."""
    return fill(BODY, items=list({trace["name"]: _item(trace) for trace in traces}.values()))


def _item(trace: Mapping[str, Any]) -> dict[str, Any]:
    line, marker = trace.get("line", {}), trace.get("marker", {})
    lines, symbol = "lines" in trace["mode"], str(marker.get("symbol", "circle")).removesuffix("-open")
    return {
        "name": trace["name"],
        "tone": str((line if lines else marker)["color"]).removeprefix("var:"),
        "dash": DASHES[line.get("dash", "solid")] if lines else "",
        "width": line.get("width", 2),
        "shape": SHAPES[symbol] if "markers" in trace["mode"] else "",
        "open": str(marker.get("symbol", "")).endswith("-open"),
    }
