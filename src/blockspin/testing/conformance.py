"""Conformance: hold a scheme against every check on every world that it accepts."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from blockspin.errors import BlockspinError, ConfigError, ConformanceError
from blockspin.schemes.base import Scheme
from blockspin.testing.checks import accepts, checks
from blockspin.testing.worlds import worlds


def accepted_worlds(scheme: Scheme) -> frozenset[str]:
    """Return the names of the worlds on which a scheme can take a step: it is fitted to all of them."""
    return frozenset(world.name for world in worlds() if accepts(scheme, world))


def run_check(name: str, scheme: Scheme, accepted: Collection[str] | None = None) -> None:
    """Run one check of one scheme.

    Strict both ways: a property that is not claimed and holds on every world where it can be asked must be claimed, and
    a failure that is explained in ``claims.exceptions`` must still be one.

    Args:
        name: The check.
        scheme: The scheme.
        accepted: Its ``accepted_worlds``, where they are known from another check.

    Raises:
        ConformanceError: Naming the scheme, the world and the number at fault.
    """
    try:
        _strictly(name, scheme, accepted)
    except ConformanceError:
        if name in scheme.claims.exceptions:
            return
        raise
    if name in scheme.claims.exceptions:
        raise ConformanceError(f"{scheme} passes {name}, so that its exception is out of date")


def _strictly(name: str, scheme: Scheme, accepted: Collection[str] | None) -> None:
    check = checks()[name]
    if len(inspect.signature(check).parameters) == 1:
        check(scheme)
        return
    asked = (world for world in worlds() if (accepts(scheme, world) if accepted is None else world.name in accepted))
    found = [check(scheme, world) for world in asked]
    unclaimed = [holds for holds in found if holds is not None]
    if unclaimed and all(unclaimed):
        raise ConformanceError(f"{scheme}: {name} holds on all {len(unclaimed)} worlds asked and is not claimed")


def run_checks(scheme: Scheme) -> list[dict[str, Any]]:
    """Return one row a check: scheme, example, check, passed, message."""
    rows, accepted = [], None
    for name in checks():
        try:
            accepted = accepted_worlds(scheme) if accepted is None else accepted
            run_check(name, scheme, accepted)
            message = ""
        except BlockspinError as error:
            message = str(error)
        rows.append(
            {"scheme": scheme.name, "example": repr(scheme), "check": name, "passed": not message, "message": message}
        )
    return rows


def check_path(path: Path) -> list[dict[str, Any]]:
    """Import a Python file and run every check on every example of the schemes that it defines.

    Raises:
        ConfigError: If the file cannot be imported or defines no scheme.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError("path", str(path), "a Python file that defines a scheme.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as reason:
        raise ConfigError("path", str(path), f"a file that can be imported ({reason}).") from reason
    own = [item for item in vars(module).values() if inspect.isclass(item) and item.__module__ == path.stem]
    found = [cls for cls in own if issubclass(cls, Scheme) and not inspect.isabstract(cls)]
    if not found:
        raise ConfigError("path", str(path), "a file that defines a scheme.")
    return [row for cls in found for example in cls.examples() for row in run_checks(example)]
