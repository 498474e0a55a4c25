"""Run: take a network and data to a run folder with its report."""

from __future__ import annotations

from dataclasses import Field, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockspin.config import RunConfig
from blockspin.errors import RunFolderError
from blockspin.registry import summaries


def _help(item: Field) -> str:
    default = item.metadata.get("member", item.default)
    family = item.metadata["family"]
    names = f" [{', '.join(summaries(family))}]" if family else ""  # read from the files; none is imported
    return item.metadata["help"] + names + (f" [default: {default}]" if default not in ("", ()) else "")


def _options() -> type:
    """One option a field of the configuration, all optional, so that only what is given replaces the file's values."""
    rows = []
    for item in fields(RunConfig):
        kind: Any = dict[str, str] if "member" in item.metadata else type(item.default)
        kind = tuple[str, ...] if kind is tuple else kind
        rows.append(
            (item.name, Annotated[kind | None, Parameter(help=_help(item), negative_iterable="")], field(default=None))
        )
    made = make_dataclass("Options", rows, frozen=True)
    made.__module__ = __name__  # where its annotations are looked up
    return made


Options = _options()


def command(
    config: Path | None = None,
    /,
    *,
    resume: Path | None = None,
    options: Annotated[Options | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Take a network and data to a run folder with its report; the built-in example without arguments.

    Args:
        config: A TOML file; options given beside it replace its values.
        resume: Folder of a run that was interrupted, to be finished.
        options: The fields of the configuration.
    """
    given = {key: value for key, value in vars(options or Options()).items() if value is not None}
    if resume is not None:
        if config is not None or given:
            raise RunFolderError(f"{resume} has its configuration already", "Give --resume alone.")
        config = resume / "config.toml"
        if not config.is_file():
            raise RunFolderError(f"{resume} holds no config.toml", "Give the folder of a run that was begun.")
    base = RunConfig() if config is None else RunConfig.from_toml(config)
    from blockspin.run import run  # heavy, and not needed to refuse a mistake

    folder = run(base.with_options(given), folder=resume, resume=resume is not None)
    print(folder / "report.html")
    return 0
