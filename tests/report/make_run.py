"""A made run folder: everything that a run leaves except the report, from fixed numbers, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from blockspin.answer import Answer, Assumption, Light, Verdict
from blockspin.flow import Axis, Direction, Flow, Scale
from blockspin.measurement import Measurement
from blockspin.run_folder import write_flow, write_json, write_text

LAYERS = ("data", "net.0:input", "net.0.attention", "net.0", "net.1.attention", "net.1")
SITES = (64, 32, 16, 8, 4)
VERDICTS = (Verdict.YES, Verdict.YES, Verdict.CANNOT_TELL, Verdict.NO)
CONTROLS = ("untrained network", "samples permuted", "white noise")
HOW = "delete-group jackknife, 20 groups"


def make_run(folder: Path, *, modality: str = "text", word: str = "passage") -> Path:
    """Write a run folder whose names and passages all hold ``word``."""
    folder.mkdir(parents=True)
    flows = {
        "network": (_depth(f"network {word}", 1.0), "implicit"),
        "untrained": (_depth("untrained network", 0.3), "control"),
        "explicit": (_ladder(f"modes {word}", 0.0, word), "explicit"),
        "exchanged": (_ladder("modes, parts exchanged", 0.02, word), "exchanged"),
    }
    for slug, (flow, _) in flows.items():
        write_flow(folder, slug, flow)
    about = [
        {"file": f"{slug}.zarr", "name": flow.name, "role": role, "labels": list(flow.labels)}
        for slug, (flow, role) in flows.items()
    ]
    write_json(folder / "answers.json", _answers(about, modality, word))
    write_json(folder / "levels.json", {"modality": modality, "levels": [_level(s, modality, word) for s in SITES]})
    write_json(folder / "manifest.json", _manifest(word))
    write_text(folder / "config.toml", f'# {word}\nmodel = "made"\nseed = 0\n')
    return folder


def change(folder: Path, name: str, edit: Any) -> None:
    """Rewrite a JSON file of the folder after ``edit(content)``."""
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    edit(content)
    write_json(folder / name, content)


def _depth(name: str, bend: float) -> Flow:
    scales = []
    for k, label in enumerate(LAYERS):
        rows = {} if k == 0 else _numbers(40 + 10 * bend * (k - 2) ** 2, 64)
        if k:
            rows["cka/similarity"] = _exact(1 - 0.1 * bend / k, 0.01)
        scales.append(Scale(float(k), label, measurements=rows))
    return Flow(name, Axis("depth", "layers", Direction.UNKNOWN), tuple(scales))


def _ladder(name: str, shift: float, word: str) -> Flow:
    scales = []
    for k, sites in enumerate(SITES):
        rows = _numbers(sites / 2 + shift, sites)
        if k:
            rows["reconstruction/variance_kept"] = _exact(0.9**k + shift, 0.01)
        scales.append(Scale(float(k), _label(sites, word), k * float(np.log(2)), measurements=rows))
    return Flow(name, Axis("modes", "steps", Direction.COARSENING), tuple(scales), "one site is left")


def _numbers(width: float, sites: int) -> dict[str, Measurement]:
    spectrum = np.arange(1, sites + 1) ** -1.2
    return {
        "participation-ratio/debiased": _exact(width, 1.5),
        "cumulants/kurtosis": _exact(10 / width, 0.05),
        "cumulants/skewness": _exact(0.001 * width, 0.02),
        "covariance/variance": Measurement(width / 3, 0.2, "field^2", 300, HOW, 19),
        "covariance/spectrum": Measurement(spectrum, 0.05 * spectrum, "field^2", 300, HOW, 19),
        "something-new/never_seen": _exact(width**2, 3.0),
    }


def _exact(value: float, error: float) -> Measurement:
    return Measurement(value, error, "1", 300, HOW, 19)


def _label(sites: int, word: str) -> str:
    return f"{sites} sites of {word}"


def _answers(flows: list[dict[str, Any]], modality: str, word: str) -> dict[str, Any]:
    answer = _answer(word)
    return {
        "format": 1,
        "title": f"made network on made {word}",
        "summary": [answer.statement, f"Another sentence about {word}."],
        "answers": [answer.to_dict()],
        "notes": [f"A note on {word}."],
        "flows": flows,
        "methods": [
            _method("observables", "cumulants", "Cumulants of a field.", False),
            _method("questions", "retrace", f"Does {word} lie on the flow?", False),
            _method("schemes", "modes", "Keep the leading modes.", True),
            _method("schemes", "picks", "Pick a site.", False),
        ],
        "network": {"name": f"made {word}", "class": "Net", "parameters": 12345, "layers": list(LAYERS[1:])},
        "data": {"name": word, "modality": modality, "records": 2000, "drawn": 400, "measured": 300},
    }


def _method(family: str, name: str, summary: str, tethered: bool) -> dict[str, Any]:
    return {"family": family, "name": name, "summary": summary, "source": "someone2001", "tethered": tethered}


def _answer(word: str) -> Answer:
    labels, D = [_label(sites, word) for sites in SITES[1:]], [-0.05, -0.03, 0.001, 0.12]
    controls = {
        f"{name}: D at {k}": _exact(0.9 + 0.01 * n, 0.01) for n, name in enumerate((*CONTROLS, word)) for k in labels
    }
    return Answer(
        "retrace",
        Verdict.NO,
        f"Of 4 levels of {word}, 2 lie inside.",
        {f"{label}: D": _exact(d, 0.004) for label, d in zip(labels, D, strict=True)},
        controls,
        tuple(Assumption(f"{word} {light.value}", light, f"because of {word}") for light in Light),
        _figure(labels, D, word),
        dict(zip(labels, VERDICTS, strict=True)),
    )


def _figure(labels: list[str], D: list[float], word: str) -> dict[str, Any]:
    rows = [
        {
            "label": label,
            "sites": sites,
            "position": 4.9 - 0.3 * k,
            "interval": [4.8 - 0.3 * k, 4.95 - 0.3 * k],
            "distance": {"value": D[k] + 0.06, "error": 0.003},
            "radius": {"value": 0.06, "error": 0.002},
            "D": D[k],
            "D_error": 0.004,
            "verdict": VERDICTS[k].value,
            "lost": {"value": 0.2 + 0.2 * k, "error": 0.01},
            "added": None if k == 3 else {"value": 0.05, "error": 0.01},
        }
        for k, (label, sites) in enumerate(zip(labels, SITES[1:], strict=True))
    ]
    turn = np.linspace(0, 2, len(LAYERS) + len(labels))
    return {
        "levels": rows,
        "points": [{"label": f"{name} {word}", "radius": r} for name, r in zip(LAYERS, _radii(), strict=True)],
        "embedding": {
            "points": [[round(float(np.cos(t)), 6), round(float(np.sin(t)), 6)] for t in turn],
            "labels": [*LAYERS, *labels],
            "kinds": ["flow"] * len(LAYERS) + ["level"] * len(labels),
        },
        "similarity": {"labels": list(LAYERS), "values": np.eye(len(LAYERS)).tolist()},
    }


def _radii() -> list[float | None]:
    return [None, 0.05, 0.04, 0.05, 0.06, None]


def _level(sites: int, modality: str, word: str) -> dict[str, Any]:
    level: dict[str, Any] = {"label": _label(sites, word), "sites": sites, "position": 0.0, "log_length": None}
    wave = np.sin(np.arange(8) * sites / 10)
    if modality == "text":
        near = [{"text": f"{sites}: the {k}th {word} of a cluster", "distance": 0.1 * k} for k in range(3)]
        level["clusters"] = [{"share": share, "nearest": near} for share in (0.7, 0.3)]
    elif modality == "image":
        level["images"] = [{"label": f"sample {word}", "rows": np.abs(np.outer(wave, wave)).round(4).tolist()}]
    else:
        level["profiles"] = [wave.round(4).tolist(), (-wave).round(4).tolist()]
    return level


def _manifest(word: str) -> dict[str, Any]:
    return {
        "versions": {"python": "3.11", "blockspin": word},
        "processor": "made",
        "platform": word,
        "git_revision": None,
        "seed": 0,
        "seconds": {f"reading {word}": 1.5, "measuring": 2.25},
        "hashes": {"weights": "00ff"},
        "command": f"run {word}",
    }
