"""Every scheme of the registry on real data: it runs, or says by name why it cannot and what to do."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from blockspin.errors import BlockspinError
from blockspin.flows.iterate import iterate
from blockspin.registry import member, members
from blockspin.sources.base import draw_records

BLOCKSPIN = [str(Path(sys.executable).with_name("blockspin"))]
SMALL = ["--steps", "2", "--groups", "5", "--executor", "serial", "--out", "out"]
TEXT = ["--samples", "300", "--kernel-samples", "150", "--max-tokens", "16"]
PICTURES = ["--data", "digits.npy", "--modality", "image", "--layers", "net.*", "--samples", "400"]
NETWORK = """
import torch
from torch import nn


def make():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Digits().eval()


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        hidden = [part for _ in range(3) for part in (nn.Linear(48, 48), nn.Tanh())]
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.Tanh(), *hidden)

    def forward(self, x):
        return self.net(x)
"""


def digits(samples: int = 400) -> np.ndarray:
    """Pictures of 8 x 8 pixels, ten templates of three strokes in various greys, with noise; some pixels stay dark."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    place = rng.uniform(2, 5, (2, 10, 3, 1, 1))
    templates = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 2).sum(axis=1)
    drawn = templates[rng.integers(10, size=samples)] * rng.uniform(0.6, 1.2, (samples, 1, 1))
    drawn = drawn + 0.1 * rng.normal(size=drawn.shape) * (templates.max(axis=0) > 0.2)
    return (drawn.clip(0, 2) * 8).round().astype(np.float32) / 16


def silent(name: str) -> dict[str, float]:
    """What the remedy for units that never vary says, where a scheme has that option."""
    known = {item.name for item in fields(members("schemes")[name])}
    return {"silent": 1e-12} if "silent" in known else {}


def unknown(folder: Path) -> list[str]:
    """Return the numbers of the answers of a run that are no number, or have no error."""
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))["answers"]
    numbers = {name: number for answer in answers for name, number in answer["numbers"].items()}
    assert numbers
    held = {name: np.ravel(np.array([number["value"], number["error"]], float)) for name, number in numbers.items()}
    return [name for name, both in held.items() if not np.isfinite(both).all()]


def run(name: str, *options: str, cwd: Path) -> None:
    """Finish with a report, or with one named sentence that holds a remedy and no trace of an error nobody named."""
    given = [part for key, value in silent(name).items() for part in (f"--scheme.{key}", str(value))]
    path = os.pathsep.join([str(cwd), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*BLOCKSPIN, "run", "--scheme", name, *given, *options, *SMALL],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode == 0:
        assert (cwd / "out" / "report.html").is_file()
        assert unknown(cwd / "out") == []
        return
    assert done.returncode == 2, done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("blockspin: ")]
    assert ". " in message, f"no remedy: {message}"


@pytest.mark.slow
@pytest.mark.parametrize("name", members("schemes"))
def test_every_scheme_on_a_language_model(name, tmp_path):
    run(name, *TEXT, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", members("schemes"))
def test_every_scheme_on_a_network_of_pictures(name, tmp_path):
    np.save(tmp_path / "digits.npy", digits())
    (tmp_path / "digits_network.py").write_text(NETWORK, encoding="utf-8")
    run(name, "--model", "digits_network:make", *PICTURES, cwd=tmp_path)


@pytest.mark.parametrize("name", members("schemes"))
def test_every_scheme_on_the_pictures_themselves(name, generator):
    """Pixels on their lattice, some of which never vary: a ladder that says why it ends, or an error with a remedy."""
    records = tuple(picture[:, :, None] for picture in digits())
    pixels = member("representations", "raw")().ensemble(
        draw_records(member("sources", "given-records")(records, "image"), 400)
    )
    scheme, why = members("schemes")[name](**silent(name)), None
    try:
        flow = iterate(pixels, scheme, generator=generator, steps=2)
    except BlockspinError as reason:
        why = reason
    if why is not None:
        assert why.remedy
        return
    assert len(flow) == 3 or flow.ended
    assert all(bool(torch.isfinite(scale.ensemble.values).all()) for scale in flow)
