"""Tethers: compute every known answer anew and print it beside ours."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter


def command(*, fast: bool = False, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Compute every known answer anew and print it beside ours; exit status 1 if one is off.

    Args:
        fast: Leave out what needs minutes, and say what was left out.
        as_json: Print JSON instead of a table.
    """
    from blockspin.cli._table import table
    from blockspin.tethers._driver import cost_of, run_tethers, skipped_tethers

    rows, skipped = run_tethers(fast), skipped_tethers(fast)
    failed = sum(not row["passed"] for row in rows)
    only_shown = sum(not row["asserted"] for row in rows)
    if as_json:
        print(json.dumps({"rows": rows, "skipped": skipped}, indent=1))
    else:
        columns = ("system", "quantity", "source", "expected", "measured", "error", "z", "seconds", "passed")
        marked = [row if row["asserted"] else {**row, "passed": "shown"} for row in rows]
        print(table([{key: row[key] for key in columns} for row in marked]))
        counts = f"{len(rows) - failed - only_shown} passed, {failed} failed"
        print(counts + (f", {only_shown} shown without being asserted" if only_shown else ""))
        for name in skipped:
            print(f"left out: {cost_of(name)}")
    return 1 if failed else 0
