"""Couplings of real networks and data, predicted at layers, widths, steps and scales held out, beside the baselines.

python benchmarks/predictions.py minilm | smollm2 | width | training | images FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch

from blockspin import member
from blockspin.config import RunConfig
from blockspin.couplings_measured import OBSERVED, SUITED, suited
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import BlockspinError
from blockspin.flow import Flow
from blockspin.flows.iterate import iterate
from blockspin.flows.rescaling import unit_variance
from blockspin.geometry import Grid
from blockspin.observables.base import accumulate
from blockspin.organisms._pictures import idx
from blockspin.run import run
from blockspin.running.prediction import Places, Prediction, predict
from blockspin.running.replicas import Replicas, halves_of, together
from blockspin.running.scores import Scored, score
from blockspin.running.validity import WHOLE, validity

GROUPS = 20
Rows = Mapping[str, Replicas]


# --- runs of whole networks -------------------------------------------------------------------------------------------


def whole(**given) -> None:
    """Carry out a run and print what its report says of couplings."""
    with tempfile.TemporaryDirectory() as folder:
        place = run(RunConfig().with_options({"executor": "serial", "out": f"{folder}/run", **given}))
        found = json.loads((place / "couplings.json").read_text(encoding="utf-8"))
    for table in found["tables"]:
        tell_table(f"{table['theory']} of {table['flow']}", table["rows"])
    for row in found["predictions"]:
        tell(f"{row['theory']} of {row['flow']}", row["scored"], row["reason"])
    for row in found["validity"]:
        print(f"{row['theory']} of {row['flow']}: {row['verdict']}. {row['statement']}")


# --- ensembles in memory ----------------------------------------------------------------------------------------------


def states_of(field: Ensemble, group: torch.Tensor, estimator) -> Replicas:
    if isinstance(estimator, str):
        return Replicas(reason=estimator)
    try:
        parts = [field.select((group == g).nonzero().flatten()) for g in range(GROUPS)]
        return Replicas.of(estimator, [accumulate(estimator.monoid, part) for part in parts])
    except BlockspinError as reason:
        return Replicas(reason=str(reason))


def measured(ensemble: Ensemble, observed: Sequence[str] = OBSERVED) -> Rows:
    """Return couplings and observables of one field, brought to unit mean variance."""
    field = ensemble.times(unit_variance(ensemble))
    group = group_of(field.units, GROUPS)
    found = {name: suited(name, field) for name in SUITED if name in known_couplings()}
    found |= {name: member("observables", name)() for name in observed}
    return {name: states_of(field, group, estimator) for name, estimator in found.items()}


def known_couplings() -> set[str]:
    from blockspin.registry import summaries

    return set(summaries("couplings"))


# --- images -----------------------------------------------------------------------------------------------------------


def images(folder: Path, samples: int = 4000) -> None:
    """Average Fashion-MNIST images over blocks, predict the finest levels, look for classes where the theory fails."""
    pictures = idx(folder / "train-images-idx3-ubyte.gz")[: 2 * samples]
    classes = torch.from_numpy(idx(folder / "train-labels-idx1-ubyte.gz")[samples : 2 * samples].astype(np.int64))
    values = np.pad(pictures, ((0, 0), (2, 2), (2, 2))).reshape(len(pictures), -1) / np.float32(255)
    whole = Ensemble.of(torch.from_numpy(values), Grid((32, 32)), units=torch.arange(len(values)))
    halves = whole.select(torch.arange(samples)), whole.select(torch.arange(samples, 2 * samples))
    flow = iterate(halves, member("schemes", "block-average")(b=2), generator=torch.Generator())
    flow = replace(flow, scales=flow.scales[1:])  # 256 sites and fewer: the covariance of 1,024 is mostly margins
    rows = [measured(scale.ensemble) for scale in flow]
    lengths = [float(scale.log_length) for scale in flow]
    fit = list(range(1, len(flow)))
    ladder = [float(scale.position) for scale in flow]
    places = Places(flow.labels[:1], np.array(ladder[:1]), np.array(lengths[:1]))
    near = [rows[s] for s in fit]
    made = predictions(flow.axis, flow.labels[1:], ladder[1:], near, places, lengths[1:])
    tables(flow.labels, rows)
    scores(made, flow.axis, flow.labels, ladder, lengths, rows)
    by_class(flow, classes)


def by_class(flow: Flow, classes: torch.Tensor) -> None:
    slices = {WHOLE: torch.ones(len(classes), dtype=torch.bool)} | {f"class {c}": classes == c for c in range(10)}
    for name in SUITED:
        parts = {}
        for part, mask in slices.items() if name in known_couplings() else ():
            rows = [measured(scale.ensemble.select(mask), ())[name] for scale in flow]
            lengths = [float(scale.log_length) for scale in flow]
            try:
                parts[part] = together(flow.axis, flow.labels, [s.position for s in flow], lengths, rows)
            except BlockspinError as reason:
                print(f"{name} on {part}: {reason}")
        if parts:
            found = validity(parts)
            print(f"{name}: {found.verdict.value}. {found.statement}")


# --- tables -----------------------------------------------------------------------------------------------------------


def predictions(axis, labels, positions, rows: Sequence[Rows], places: Places, lengths=None) -> dict[str, Prediction]:
    """Predict every theory that can be, and say what was predicted before anything is compared."""
    made = {}
    for theory in rows[0]:
        try:
            ends = lengths or [float("nan")] * len(rows)
            running = together(axis, labels, [float(p) for p in positions], ends, [row[theory] for row in rows])
            made[theory] = predict(running, places)
        except BlockspinError as reason:
            print(f"{theory} is not predicted: {reason}")
            continue
        for h, label in enumerate(places.labels):
            f = made[theory].theory
            said = [f"{n} {f.values[h, k]:.4g} ± {f.errors[h, k]:.2g}" for k, n in enumerate(made[theory].names)]
            print(f"{theory} at {label}: {'; '.join(said)}")
    return made


def scores(made: Mapping[str, Prediction], axis, labels, positions, lengths, rows: Sequence[Rows]) -> None:
    for theory, prediction in made.items():
        running = together(axis, labels, [float(p) for p in positions], lengths, [row[theory] for row in rows])
        held = [rows[list(labels).index(label)][theory] for label in prediction.places.labels]
        found: Scored | None = None
        reason = ""
        try:
            found = score(prediction, running, halves=halves_of(held, prediction.names))
        except BlockspinError as refused:
            reason = str(refused)
        tell(theory, None if found is None else found.to_dict(), reason)


def tables(labels, rows: Sequence[Rows]) -> None:
    for theory in rows[0]:
        lines = []
        for label, row in zip(labels, rows, strict=True):
            r = row[theory]
            g = None if r.goodness is None else {"score": r.goodness.score.to_dict(), "p_value": r.goodness.p_value}
            numbers = {name: r.measurement(name).to_dict() for name in r.values}
            lines.append({"label": label, "values": numbers, "goodness": g, "reason": r.reason})
        tell_table(theory, lines)


def tell_table(title: str, rows: Sequence[Mapping]) -> None:
    print(f"--- {title}")
    for row in rows:
        numbers = [f"{k} {m['value']:.4g} ± {m['error']:.2g}" for k, m in row["values"].items()]
        g = row["goodness"]
        p = "" if not g or g["p_value"] is None else f", p = {g['p_value']:.2g}"
        fit = f"fit {g['score']['value']:.4g}{p}" if g and g["score"]["value"] is not None else ""
        print(f"  {row['label']:34s} {'; '.join([*numbers, fit, row['reason'][:90]])}")


def tell(title: str, scored: Mapping | None, reason: str) -> None:
    if scored is None:
        print(f"=== {title}: no score: {reason[:160]}")
        return
    print(f"=== {title}: {scored['verdict']}. {scored['statement']}")
    for row in scored["scores"]:
        if row["points"]:
            log_score = "" if row["log_score"] is None else f", log score {row['log_score']:.2f}"
            print(
                f"  {row['model']:18s} inside {row['inside']}/{row['points']}, squared miss {row['miss']:.3g}, "
                f"deviation {row['deviation']:.3g}{log_score} {row['verdict']}"
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "minilm":
        whole(model="builtin:minilm", data="builtin:kjv")
    elif what == "smollm2":
        blocks = ("layers.0:input", *(f"layers.{k}" for k in range(30)))
        quarter = {"name": "principal-modes", "b": 4}  # 200 passages do not hold half of 576 modes
        given = {"layers": blocks, "scheme": quarter, "samples": 500, "kernel_samples": 300, "max_tokens": 24}
        whole(model="builtin:smollm2", data="builtin:kjv", **given)
    elif what == "width":
        whole(model="builtin:char-transformer", family=("builtin",))
    elif what == "training":
        whole(model="builtin:char-transformer", checkpoints="builtin")
    elif what == "images" and len(sys.argv) == 3:
        images(Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
