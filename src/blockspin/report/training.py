"""Training: couplings of every layer along the checkpoints, and where they change faster than relaxations can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from blockspin.report._family import SHADES, axis, line, panels, shade
from blockspin.report._folder import RunFolder, Series
from blockspin.report._html import Section, figure, fill, panel
from blockspin.report._labels import words

ORDER = 35
FIRST = {
    "loss.mean": "Loss on the records that were read",
    "participation-ratio.debiased": "Participation ratio",
    "cka.with_last": "Similarity with the last checkpoint (debiased CKA)",
    "cka.similarity": "Similarity with the checkpoint before (debiased CKA)",
    "cka.with_target": "Alignment of the kernel with that of the targets",
    "cka.with_layer_before": "Similarity with the layer before (debiased CKA)",
    "cumulants.kurtosis": "Excess kurtosis",
    "covariance.variance": "Total variance",
}
"""Shown in this order and with these titles; all else that was measured is in the files of the flows."""
OWN = {"loss": "Loss during the training", "accuracy": "Accuracy during the training"}
"""Curves of the training itself that are drawn beside the flow, by the last word of their names."""
BODY = """
<p>Every checkpoint was read over the same inputs. Shaded: where a curve changes faster than any relaxation.</p>
{% if own %}<div class="grid">{% for plot in own %}{{ plot }}{% endfor %}</div>{% endif %}
<div class="grid">{% for plot in plots %}{{ plot }}{% endfor %}</div>
{% macro table(rows) %}
<div class="scroll" tabindex="0"><table>
<tr><th>quantity</th><th>layer</th><th>transition</th><th>steps</th><th>changes by</th><th>relaxations at most</th></tr>
{% for curve in rows %}
<tr><td>{{ curve.quantity }}</td><td><code>{{ curve.layer }}</code></td>
<td><span class="chip {{ curve.verdict|replace(" ", "-") }}">{{ signs[curve.verdict] }} {{ curve.verdict }}</span></td>
<td class="num">{{ "%g"|format(curve.interval[0]) }} to {{ "%g"|format(curve.interval[1]) }}</td>
<td class="num">{{ curve.share|number }}</td><td class="num">{{ "%.3f"|format(curve.bound) }}</td></tr>
{% endfor %}
</table></div>
{% endmacro %}
{% if seen %}{{ table(seen) }}{% endif %}
{% if others %}<details><summary>{{ others|length }} without a transition</summary>{{ table(others) }}</details>
{% endif %}
{% if seen or others %}
<p class="soft">The steps are those between which a curve exceeds relaxations most, whatever the verdict. Changes are
shares of the range between the first checkpoint and the last.</p>
{% endif %}
"""
DECADES = 30
"""Largest over smallest value beyond which a curve is drawn on a logarithmic axis."""


def section(run: RunFolder) -> Section | None:
    """Return one figure a quantity, a line a layer; nothing where there are no checkpoints."""
    answer = next((a for a in run.answers["answers"] if a["question"] == "transition"), None)
    curves = [_named(curve) for curve in answer["figure"].get("curves", ())] if answer else []
    marks: dict[str, list[tuple[str, tuple[float, float]]]] = {}
    for curve in curves:
        if curve["verdict"] == "yes":
            low, high = curve["interval"]
            marks.setdefault(curve["key"], []).append((curve["layer"], (low, high)))
    plots = panels(run, "training", FIRST, "training steps", marks)
    if not plots:
        return None
    seen = [curve for verdict in ("yes", "cannot tell") for curve in curves if curve["verdict"] == verdict]
    others = [curve for curve in curves if curve["verdict"] == "no"]
    own = _own(run.answers.get("training_curves", {}), curves)
    return Section("Training", fill(BODY, own=own, plots=plots, seen=seen, others=others))


def _own(found: Mapping[str, Mapping[str, Sequence[float]]], curves: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return figures of what the training itself measured, on the axis of the flow."""
    plots = []
    for word, title in OWN.items():
        series = [_seen(name, curve) for name, curve in found.items() if name.rpartition("_")[2] == word]
        series = [item for item in series if (item.positions > 0).any()]
        if series:
            plots.append(panel(title, lambda title=title, series=series: _trained(title, series, curves)))  # type: ignore[misc]
    return plots


def _seen(name: str, curve: Mapping[str, Sequence[float]]) -> Series:
    """Return a curve of the training as a series without errors."""
    steps, values = (np.asarray(curve[key], dtype=float) for key in ("steps", "values"))
    labels = tuple(f"step {step:g}" for step in steps)
    about = ("1", "measured during the training", "training", "steps")
    return Series(name.replace("_", " "), "training", steps, labels, values, np.full_like(values, np.nan), *about)


def _trained(title: str, series: Sequence[Series], curves: Sequence[Mapping[str, Any]]) -> Markup:
    seen = {tuple(curve["interval"]) for curve in curves if curve["verdict"] == "yes"}
    values = np.concatenate([item.value for item in series])
    wide = bool((values > 0).all()) and values.max() > DECADES * values.min()
    layout: dict[str, Any] = {
        "xaxis": axis([item.positions for item in series], "training steps"),
        "yaxis": {"type": "log", "exponentformat": "power", "dtick": 1} if wide else {},
        "showlegend": True,
        "shapes": [{**shade(interval), "opacity": 0.15 / len(seen) ** 0.5} for interval in seen],
    }
    lines = [
        {**line(item, SHADES[k % len(SHADES)], True), "marker": {"opacity": 0}, "error_y": {"visible": False}}
        for k, item in enumerate(sorted(series, key=lambda item: item.flow))
    ]
    # markers that are not seen leave the same room at the ends of the axis as those of the other figures
    caption = "As the training itself measured it on its own data; it left no errors with these numbers."
    if seen:
        caption += " Shaded: all transitions of the table below."
    return figure(title + (" (logarithmic)" if wide else ""), lines, layout, caption)


def _named(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Return a curve with its quantity, as a key and in words, and its layer."""
    name, _, layer = str(curve["name"]).partition(" of ")
    key = name.replace("/", ".")
    return {**curve, "key": key, "quantity": FIRST.get(key, words(key)).partition(" (")[0], "layer": layer}
