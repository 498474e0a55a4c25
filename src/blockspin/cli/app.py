"""App: finds the sub-commands, runs the one asked for, and words its errors."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import fields
from pathlib import Path

from cyclopts import App

from blockspin import __version__
from blockspin.errors import BlockspinError


def commands() -> dict[str, str]:
    """Return the one-line help of every sub-command by name, read from the files without importing them."""
    rows = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem != "app" and not path.stem.startswith("_"):
            first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
            line = first.partition(": ")[2]
            rows[path.stem] = line[:1].upper() + line[1:]
    return rows


def build() -> App:
    """Return the application; each sub-command is imported when it is called."""
    app = App(
        name="blockspin",
        help="A microscope with a zoom knob for neural networks.",
        help_format="plaintext",
        version=__version__,
        suppress_keyboard_interrupt=False,  # it would end silently; main says how to go on
    )
    for name, line in commands().items():
        app.command(f"blockspin.cli.{name}:command", name=name, help=line)
    return app


def names_first(tokens: list[str]) -> list[str]:
    """Let ``--scheme NAME`` and ``--scheme.FIELD VALUE`` be parts of one option, and likewise for other members."""
    from blockspin.config import RunConfig  # not needed by the other commands

    owners = {f"--{item.name}" for item in fields(RunConfig) if "member" in item.metadata}
    named = (token.partition("=") for token in tokens)
    return [f"{name}.name{sign}{value}" if name in owners else name + sign + value for name, sign, value in named]


def main() -> None:
    """Run the command line: 0 on success, 1 where a check failed, 2 on a mistake of use, 130 after Ctrl-C."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads that spin slow small steps down tenfold
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        code = build()(names_first(sys.argv[1:]), result_action="return_value")
    except BlockspinError as error:
        print("\n  ".join([f"blockspin: {error}", *getattr(error, "__notes__", ())]), file=sys.stderr)
        code = 2
    except KeyboardInterrupt as stop:
        print(f"\nblockspin: interrupted. {stop}".rstrip(), file=sys.stderr)
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
