import json
import subprocess
import sys
from pathlib import Path

import pytest

from blockspin.cli._said import say
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


def test_help_of_run_offers_every_registered_name():
    from blockspin.registry import summaries

    shown = blockspin("run", "--help").stdout
    names = [name for family in ("schemes", "representations", "engine") for name in summaries(family)]
    assert not [name for name in names if name not in shown]
    assert "--empty-layers" not in shown


def test_schemes_are_listed_from_the_registry(told):
    from blockspin.registry import members

    rows = json.loads(told("schemes", "--json").stdout)
    assert [row["name"] for row in rows] == list(members("schemes"))


def test_the_scheme_of_a_file_keeps_the_options_that_the_command_line_does_not_name(tmp_path, monkeypatch):
    import blockspin.run
    from blockspin.cli.run import Options, command

    seen = []
    monkeypatch.setattr(blockspin.run, "run", lambda config, **_: seen.append(config) or tmp_path)
    (tmp_path / "c.toml").write_text('seed = 5\nscheme = { name = "block-average", b = 4 }\n', encoding="utf-8")
    command(tmp_path / "c.toml", options=Options(samples=99, scheme={"name": "block-average"}))
    command(tmp_path / "c.toml", options=Options(scheme={"name": "decimation"}))
    assert [(c.seed, c.samples, c.scheme.name, c.scheme.b) for c in seen] == [
        (5, 99, "block-average", 4),
        (5, 2000, "decimation", 2),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("run", "--modl", "x"), "--model"),
        (("run", "--samples", "many"), "--samples"),
        (("run", "nowhere.toml"), "nowhere.toml"),
        (("run", "--resume", "nowhere"), "a run that was begun"),
        (("run", "--resume", "nowhere", "--seed", "1"), "Give --resume alone"),
        (("report", "nowhere"), "nowhere"),
        (("cite", "nowhere"), "finished run"),
        (("cite", "."), "Repeat the run"),
        (("tehters",), "tethers"),
    ],
)
def test_a_mistake_of_use_is_one_message_and_status_2(options, words, tmp_path):
    (tmp_path / "answers.json").write_text("{}", encoding="utf-8")
    done = subprocess.run([BLOCKSPIN, *options], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["answers.json"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("run", "--scheme=block-avrage"), "block-average"),
        (("run", "--scheme", "block-average", "--scheme.c", "2"), "scheme.c"),
    ],
)
def test_a_mistake_in_a_member_is_one_message_and_status_2(options, words, tmp_path, told):
    done = told(*options)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list(tmp_path.iterdir())


def test_ctrl_c_has_its_own_status_and_says_how_to_go_on(monkeypatch, capsys):
    import blockspin.run
    from blockspin.cli.app import main

    def stopped(*_, **__):
        raise KeyboardInterrupt("Go on with: blockspin run --resume here")

    monkeypatch.setattr(blockspin.run, "run", stopped)
    monkeypatch.setattr(sys, "argv", ["blockspin", "run"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130
    assert "--resume here" in capsys.readouterr().err


@pytest.mark.parametrize("passed", [True, False])
def test_the_status_of_tethers_is_1_where_one_is_off(passed, monkeypatch, capsys):
    from blockspin.cli.tethers import command
    from blockspin.tethers import _driver

    row = {"asserted": True}
    monkeypatch.setattr(_driver, "run_tethers", lambda fast: [{**row, "passed": True}, {**row, "passed": passed}])
    monkeypatch.setattr(_driver, "skipped_tethers", lambda fast: ["slow one"] if fast else [])
    assert command(fast=True, as_json=True) == (0 if passed else 1)
    shown = json.loads(capsys.readouterr().out)
    assert shown["skipped"] == ["slow one"]
    assert len(shown["rows"]) == 2


def test_cite_prints_bibtex(told):
    assert "@article{kadanoff1966," in told("cite").stdout


def test_check_passes_an_honest_scheme_and_fails_a_broken_one(tmp_path, told):
    from blockspin.schemes import block_average

    text = Path(block_average.__file__).read_text(encoding="utf-8").replace("@register\n", "")
    (tmp_path / "block_average.py").write_text(text, encoding="utf-8")
    (tmp_path / "broken.py").write_text(text.replace(".mean(dim=2)", ".amax(dim=2)"), encoding="utf-8")
    assert told("check", tmp_path / "block_average.py").returncode == 0
    broken = told("check", tmp_path / "broken.py")
    assert broken.returncode == 1
    assert "linear" in broken.stdout


def test_check_of_nothing_is_a_mistake(tmp_path):
    done = blockspin("check", str(tmp_path / "nothing.py"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_json_is_alone_on_stdout_and_the_report_is_named_beside_it(capsys, tmp_path):
    say({"g": 1.0}, "g = 1", as_json=True, place=tmp_path / "report.html")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"g": 1.0}
    assert err.strip() == str(tmp_path / "report.html")
    say({"g": 1.0}, "g = 1", as_json=False, place=tmp_path / "report.html")
    assert capsys.readouterr().out.splitlines() == ["g = 1", str(tmp_path / "report.html")]
