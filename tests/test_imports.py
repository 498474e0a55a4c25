"""Who may import whom: the table of the design, read from the syntax trees."""

import ast
from functools import cache
from pathlib import Path

import pytest
from syntax import SOURCE, relative, tree

MEMBERS = sorted(SOURCE.glob("*/*.py"))
NOUNS = {"ensemble", "geometry", "diamond", "law", "measurement", "flow", "claims", "answer", "errors"}
EVERY_BASE = {f"{path.parent.name}.base" for path in SOURCE.glob("*/base.py")}
TABLE = {
    "sources": {"readers.base"},
    "readers": set(),
    "observables": set(),
    "theory": set(),
    "schemes": {"observables.base", "observables.covariance", "engine.base"},
    "capture": {"sources.base", "engine.base", "representations.base"},
    "organisms": {"sources.base", "sources.kjv", "readers.base", "langevin"},
    "representations": {"sources.base", "capture.base"},
    "flows": {
        "langevin",
        "schemes.base",
        "representations.base",
        "sources.base",
        "capture.base",
        "observables.base",
        "engine.base",
    },
    "couplings": {"observables.base"},
    "running": {"observables.base", "couplings.base", "engine.errorbars"},
    "questions": {"observables.base", "couplings.base"},
    "engine": {"observables.base"},
    "report": {"engine._files"},  # one way of writing files, so that links are refused in one place
    "interventions": {
        "capture.base",
        "capture.hooks",
        "capture.reading",
        "engine.base",
        "engine.errorbars",
        "engine.measure",
        "observables.base",
        "observables.covariance",
        "representations.base",
    },
    "spectra": {
        "couplings.power_law",
        "capture.matrices",
        "capture.tangent",
        "capture.tangent_product",
        "observables.base",
        "engine.base",
        "engine.measure",
        "engine.serial",
    },
    "testing": {
        "bibliography",
        "flows.rescaling",
        *EVERY_BASE,
        *(f"theory.{p.stem}" for p in SOURCE.glob("theory/*.py")),
    },
}
FREE = {"tethers": {"cli", "report"}, "cli": set()}
"""Folders that may import anything but these."""
DRIVERS = {
    *("config", "options", "run", "study", "network_study", "data_run", "results", "material", "networks", "controls"),
    *("gallery", "summary", "progress", "run_folder"),
    *("budget", "memory", "divided", "sweep", "ruler", "contents", "training_run", "targets"),
    *("family_run", "loss_run", "layer_run", "layer_theory", "respond_run"),
    *("couplings_run", "couplings_measured", "couplings_nulls", "couplings_folder", "prediction_run", "course_run"),
    *("window_run", "invariance_run", "couplings_cost"),
}
"""What carries out a run: nobody else imports it."""
LOOK_UP = {"tethers", "cli"}


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the blockspin modules that a file imports, outside of its type-checking blocks."""
    module_tree = tree(path)
    skipped = {
        id(node)
        for block in ast.walk(module_tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(module_tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            found.add("." * node.level + (node.module or ""))  # stands in no table: imports are absolute
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "blockspin":
            module = node.module.partition(".")[2]
            found |= {f"{module}.{alias.name}".strip(".") if is_folder(module) else module for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("blockspin.")}
    return frozenset(found)


def is_folder(module: str) -> bool:
    return not module or (SOURCE / module).is_dir()


@pytest.mark.parametrize("folder", sorted({path.parent.name for path in MEMBERS}))
def test_folder_imports_what_the_table_allows(folder):
    for path in (path for path in MEMBERS if path.parent.name == folder):
        outside = {name for name in imports(path) if name.partition(".")[0] != folder} - NOUNS
        if folder in FREE:
            assert not {name for name in outside if name.partition(".")[0] in FREE[folder]}, path
        else:
            assert outside - TABLE[folder] <= {"registry"}, path


def looks_up(path: Path) -> bool:
    """Whether a file uses more of the registry than the registration of its own members."""
    nodes = list(ast.walk(tree(path)))
    own = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "blockspin.registry"]
    names = {alias.name for node in own for alias in node.names}
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return not names <= {"register"} or "blockspin.registry" in whole


def test_members_only_register():
    assert [relative(path) for path in MEMBERS if looks_up(path) and path.parent.name not in LOOK_UP] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from blockspin.schemes.base import Scheme", {"schemes.base"}),
        ("from blockspin import law", {"law"}),
        ("from blockspin.schemes import decimation", {"schemes.decimation"}),
        ("import blockspin.engine.process", {"engine.process"}),
        ("from ..engine import process", {"..engine"}),
        ("def f():\n    from blockspin.cli import app", {"cli.app"}),
        ("if TYPE_CHECKING:\n    from blockspin.cli import app", set()),
        ("import torch", set()),
    ],
)
def test_imports_are_read_in_every_form(text, found, tmp_path):
    (tmp_path / "x.py").write_text(text, encoding="utf-8")
    assert imports(tmp_path / "x.py") == found


def test_nobody_imports_the_command_line_and_only_it_imports_the_drivers():
    for path in SOURCE.rglob("*.py"):
        name = path.stem if path.parent == SOURCE else path.parent.name
        found = imports(path)
        assert name == "cli" or not any(item.startswith("cli") for item in found), path
        assert name in {"cli", *DRIVERS} or not found & DRIVERS, path


def test_nouns_import_nouns_alone():
    for noun in NOUNS:
        assert imports(SOURCE / f"{noun}.py") <= NOUNS


def test_theory_imports_nothing_that_it_is_compared_with():
    for path in SOURCE.glob("theory/*.py"):
        assert all(name.startswith("theory") or name in {"errors"} for name in imports(path)), path
