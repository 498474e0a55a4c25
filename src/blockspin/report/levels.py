"""Levels: a knob for the scale, and what the representation looks like there."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

from blockspin.report._folder import RunFolder
from blockspin.report._html import Section, figure, fill

ORDER = 30
BODY = """
<p>Turn the knob from fine to coarse. {{ text }}</p>
<div class="knob"><label for="scale">scale</label>
<input id="scale" data-knob type="range" min="0" max="{{ levels|length - 1 }}" value="0" step="1"
aria-describedby="scale-shown">
<output id="scale-shown" for="scale">{{ levels[0].label }}</output></div>
{% for level in levels %}
<div data-level="{{ loop.index0 }}" data-label="{{ level.label }}"{{ "" if loop.first else " hidden" }}>
{% if level.clusters %}
<div class="clusters">
{% for cluster in level.clusters %}
<article class="cluster"><div class="bar" style="width:{{ "%.1f"|format(100 * cluster.share) }}%"></div>
<h4>{{ "%.1f"|format(100 * cluster.share) }} % of the passages</h4>
{% for passage in cluster.nearest %}<blockquote>{{ passage.text }}</blockquote>{% endfor %}</article>
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


def section(run: RunFolder) -> Section | None:
    """Return the knob and one panel a level."""
    found, modality = run.levels["levels"], run.levels["modality"]
    if not found:
        return None
    levels = [
        {
            "label": level["label"],
            "clusters": level.get("clusters"),
            "pictures": [
                {"label": image["label"], "source": picture(image["rows"])} for image in level.get("images", ())
            ],
            "plot": _profiles(level["profiles"]) if level.get("profiles") else "",
        }
        for level in found
    ]
    return Section("What each level looks like", fill(BODY, levels=levels, text=TEXTS[modality]))


def _profiles(rows: Sequence[Sequence[float]]) -> object:
    traces = [{"y": list(row), "mode": "lines", "name": f"cluster {k + 1}"} for k, row in enumerate(rows)]
    return figure(traces, {"xaxis": {"title": {"text": "entry"}}}, "Mean profile of each cluster.", wide=True)


def picture(rows: Sequence[Sequence[float]]) -> str:
    """Return a grey picture as a PNG data address; values from 0 (black) to 1 (white) are shown, others clipped."""
    height, width = len(rows), len(rows[0])
    raw = b"".join(b"\0" + bytes(min(255, max(0, round(255 * x))) for x in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = b"".join(_chunk(*part) for part in ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")))
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
