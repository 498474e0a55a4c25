"""Divided: one run whose passes are carried out in parts on machines that share nothing, then put together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from blockspin.config import RunConfig
from blockspin.engine._files import locked
from blockspin.engine._threads import torch_threads
from blockspin.engine.parts import Agreement, Part, check_part, measure_part, merge_parts, parts_in
from blockspin.errors import MergeError, RunFolderError
from blockspin.family_run import passes
from blockspin.material import resolved
from blockspin.network_study import NetworkStudy, slug
from blockspin.run import carry_out, prepared, resumable
from blockspin.run_folder import join_folder, machine, open_folder, write_json

MACHINE = "machine.json"
"""In the folder of a part: what carried it out."""
AGREEMENT = 1e-6
"""Parts of another kind of machine may differ by this share of the largest entry of a state."""


def run_part(config: RunConfig, part: Part) -> Path:
    """Carry out one part of a run's passes and return the run folder.

    Every machine is given the same configuration; folders may lie on one disk or on many. The networks of
    a family are passes like the others; losses, and the few gradients at the ends of a training, are read when the
    parts are merged.

    Args:
        config: What to do; blank fields get the built-in example.
        part: Which part.

    Raises:
        RunFolderError: If the folder belongs to another configuration.
    """
    config = resolved(config)
    with torch_threads(config.threads):
        study = prepared(config)
        place = config.folder()
        join_folder(place, config.to_toml())
        with resumable(place, f"blockspin run {place / 'config.toml'} --shard {part}"):
            for name, one in passes(study):
                stored, states = one.stored(name, one.reading, place), place / "states" / slug(name)
                total = sum(shard.samples for shard in part.plan(sorted(stored.shards())))
                (states / part.folder).mkdir(parents=True, exist_ok=True)
                write_json(states / part.folder / MACHINE, machine())
                with study.steps.step(f"reading part {part} of the {name}", total) as advance:
                    measure_part(
                        stored,
                        one.tasks(),
                        part,
                        executor=study.executor(),
                        store=states,
                        progress=study.watched(advance),
                    )
    return place


def merge(folders: Sequence[Path], out: Path | None = None) -> Path:
    """Put the parts of a run together, finish the run, and return its folder.

    The states are those that one machine would have left, byte for byte, as long as all machines compute the same
    bytes. Whether they do is checked: of each kind of machine one file is computed again here.

    Args:
        folders: The run folders of the parts.
        out: Folder of the finished run; by default the first one.

    Raises:
        MergeError: If parts are missing, unfinished, of several configurations, or differ by more than 1e-6.
        OtherVersionsError: If a part was computed with other versions of blockspin or torch than are installed here.
    """
    configs = [RunConfig.from_toml(_config(folder)) for folder in folders]
    if len({config.common() for config in configs}) != 1:
        raise MergeError(
            f"the {len(folders)} folders hold different configurations",
            "Merge parts that were run with one configuration; compare their config.toml.",
        )
    config = configs[0]
    place = folders[0] if out is None else out
    with torch_threads(config.threads):
        study = prepared(config)
        open_folder(place, config.to_toml(), resume=out is None)
        command = f"blockspin merge {' '.join(map(str, folders))}" + (f" --out {out}" if out else "")
        with resumable(place, command), locked(place / "states"):
            agreements = [line for name, one in passes(study) for line in _merge_pass(name, one, folders, place)]
            carry_out(study, place, merged=agreements)
    return place


def _merge_pass(name: str, study: NetworkStudy, folders: Sequence[Path], place: Path) -> Iterator[str]:
    reading = study.stored(name, study.reading, place)
    places = [folder / "states" / slug(name) for folder in folders]
    with study.steps.step(f"checking and merging the parts of the {name}"):
        for kind, part in _kinds(places).items():
            found = check_part(reading, study.tasks(), part, places, study.executor())
            _require_agreement(found, kind)
            study.steps.say(f"{name}, {found}; computed on {kind}")
            yield f"{name}, {found}"
        merge_parts(reading, study.tasks(), places, place / "states" / slug(name))


def _kinds(places: Sequence[Path]) -> dict[str, Part]:
    """Return one part of each kind of machine, by what the machine is."""
    found: dict[str, Part] = {}
    for part in parts_in(places):
        for file in (place / part.folder / MACHINE for place in places):
            if file.is_file():
                found.setdefault(_machine(file), part)
    return found


def _machine(file: Path) -> str:
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        return f"{about['processor']}, torch {about['versions'].get('torch')}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
        raise MergeError(f"{file} does not say what the machine was ({reason})", "Run that part again.") from None


def _require_agreement(found: Agreement, kind: str) -> None:
    if not found.difference <= AGREEMENT:
        raise MergeError(
            f"{found}: more than {AGREEMENT:g}, computed on {kind}",
            "Install the same versions on every machine, with the same threads, and run that part again.",
        )


def _config(folder: Path) -> Path:
    path = folder / "config.toml"
    if not path.is_file():
        raise RunFolderError(f"{folder} holds no config.toml", "Give the folders of runs made with --shard.")
    return path
