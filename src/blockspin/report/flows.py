"""Flows: what was measured along each flow, with error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from blockspin.report._folder import RunFolder, Series
from blockspin.report._html import Section, bars, figure, fill, finite, in_unit, prose
from blockspin.report._labels import LEGEND, cut, ticks, words

ORDER = 40
FIRST = {
    "participation-ratio.debiased": "Participation ratio",
    "cka.similarity": "Similarity with the point before (debiased CKA)",
    "cumulants.kurtosis": "Excess kurtosis",
    "covariance.variance": "Total variance",
    "covariance.spectrum": "Spectrum of the covariance",
    "reconstruction.variance_kept": "Variance given back on held-out inputs",
}
"""Shown at once, in this order and with these titles; whatever else was measured is shown below them."""
BODY = """
{% for part in parts %}
<h3>{{ part.title }}</h3><p class="soft">{{ part.text }}</p>
<div class="grid">{% for plot in part.first %}{{ plot }}{% endfor %}</div>
{% if part.more %}<details><summary>{{ part.more|length }} more {{ "quantity" if part.more|length == 1 else
"quantities" }}</summary><div class="grid">{% for plot in part.more %}{{ plot }}{% endfor %}</div></details>{% endif %}
{% endfor %}
<p class="soft">Bars are two standard errors.</p>
"""
PARTS = (
    (
        "Over depth: the implicit flow",
        ("implicit", "control"),
        "Read off the network and its untrained copy over the same inputs. Positions count layers; there is no length.",
    ),
    (
        "Under coarse-graining: the explicit flow",
        ("explicit", "exchanged"),
        "Computed from the {whole}. The scheme is fitted on one part of the inputs, measured on the other; with "
        "the parts exchanged one sees what the fit itself contributes. Fields have unit mean variance after each step.",
    ),
)
STYLES = {
    "implicit": ("var:accent", "solid", "circle"),
    "control": ("var:open", "dot", "square-open"),
    "explicit": ("var:accent", "solid", "circle"),
    "exchanged": ("var:open", "dot", "square-open"),
}
WIDE = 30
"""From this ratio of largest to smallest, an axis is logarithmic."""
TINY = 1e-9
"""Eigenvalues below this share of the largest are rounding."""


def section(run: RunFolder) -> Section | None:
    """Return one figure a quantity and kind of flow: lines for numbers, curves for arrays such as spectra."""
    about = {row["name"]: row["summary"] for row in run.answers["methods"]}
    parts = []
    for title, roles, text in PARTS:
        found = {key: _known(series, roles) for key, series in run.quantities.items()}
        plots = {key: _plot(key, series, about) for key, series in found.items() if series}
        first = [plots[key] for key in FIRST if key in plots]
        more = [plot for key, plot in plots.items() if key not in FIRST]
        if plots:
            part = {"first": first, "more": more} if first else {"first": more, "more": []}
            whole = "representation" if run.answers["network"] else "data themselves"
            parts.append({"title": title, "text": text.format(whole=whole), **part})
    return Section("Flows", fill(BODY, parts=parts)) if parts else None


def _known(series: Sequence[Series], roles: Sequence[str]) -> list[Series]:
    return [item for item in series if item.role in roles and np.isfinite(item.value).any() and item.value.ndim < 3]


def _plot(key: str, series: Sequence[Series], about: Mapping[str, str]) -> Markup:
    caption = prose(about.get(key.partition(".")[0], ""))
    return _curves(key, series[0], caption) if series[0].value.ndim == 2 else _lines(key, series, caption)


def _lines(key: str, series: Sequence[Series], caption: str) -> Markup:
    traces: list[dict[str, Any]] = []
    for item in (one for one in series if one.value.ndim == 1):
        colour, dash, symbol = STYLES[item.role]
        traces.append(
            {
                "x": finite(item.positions),
                "y": finite(item.value),
                "error_y": {**bars(item.error), "color": colour},
                "text": list(item.labels),
                "name": cut(item.flow, LEGEND),
                "mode": "lines+markers",
                "line": {"color": colour, "dash": dash, "width": 2},
                "marker": {"size": 6, "symbol": symbol, "color": colour},
                "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
            }
        )
    first = series[0]
    values = np.concatenate([item.value[np.isfinite(item.value)] for item in series if item.value.ndim == 1])
    far = bool(values.min() > 0 and values.max() > WIDE * values.min())
    layout = {
        "xaxis": {**ticks(first.positions.tolist(), first.labels), "title": {"text": _axis(first)}},
        "yaxis": {"type": "log", "dtick": 1} if far else {},
        "showlegend": len(traces) > 1,
    }
    title = FIRST.get(key, words(key)) + in_unit(first.unit)
    return figure(title, traces, layout, f"{caption} Errors: {first.how}.".strip())


def _curves(key: str, item: Series, caption: str) -> Markup:
    known = [i for i in range(len(item.labels)) if np.isfinite(item.value[i]).any()]
    chosen = sorted({known[round(k * (len(known) - 1) / 3)] for k in range(4)})
    positive = bool((item.value[chosen] > 0).sum() > 0.9 * np.isfinite(item.value[chosen]).sum())
    traces = [
        _curve(item.value[i], item.error[i], item.labels[i], positive, 0.3 + 0.7 * n / max(len(chosen) - 1, 1))
        for n, i in enumerate(chosen)
    ]
    rank = "rank" if "spectrum" in key else "index"
    layout = {
        "xaxis": {"type": "log" if positive else "linear", "dtick": 1 if positive else None, "title": {"text": rank}},
        "yaxis": {"type": "log", "dtick": 1, "exponentformat": "power"} if positive else {},
    }
    scales = "Both axes are logarithmic. " if positive else ""
    return figure(
        f"{FIRST.get(key, words(key))}, {item.flow}",
        traces,
        layout,
        f"{caption} At a few scales, the darker the later along the flow. {scales}Errors: {item.how}.".strip(),
    )


def _curve(value: np.ndarray, error: np.ndarray, label: str, positive: bool, shade: float) -> dict[str, Any]:
    kept = np.isfinite(value) & ((value > TINY * np.nanmax(value)) if positive else True)
    places = np.flatnonzero(kept)
    sparse = np.where(
        (places & (places + 1)) == 0, error[kept], np.nan
    )  # bars at 1, 2, 4, 8, … keep the curve in sight
    return {
        "x": (places + 1).tolist(),
        "y": finite(value[kept]),
        "error_y": {**bars(sparse, cap=0), "color": "var:accent"},
        "name": cut(label, LEGEND),
        "mode": "lines",
        "line": {"color": "var:accent", "width": 2},
        "opacity": round(shade, 3),
        "hovertemplate": "%{x}: %{y:.3g}<extra>%{fullData.name}</extra>",
    }


def _axis(item: Series) -> str:
    return item.axis if item.unit_of_axis in ("", "1") else f"{item.axis} ({item.unit_of_axis})"
