"""From the command line to the report, on the network that is trained on the spot."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_run

from blockspin.engine._files import locked
from blockspin.run import run

BLOCKSPIN = [str(Path(sys.executable).with_name("blockspin"))]
SMALL = ["--model", "builtin:cluster-tree", "--samples", "160", "--kernel-samples", "100", "--groups", "5"]
SMALL += ["--couplings", "gaussian-precision"]  # the others are those of other tests


def blockspin(*options: str, cwd: Path, **more) -> subprocess.CompletedProcess:
    return subprocess.run([*BLOCKSPIN, *options], cwd=cwd, capture_output=True, text=True, timeout=300, **more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = blockspin("run", *SMALL, "--executor", "serial", "--out", "one", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "one"


def test_a_run_leaves_what_the_documentation_says(finished):
    documented = (Path(__file__).parents[1] / "docs" / "run-folder.md").read_text(encoding="utf-8")
    found = {path.name for path in finished.iterdir()}
    assert found == {
        "config.toml",
        "manifest.json",
        "answers.json",
        "levels.json",
        "couplings.json",
        "running.json",
        "report.html",
        "flows",
        "couplings",
        "checkpoints",
    }
    assert all(name in documented for name in found)
    assert {p.name for p in (finished / "flows").iterdir()} == {
        "network.zarr",
        "untrained.zarr",
        "explicit.zarr",
        "exchanged.zarr",
    }


def test_every_number_of_the_answers_has_an_error_and_says_how(finished):
    answers = json.loads((finished / "answers.json").read_text(encoding="utf-8"))
    for answer in answers["answers"]:
        assert answer["verdict"] in ("yes", "no", "cannot tell")
        assert answer["controls"]
        assert answer["assumptions"]
        for number in (*answer["numbers"].values(), *answer["controls"].values()):
            assert number["error"] >= 0
            assert number["how"]
    assert answers["flows"][0]["labels"][0] == "data"


def test_controls_that_hold_nothing_lie_far_outside(finished):
    found = json.loads((finished / "answers.json").read_text(encoding="utf-8"))["answers"]
    answer, gaussian = ({a["question"]: a for a in found}[name] for name in ("retrace", "gaussian-enough"))
    assert gaussian["controls"]["Gaussian of equal covariance: share not Gaussian"]["value"] == 0
    noise = [m["value"] for key, m in answer["controls"].items() if key.startswith(("white noise", "samples permuted"))]
    assert len(noise) == 6
    assert min(noise) > 0.7


@pytest.mark.slow
def test_the_same_command_gives_the_same_bytes_with_workers(finished, tmp_path):
    """Two worker processes, another folder: the same answers."""
    done = blockspin("run", *SMALL, "--executor", "process", "--out", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("answers.json", "levels.json", "couplings.json"):
        assert (finished / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_report_is_rebuilt_without_the_network(finished):
    before = (finished / "report.html").read_bytes()
    (finished / "report.html").unlink()
    block = "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None; "
    code = f"{block}from pathlib import Path; from blockspin.report.page import write_report; write_report(Path('.'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=finished, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (finished / "report.html").read_bytes() == before


def test_a_folder_that_is_taken_is_refused_and_left_alone(finished, told):
    before = {path.name for path in finished.iterdir()}
    done = told("run", *SMALL, "--out", finished, cwd=finished.parent)
    assert done.returncode == 2
    assert "--resume" in done.stderr
    assert {path.name for path in finished.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "no-such-folder", "--data", "x.txt"], "existing file or folder"),
        (["--model", "os:getcwd"], "data = ''"),
        (["--samples", "3"], "samples = 3"),
        (["--scheme", "block-average"], "no neighbours"),
        (["--scheme", "principal-modes", "--scheme.b", "1"], "b = 1"),
        (["--layers", "7.weight"], "no layer '7.weight'"),
        (["--resume", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing_behind(options, words, tmp_path, told):
    base = [] if options[0] in ("--model", "--resume") else SMALL[:2]
    out = [] if options[0] == "--resume" else ["--out", "out"]
    done = told("run", *base, *options, *out)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A finished run on a network of three layers, and beside it the configuration of it and others."""
    folder = tmp_path_factory.mktemp("small")
    config = small_run.config(folder, nulls=("off",))
    (folder / "run.toml").write_text(config.to_toml(), encoding="utf-8")
    return run(config, folder=folder / "one")


def begun(config: Path, folder: Path) -> subprocess.Popen:
    """Start a run and wait until the first states are on disk."""
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    started = subprocess.Popen(
        [*BLOCKSPIN, "run", str(config), "--out", "cut"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    limit = time.monotonic() + 120
    while not list(folder.glob("cut/states/*/*.safetensors")):
        assert time.monotonic() < limit
        assert started.poll() is None
        time.sleep(0.002)
    return started


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_finished_to_the_same_bytes(small, tmp_path, told, how):
    started = begun(small.with_name("run.toml"), tmp_path)
    os.killpg(started.pid, how)
    started.wait(60)
    assert not (tmp_path / "cut" / "answers.json").exists()
    done = told("run", "--resume", "cut")
    assert done.returncode == 0, done.stderr
    for name in ("answers.json", "levels.json", "couplings.json"):
        assert (small / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_run_killed_at_any_moment_is_finished_to_the_same_bytes(finished, tmp_path, seed):
    """The driver alone is killed; workers that it leaves behind are in nobody's way."""
    executor = ("serial", "process")[seed % 2]
    command = [*BLOCKSPIN, "run", *SMALL, "--executor", executor, "--out", "cut"]
    started = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    while not (tmp_path / "cut" / "config.toml").exists():
        assert time.monotonic() < limit
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 6 if executor == "serial" else 20))
    started.kill()
    started.wait(60)
    done = blockspin("run", "--resume", "cut", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("answers.json", "levels.json", "couplings.json"):
        assert (finished / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {path.name for path in finished.iterdir()}
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_second_run_in_the_same_folder_is_refused_by_name(finished, tmp_path, told):
    shutil.copytree(finished, tmp_path / "one")
    with locked(tmp_path / "one" / "states"):
        done = told("run", "--resume", "one")
    assert done.returncode == 2
    assert "being written by another process" in done.stderr
