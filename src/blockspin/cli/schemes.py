"""Schemes: list the coarse-graining schemes and what each promises."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from cyclopts import Parameter

from blockspin.cli._said import say


def command(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """List the coarse-graining schemes, their options and claims.

    Args:
        as_json: Print JSON instead of a table.
    """
    from blockspin.cli._table import table
    from blockspin.registry import members

    rows = [
        {
            "name": name,
            "options": ", ".join(f"{item.name}={item.default!r}" for item in fields(cls)),
            "semigroup": cls.claims.semigroup.value,
            "linear": "yes" if cls.claims.linear else "no",
            "symmetries": ", ".join(cls.claims.symmetries),
            "source": cls.source,
            "what it does": (cls.__doc__ or "").partition("\n")[0],
        }
        for name, cls in members("schemes").items()
    ]
    say(rows, table(rows), as_json=as_json)
    return 0
