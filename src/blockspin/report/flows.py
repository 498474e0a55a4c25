"""Flows: what was measured along each flow, with error bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from blockspin.report._folder import RunFolder, Series
from blockspin.report._html import Section, figure, fill, finite

ORDER = 40
BODY = """
{% for title, text, plots in parts %}
<h3>{{ title }}</h3><p class="soft">{{ text }}</p>
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% endfor %}
"""
PARTS = (
    (
        "Over depth (implicit)",
        ("implicit", "control"),
        "Read off the network and its untrained copy over the same inputs. Positions count layers; there is no length.",
    ),
    (
        "Under coarse-graining (explicit)",
        ("explicit", "exchanged"),
        "Computed from the representation. The scheme is fitted on one part of the inputs, measured on the other; with "
        "the parts exchanged one sees what the fit itself contributes. Fields have unit mean variance after each step.",
    ),
)
STYLES = {
    "implicit": ("var:accent", "solid"),
    "control": ("var:open", "dash"),
    "explicit": ("var:accent", "solid"),
    "exchanged": ("var:open", "dash"),
}


def section(run: RunFolder) -> Section:
    """Return one figure a quantity and kind of flow: lines for numbers, log-log curves for spectra."""
    parts = []
    for title, roles, text in PARTS:
        plots = []
        for key, series in run.quantities.items():
            found = [item for item in series if item.role in roles and np.isfinite(item.value).any()]
            if found:
                plots.append(_spectra(key, found[0]) if found[0].value.ndim > 1 else _lines(key, found))
        if plots:
            parts.append((title, text, plots))
    return Section("Flows", fill(BODY, parts=parts))


def _lines(key: str, series: Sequence[Series]) -> Markup:
    traces = []
    for item in series:
        colour, dash = STYLES[item.role]
        traces.append(
            {
                "x": finite(item.positions),
                "y": finite(item.value),
                "error_y": {"type": "data", "array": [2 * (e or 0) for e in finite(item.error)], "thickness": 1},
                "text": list(item.labels),
                "name": item.flow,
                "mode": "lines+markers",
                "line": {"color": colour, "dash": dash, "width": 2},
                "marker": {"size": 6},
                "hovertemplate": "%{text}: %{y:.4g}<extra>" + item.role + "</extra>",
            }
        )
    first = series[0]
    unit = "" if first.unit == "1" else f" ({first.unit})"
    ticks = {"tickvals": finite(first.positions), "ticktext": _short(first.labels), "tickangle": -40}
    spread = [x for item in series for x in finite(item.value) if x is not None]
    far = len(spread) > 1 and min(spread) > 0 and max(spread) / min(spread) > 30
    layout = {
        "title": {"text": _words(key) + unit, "font": {"size": 14}},
        "xaxis": ticks if len(first.labels) <= 16 else {},
        "yaxis": {"type": "log"} if far else {},
    }
    return figure(traces, layout, f"Bars: two standard errors ({first.how}).")


def _spectra(key: str, item: Series) -> Markup:
    known = [i for i in range(len(item.labels)) if np.isfinite(item.value[i]).any()]
    chosen = sorted({known[0], known[len(known) // 3], known[2 * len(known) // 3], known[-1]})
    traces = []
    for shade, i in enumerate(chosen):
        values = item.value[i][np.isfinite(item.value[i])]
        kept = values > max(values.max() * 1e-9, 0)
        traces.append(
            {
                "x": list(range(1, int(kept.sum()) + 1)),
                "y": finite(values[kept]),
                "name": item.labels[i],
                "mode": "lines",
                "opacity": 0.4 + 0.6 * shade / max(len(chosen) - 1, 1),
                "hovertemplate": "rank %{x}: %{y:.3g}<extra>" + _safe(item.labels[i]) + "</extra>",
            }
        )
    layout = {
        "title": {"text": f"{_words(key)}, {item.flow}", "font": {"size": 14}},
        "xaxis": {"type": "log", "title": {"text": "rank"}},
        "yaxis": {"type": "log"},
    }
    return figure(traces, layout, "Eigenvalues in descending order at a few scales; both axes logarithmic.")


def _words(key: str) -> str:
    observable, _, quantity = key.partition(".")
    return f"{observable.replace('-', ' ')}: {quantity.replace('_', ' ')}"


def _short(labels: Sequence[str]) -> list[str]:
    """Leave out what all module paths share."""
    paths = [label.split(".") for label in labels if "." in label]
    shared = 0
    while paths and all(len(p) > shared + 1 for p in paths) and len({p[shared] for p in paths}) == 1:
        shared += 1
    short = [".".join(label.split(".")[shared:]) if "." in label else label for label in labels]
    return [_safe(text if len(text) <= 16 else f"{text[:14]}…") for text in short]


def _safe(text: str) -> str:
    """Keep a label from being read as the small markup that the plots know."""
    return text.replace("<", "‹").replace(">", "›")
