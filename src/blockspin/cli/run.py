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


def given_options(options: Any) -> dict[str, Any]:
    """Return the fields of the configuration that were given."""
    return {key: value for key, value in vars(options or Options()).items() if value is not None}


def command(
    config: Path | None = None,
    /,
    *,
    resume: Path | None = None,
    shard: str | None = None,
    options: Annotated[Options | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Take a network and data to a run folder with its report; the built-in example without arguments.

    Args:
        config: A TOML file; options given beside it replace its values.
        resume: Folder of a run that was interrupted, to be finished.
        shard: Carry out but one part of the passes, as 3/16 for the third of sixteen; finish with blockspin merge.
        options: The fields of the configuration.
    """
    given = given_options(options)
    if resume is not None:
        return _resumed(resume, alone=config is None and not given and shard is None)
    wanted = (RunConfig() if config is None else RunConfig.from_toml(config)).with_options(given)
    if shard is not None:
        from blockspin.divided import run_part
        from blockspin.engine.parts import Part

        print(run_part(wanted, Part.parse(shard)))
        return 0
    from blockspin.run import run  # heavy, and not needed to refuse a mistake

    print(run(wanted) / "report.html")
    return 0


def _resumed(folder: Path, *, alone: bool) -> int:
    if not alone:
        raise RunFolderError(f"{folder} has its configuration already", "Give --resume alone.")
    if not (folder / "config.toml").is_file():
        raise RunFolderError(f"{folder} holds no config.toml", "Give the folder of a run that was begun.")
    config = RunConfig.from_toml(folder / "config.toml")
    from blockspin.run import run

    print(run(config, folder=folder, resume=True) / "report.html")
    return 0
