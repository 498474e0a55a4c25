"""Every public thing says what it is; the first line of a member's file is its help."""

import ast
import re
from dataclasses import fields

import pytest
from syntax import FILES, SOURCE, relative, tree

from blockspin.registry import families, members, summaries


def bare(module: ast.Module) -> list[str]:
    """Return the public things of a file that say nothing of themselves."""
    found = [] if ast.get_docstring(module) else ["the file"]
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            found += [] if ast.get_docstring(node) else [node.name]
            for method in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    overload = any("overload" in ast.unparse(d) for d in method.decorator_list)
                    found += [] if overload or ast.get_docstring(method) else [f"{node.name}.{method.name}"]
    return found


def test_public_things_have_docstrings():
    assert {relative(path): bare(tree(path)) for path in FILES if bare(tree(path))} == {}


def test_what_says_nothing_of_itself_is_found():
    text = '"""A file."""\ndef f(): ...\nclass C:\n    """Kind."""\n    def g(self): ...\n    def _h(self): ...\n'
    assert bare(ast.parse(text)) == ["f", "C.g"]


@pytest.mark.parametrize("family", families())
def test_members_stand_in_the_file_of_their_name(family):
    found = summaries(family)
    own = {name: cls for name, cls in members(family).items() if cls.__module__.startswith("blockspin.")}
    assert set(found) == set(own)
    for name, line in found.items():
        assert own[name].__module__ == f"blockspin.{family}.{name.replace('-', '_')}"
        assert re.fullmatch(r"[^:]+: .+[.?]", line), f"{name}: {line!r} is not 'Name: what it does.'"


@pytest.mark.parametrize("family", families())
def test_sources_are_in_the_bibliography(family):
    from blockspin.bibliography import entries

    known = entries()
    for name, cls in members(family).items():
        source = getattr(cls, "source", "")
        assert not isinstance(source, str) or source == "" or source in known, f"{name}: {source}"


def test_every_source_is_cited_somewhere():
    from blockspin.bibliography import entries

    text = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    assert sorted(set(entries()) - set(re.findall(r"\b[a-z]+\d{4}[a-z]?\b", text))) == []


@pytest.mark.parametrize("family", ["sources", "observables", "couplings"])
def test_members_from_the_literature_say_when_not_to_trust_them_and_whose_they_are(family):
    for name, cls in members(family).items():
        if cls.source and cls.__module__.startswith("blockspin."):
            found = re.findall(r"^    (Do not trust when|Source):$", cls.__doc__ or "", re.MULTILINE)
            assert found == ["Do not trust when", "Source"], name


@pytest.mark.parametrize("name", members("schemes"))
def test_docstring_of_a_scheme_has_its_parts_in_order(name):
    doc = members("schemes")[name].__doc__ or ""
    parts = ["Shapes", "Raises", "Do not trust when", "Tether", "Source", "Example"]
    if fields(members("schemes")[name]):
        parts.insert(0, "Args")
    found = [line.strip()[:-1] for line in doc.splitlines() if re.fullmatch(r"    [A-Z][a-z ]+:", line)]
    assert [part for part in found if part in parts] == parts
    assert doc.partition("\n")[0].endswith(".")
