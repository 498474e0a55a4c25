"""HTML: templates with every string escaped, figures as data for the page's one script, numbers with their errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


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
    return Markup(_environment().from_string(template).render(**data))


def figure(
    traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], caption: str, *, wide: bool = False
) -> Markup:
    """Return a figure: its data for the page's script, and a caption that says how to read it."""
    return fill(
        '<figure class="plot{{ " wide" if wide }}"><div class="canvas" data-plot="{{ data }}" role="img" '
        'aria-label="{{ caption }}"></div><figcaption>{{ caption }}</figcaption></figure>',
        data=json.dumps({"data": list(traces), "layout": dict(layout)}, allow_nan=False),
        caption=caption,
        wide=wide,
    )


def number(row: Mapping[str, Any] | None) -> str:
    """Return value ± error with its unit; "no number" where there is none."""
    if row is None or row.get("value") is None or isinstance(row["value"], list):
        return "no number"
    value, error, unit = row["value"], row.get("error"), row.get("unit", "1")
    shown = with_error(value, error)
    return shown if unit == "1" else f"{shown} {unit}"


def with_error(value: float, error: float | None) -> str:
    """Return a value to the digits that its error allows: two digits of the error."""
    if error is None or not math.isfinite(error):
        return f"{value:.4g} (error unknown)"
    if error == 0:
        return f"{value:.6g}"
    if not 1e-4 <= abs(error) < 1e6:
        return f"{value:.3e} ± {error:.1e}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def finite(values: Any) -> list[float | None]:
    """Return numbers for JSON, None for what is not finite."""
    return [float(f"{x:.8g}") if math.isfinite(x) else None for x in values]


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.filters["with_error"] = with_error
    return environment
