"""Levels: a knob for the scale, and what the representation looks like there."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from blockspin.report._folder import RunFolder
from blockspin.report._html import SIGNS, Section, figure, fill, finite, number

ORDER = 30
BODY = """
<p>Turn the knob from fine to coarse: with the pointer, or with the arrow keys. {{ text }}</p>
<div class="knob"><label for="scale">scale</label>
<input id="scale" data-knob type="range" min="0" max="{{ levels|length - 1 }}" value="0" step="1"
aria-describedby="scale-shown" autocomplete="off">
<output id="scale-shown" for="scale">{{ levels[0].label }}</output>
<div class="ticks" aria-hidden="true">{% for level in levels %}<span class="{{ level.class }}">{{ level.sign }}<br>
{{ level.sites }}</span>{% endfor %}</div></div>
{% for level in levels %}
<div class="level" data-level="{{ loop.index0 }}" data-label="{{ level.label }}"{{ "" if loop.first else " hidden" }}>
<p class="soft">{% for fact in level.facts %}<span class="bit">{{ fact }}</span>{% endfor %}</p>
{% if level.clusters %}
<div class="clusters">
{% for cluster in level.clusters %}
<article class="cluster"><div class="bar" style="width:{{ "%.1f"|format(100 * cluster.share) }}%"></div>
<h4>{{ "%.1f"|format(100 * cluster.share) }} % of the passages</h4>
{% for passage in cluster.nearest[:2] %}<blockquote>{{ passage.text }}</blockquote>{% endfor %}
{% if cluster.nearest|length > 2 %}<details><summary>{{ cluster.nearest|length - 2 }} more</summary>
{% for passage in cluster.nearest[2:] %}<blockquote>{{ passage.text }}</blockquote>{% endfor %}</details>{% endif %}
</article>
{% endfor %}
</div>
{% endif %}
{% if level.pictures %}
<div class="pictures">
{% for picture in level.pictures %}<figure>
<img alt="{{ picture.label }} at {{ level.label }}" src="{{ picture.source }}">
<figcaption>{{ picture.label }}</figcaption></figure>{% endfor %}
</div>
{% endif %}
{{ level.plot }}
</div>
{% endfor %}
"""
TEXTS = {
    "text": "At each level the passages are put into clusters by where they lie in what is left of the representation; "
    "shown are the passages nearest to each cluster's centre.",
    "image": "Each picture is what a linear map, fitted on other inputs, can read back from the level.",
    "array": "Each curve is the mean of a cluster, read back from the level by a linear map fitted on other inputs.",
}
OVERSHOOT = 0.5
"""A linear map that reads pictures from 0 to 1 back may overshoot them by so much."""
WORDS = {"yes": "inside the tube", "no": "outside the tube", "cannot tell": "inside or outside: cannot tell"}


def section(run: RunFolder) -> Section | None:
    """Return the knob and one panel a level."""
    found = run.levels["levels"]
    if not found:
        return None
    verdicts: Mapping[str, str] = next(
        (a["verdicts"] for a in run.answers["answers"] if a["question"] == "retrace"), {}
    )
    grey = _range([image["rows"] for level in found for image in level.get("images") or ()])
    levels = [_level(level, verdicts.get(level["label"], ""), _kept(run, level["label"]), grey) for level in found]
    text = TEXTS.get(run.levels["modality"], "")
    return Section("What each level looks like", fill(BODY, levels=levels, text=text))


def _level(
    level: Mapping[str, Any], verdict: str, kept: Mapping[str, Any] | None, grey: tuple[float, float]
) -> dict[str, Any]:
    facts = [level["label"]]
    if kept:
        facts.append(f"gives back {number(kept)} of the variance on held-out inputs")
    if verdict:
        facts.append(f"{SIGNS[verdict]} {WORDS[verdict]}")
    return {
        "label": level["label"],
        "sites": level["sites"],
        "class": verdict.replace(" ", "-"),
        "sign": SIGNS.get(verdict, "·"),
        "facts": facts,
        "clusters": level.get("clusters"),
        "pictures": [{"label": k["label"], "source": picture(k["rows"], *grey)} for k in level.get("images") or ()],
        "plot": _profiles(level["profiles"]) if level.get("profiles") else "",
    }


def _kept(run: RunFolder, label: str) -> dict[str, Any] | None:
    """Return the share of the variance that a level gives back, where that was measured along the explicit flow."""
    for series in run.quantities.get("reconstruction.variance_kept", ()):
        if series.role == "explicit" and label in series.labels:
            value, error = (float(x[series.labels.index(label)]) for x in (series.value, series.error))
            return {"value": value, "error": error} if math.isfinite(value) else None
    return None


def _profiles(rows: Sequence[Sequence[float]]) -> Markup:
    traces = [
        {"x": list(range(len(row))), "y": finite(row), "mode": "lines", "name": f"cluster {k + 1}"}
        for k, row in enumerate(rows)
    ]
    layout = {"xaxis": {"title": {"text": "entry"}}, "showlegend": True}
    return figure("Profiles", traces, layout, "Mean profile of each cluster.", wide=True)


def _range(pictures: Sequence[Sequence[Sequence[float]]]) -> tuple[float, float]:
    """Return what is black and what is white on the whole page: 0 and 1, unless the pictures go further."""
    values = [x for rows in pictures for row in rows for x in row]
    inside = all(-OVERSHOOT <= x <= 1 + OVERSHOOT for x in values)
    return (0.0, 1.0) if inside else (min(values), max(values))


def picture(rows: Sequence[Sequence[float]], low: float, high: float) -> str:
    """Return a grey picture as a PNG data address: ``low`` is black, ``high`` white, what lies beyond is clipped."""
    height, width = len(rows), len(rows[0])
    scale = 255 / (high - low or 1)
    raw = b"".join(b"\0" + bytes(min(255, max(0, round(scale * (x - low)))) for x in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = b"".join(_chunk(*part) for part in ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")))
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
