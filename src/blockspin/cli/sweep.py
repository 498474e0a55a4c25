"""Sweep: run every combination of some values of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockspin.cli._said import say
from blockspin.cli.run import Options, given_options
from blockspin.config import RunConfig


def command(
    config: Path | None = None,
    /,
    *,
    vary: Annotated[list[str] | None, Parameter(negative_iterable="")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    options: Annotated[Options | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Carry out one run for every combination of values; runs that read the same share the reading.

    Args:
        config: A TOML file; options given beside it replace its values.
        vary: FIELD=VALUE,VALUE,... once a field, as seed=0,1,2 or checkpoint=steps/* or scheme.b=2,4.
        as_json: Print JSON instead of a table.
        options: The fields of the configuration; out is the folder of the sweep.
    """
    wanted = (RunConfig() if config is None else RunConfig.from_toml(config)).with_options(given_options(options))
    from blockspin.cli._table import table
    from blockspin.progress import Steps
    from blockspin.sweep import Axis, sweep

    out = Path(wanted.out or "runs/sweep")
    rows = sweep(wanted, [Axis.parse(text) for text in vary or ()], out, say=Steps().say)
    say(rows, table(rows), as_json=as_json)
    print(out / "sweep.json")
    return 1 if any(row["error"] for row in rows) else 0
