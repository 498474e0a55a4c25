"""Sizes that keep code readable at a glance; an exception is a line here with its reason."""

import ast
import re
import tomllib
from pathlib import Path

from syntax import FILES, SOURCE, relative, tree

FILE, FUNCTION, CLASS, PARAMETERS, BASE = 300, 40, 250, 6, 150
LONG_FUNCTIONS: dict[str, str] = {}
MANY_PARAMETERS: dict[str, str] = {
    "couplings/energy_model.py:on": "each is an option of the command line, which is read from the signature",
}
LONG_BASES = {"sources/base.py": "drawing by hash belongs to the contract of every source"}
FORBIDDEN_PACKAGES = ("torchvision", "torchaudio", "wandb", "jax", "datasets", "numba", "ray")


def body_lines(node: ast.AST) -> int:
    doc = ast.get_docstring(node, clean=False)  # type: ignore[arg-type]
    return node.end_lineno - node.lineno + 1 - (len(doc.splitlines()) if doc else 0)  # type: ignore[attr-defined]


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_files_are_short():
    bases = {path for path in FILES if path.name == "base.py" and relative(path) not in LONG_BASES}
    assert [relative(path) for path in FILES if length(path) > (BASE if path in bases else FILE)] == []


def parts(*kinds: type[ast.AST]) -> list[tuple[str, ast.AST]]:
    """Return all nodes of some kinds with file and name, which several methods of a file may share."""
    return [
        (f"{relative(path)}:{node.name}", node)  # type: ignore[attr-defined]
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, kinds)
    ]


def test_classes_are_short():
    assert [name for name, node in parts(ast.ClassDef) if node.end_lineno - node.lineno > CLASS] == []


def test_functions_are_short_and_take_little():
    for name, node in parts(ast.FunctionDef, ast.AsyncFunctionDef):
        assert body_lines(node) <= (60 if name in LONG_FUNCTIONS else FUNCTION), name
        taken = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        counted = [a for a in taken if a not in ("self", "cls", "generator")]
        assert len(counted) <= PARAMETERS or name in MANY_PARAMETERS, name


def test_every_exception_is_still_needed():
    for name in LONG_BASES:
        assert len((SOURCE / name).read_text(encoding="utf-8").splitlines()) > BASE, name


def test_folders_are_two_levels_deep():
    assert all(len(path.relative_to(SOURCE).parts) <= 2 for path in FILES)


def test_no_heavy_package_is_asked_for():
    text = (SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    needed = " ".join(tomllib.loads(text)["project"]["dependencies"])
    assert not [name for name in FORBIDDEN_PACKAGES if re.search(rf"\b{name}\b", needed)]
    assert "torch==" not in text
