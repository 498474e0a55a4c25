import json
import subprocess
import sys
from pathlib import Path

import pytest

from blockspin.cli.app import commands

BLOCKSPIN = str(Path(sys.executable).with_name("blockspin"))


def blockspin(*options: str) -> subprocess.CompletedProcess:
    return subprocess.run([BLOCKSPIN, *options], capture_output=True, text=True, timeout=120)


def test_help_lists_every_file_of_commands_and_imports_nothing_heavy():
    code = "import sys; sys.argv = ['blockspin', '--help']\nfrom blockspin.cli.app import main\ntry: main()\n"
    code += "except SystemExit: print([m for m in ('torch', 'xarray', 'plotly', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]")
    assert all(f" {name} " in done.stdout for name in commands())


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help(name):
    assert commands()[name] in blockspin(name, "--help").stdout


def test_schemes_are_listed_from_the_registry():
    from blockspin.registry import members

    rows = json.loads(blockspin("schemes", "--as-json").stdout)
    assert [row["name"] for row in rows] == list(members("schemes"))


def test_cite_prints_bibtex():
    assert "@article{kadanoff1966," in blockspin("cite").stdout


def test_check_passes_an_honest_scheme_and_fails_a_broken_one(tmp_path):
    from blockspin.schemes import block_average

    text = Path(block_average.__file__).read_text(encoding="utf-8").replace("@register\n", "")
    (tmp_path / "block_average.py").write_text(text, encoding="utf-8")
    (tmp_path / "broken.py").write_text(text.replace(".mean(dim=2)", ".amax(dim=2)"), encoding="utf-8")
    assert blockspin("check", str(tmp_path / "block_average.py")).returncode == 0
    broken = blockspin("check", str(tmp_path / "broken.py"))
    assert broken.returncode == 1
    assert "linear" in broken.stdout


def test_check_of_nothing_is_a_mistake(tmp_path):
    done = blockspin("check", str(tmp_path / "nothing.py"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
