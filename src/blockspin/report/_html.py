"""HTML: templates with every string escaped, figures as data for the page's one script, numbers with their errors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

SIGNS = {"yes": "●", "no": "▲", "cannot tell": "○", "green": "✓", "amber": "!", "red": "✕"}
"""A sign beside every verdict and light, so that none is told by its colour alone."""
TINY = 1e-100
"""Chances below this are not told apart."""
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
BRACKETS = str.maketrans("<>", "‹›")
FIGURE = """<figure class="plot{{ " wide" if wide }}"><h4>{{ title }}</h4>
<div class="canvas" data-plot="{{ data }}" role="img" aria-label="{{ title }}. {{ caption }}"></div>
<figcaption>{{ caption }}</figcaption></figure>"""
MISSING = """<figure class="plot"><h4>{{ title }}</h4><p class="soft">This picture is left out: the run folder holds no
<code>{{ what }}</code> for it.</p></figure>"""


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Args:
        title: Its heading.
        body: Its HTML, safe.
    """

    title: str
    body: Markup

    @property
    def anchor(self) -> str:
        """The name that links point at."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower()).strip("-")


def fill(template: str, **data: Any) -> Markup:
    """Return a template filled in, every string of the data escaped."""
    return Markup(_compiled(template).render(**data))


def figure(
    title: str, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], caption: str, *, wide: bool = False
) -> Markup:
    """Return a figure: a title, its data for the page's script, and a caption that says how to read it.

    Colours are given as "var:name", a variable of the style sheet, so that figures follow the colour scheme.
    """
    plot = _harmless({"data": list(traces), "layout": dict(layout)})
    return fill(FIGURE, data=json.dumps(plot, allow_nan=False), title=title, caption=caption, wide=wide)


def panel(title: str, draw: Callable[[], Markup]) -> Markup:
    """Return what ``draw`` returns, or a note where the run folder lacks what it needs."""
    try:
        return draw()
    except (KeyError, IndexError, TypeError) as lack:
        what = lack.args[0] if isinstance(lack, KeyError) else "complete data"
        return fill(MISSING, title=title, what=what)


def number(row: Mapping[str, Any] | None) -> str:
    """Return value ± error with its unit; "no number" where there is none."""
    if row is None or row.get("value") is None or isinstance(row["value"], list):
        return "no number"
    value, error, unit = row["value"], row.get("error"), row.get("unit", "1")
    shown = with_error(value, error)
    return shown if unit == "1" else f"{shown} {nice(unit)}"


def bare(row: Mapping[str, Any] | None) -> str:
    """Return value ± error without the unit, which stands elsewhere."""
    return number(None if row is None else {**row, "unit": "1"})


def in_unit(unit: str) -> str:
    """Return a unit in brackets for the end of a title; nothing for pure numbers."""
    return "" if unit == "1" else f" ({nice(unit)})"


def nice(unit: str) -> str:
    """Return a unit with raised powers."""
    return re.sub(r"\^(-?\d+)", lambda power: power[1].translate(RAISED), unit)


def with_error(value: float, error: float | None) -> str:
    """Return a value to the digits that its error allows: two digits of the error."""
    if error is None or not math.isfinite(error):
        return _minus(f"{value:.4g} (error unknown)")
    if error == 0:
        return _minus(f"{value:.6g}")
    if not 1e-4 <= abs(error) < 1e6:
        return _minus(f"{value:.3e} ± {error:.1e}")
    digits = max(0, 1 - math.floor(math.log10(error)))
    return _minus(f"{value:.{digits}f} ± {error:.{digits}f}")


def chance(p: float) -> str:
    """Return a p-value to one digit, on one line."""
    return _minus(f"p = {p:.1g}" if p >= TINY else f"p below {TINY:g}").replace(" ", "\u00a0")


def prose(text: str) -> str:
    """Return a sentence of the library without the marks that its documentation is set by."""
    return re.sub(r":math:`([^`]*)`", lambda found: found[1].replace("\\", ""), text).replace("``", "")


def finite(values: Any) -> list[float | None]:
    """Return numbers for JSON, None for what is not finite."""
    return [float(f"{x:.8g}") if x is not None and math.isfinite(x) else None for x in values]


def bars(errors: Any, *, cap: int = 3) -> dict[str, Any]:
    """Return error bars of two standard errors with caps of so many pixels; a point without an error gets none."""
    array = [None if e is None else 2 * e for e in finite(errors)]
    return {"type": "data", "array": array, "thickness": 1.2, "width": cap}


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _harmless(value: Any, key: str = "") -> Any:
    """Keep names from the data from being read as the small markup that plots know; our own templates stay."""
    if isinstance(value, str) and key != "hovertemplate":
        return value.translate(BRACKETS)
    if isinstance(value, Mapping):
        return {name: _harmless(item, name) for name, item in value.items()}
    return [_harmless(item, key) for item in value] if isinstance(value, list | tuple) else value


@cache  # a page fills the same few templates hundreds of times
def _compiled(template: str) -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.filters["bare"] = bare
    environment.filters["with_error"] = with_error
    environment.filters["prose"] = prose
    environment.globals["signs"] = SIGNS
    return environment.from_string(template)
