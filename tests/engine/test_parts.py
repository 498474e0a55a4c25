"""One pass on several machines: the same bytes, whatever the number of parts, where they lie and how they end."""

import os
import shutil
import subprocess
import sys

import passes
import pytest
import torch
from passes import PORTABLE_TASKS, TASKS, Failing, Logged, plain, portable_pass, small_pass

from blockspin import Ensemble
from blockspin.engine.measure import measure
from blockspin.engine.parts import Part, _gap, check_part, measure_part, merge_parts, parts_in
from blockspin.engine.process import Process
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, MergeError, NonFiniteError, RunFolderError
from blockspin.observables.base import accumulate
from blockspin.observables.cumulants import Cumulants


def run(store=None, reading=None):
    return measure(
        reading or small_pass(),
        TASKS,
        executor=Serial(),
        store=store,
        generator=torch.Generator().manual_seed(0),
    )


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return plain(run(folder)), files(folder)


@pytest.mark.parametrize("count", [1, 2, 4, 7, 15, 16, 40])
def test_parts_put_together_are_the_bytes_of_one_machine(count, tmp_path, whole):
    places = [tmp_path / f"machine-{i % 3}" for i in range(count)]  # some share a disk
    for part, place in zip(Part(1, count).all, places, strict=True):
        measure_part(small_pass(), TASKS, part, executor=Serial(), store=place)
    merge_parts(small_pass(), TASKS, places, tmp_path / "whole")
    assert files(tmp_path / "whole") == whole[1]
    assert plain(run(tmp_path / "whole")) == whole[0]


def test_every_shard_belongs_to_one_part_and_parts_are_even():
    shards = sorted(small_pass().shards())
    for count in range(1, 20):
        held = [list(part.plan(shards)) for part in Part(1, count).all]
        assert [shard for part in held for shard in part] == shards
        assert max(map(len, held)) - min(map(len, held)) <= 1


def test_executors_may_differ_between_parts(tmp_path, whole):
    for part, executor in zip(Part(1, 2).all, (Process(workers=1), Serial()), strict=True):
        measure_part(small_pass(), TASKS, part, executor=executor, store=tmp_path)
    merge_parts(small_pass(), TASKS, [tmp_path], tmp_path / "whole")
    assert files(tmp_path / "whole") == whole[1]


def test_a_part_that_was_cut_short_goes_on(tmp_path, whole):
    broken = Failing(small_pass(), "0001.000002")
    with pytest.raises(NonFiniteError):
        measure_part(broken, TASKS, Part(1, 2), executor=Serial(), store=tmp_path)
    measure_part(small_pass(), TASKS, Part(2, 2), executor=Serial(), store=tmp_path)
    with pytest.raises(MergeError, match=r"part 1/2 has 2 of 7 shards left"):
        merge_parts(small_pass(), TASKS, [tmp_path], tmp_path / "whole")
    log = tmp_path / "log"
    measure_part(Logged(small_pass(), log), TASKS, Part(1, 2), executor=Serial(), store=tmp_path)
    assert len(log.read_text().split()) == 2
    merge_parts(small_pass(), TASKS, [tmp_path], tmp_path / "whole")
    assert files(tmp_path / "whole") == whole[1]


def test_a_damaged_part_is_named_and_not_merged(tmp_path):
    for part in Part(1, 2).all:
        measure_part(small_pass(), TASKS, part, executor=Serial(), store=tmp_path)
    victim = sorted((tmp_path / Part(2, 2).folder).iterdir())[0]
    payload = bytearray(victim.read_bytes())
    payload[-3] ^= 1
    victim.write_bytes(payload)
    with pytest.raises(MergeError, match=r"part 2/2 has 1 of 8"):
        merge_parts(small_pass(), TASKS, [tmp_path], tmp_path / "whole")


def test_a_missing_part_is_named_with_its_command(tmp_path):
    measure_part(small_pass(), TASKS, Part(1, 3), executor=Serial(), store=tmp_path)
    with pytest.raises(MergeError, match=r"part 2/3 is missing. Run it with --shard 2/3"):
        merge_parts(small_pass(), TASKS, [tmp_path], tmp_path / "whole")


def test_parts_of_another_pass_or_of_two_divisions_are_refused(tmp_path):
    for count in (2, 3):
        measure_part(small_pass(), TASKS, Part(1, count), executor=Serial(), store=tmp_path)
    with pytest.raises(MergeError, match="divisions found: 2, 3"):
        merge_parts(small_pass(), TASKS, [tmp_path], tmp_path / "whole")
    shutil.rmtree(tmp_path / Part(1, 3).folder)
    measure_part(small_pass(samples=300), TASKS, Part(2, 2), executor=Serial(), store=tmp_path)
    with pytest.raises(RunFolderError, match="another pass"):
        merge_parts(small_pass(), TASKS, [tmp_path], tmp_path / "whole")


def test_no_part_at_all_is_refused_by_name(tmp_path):
    with pytest.raises(MergeError, match="divisions found: none"):
        parts_in([tmp_path])


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "a/b", "1/0", "-1/4", "1/99999"])
def test_what_is_no_part_is_refused_by_name(text):
    with pytest.raises(ConfigError, match="shard"):
        Part.parse(text)


def test_a_part_computed_elsewhere_is_checked_against_this_machine(tmp_path):
    """Another processor rounds otherwise; other threads stand for it, and a changed state for a real difference."""
    measure_part(small_pass(), TASKS, Part(1, 2), executor=Serial(), store=tmp_path)
    same = check_part(small_pass(), TASKS, Part(1, 2), [tmp_path], Serial())
    assert (same.difference, same.shards) == (0.0, 3)
    assert "the same bytes" in str(same)
    measure_part(_Shaken(small_pass(), 1e-5), TASKS, Part(2, 2), executor=Serial(), store=tmp_path)
    other = check_part(small_pass(), TASKS, Part(2, 2), [tmp_path], Serial())
    assert 1e-6 < other.difference < 1e-4


OTHER_PROCESSOR = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}
"""Makes torch and its libraries compute as on a processor of twenty years ago."""


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, OTHER_PROCESSOR], ids=["the same processor", "another processor"])
def test_a_part_of_another_processor_agrees_to_rounding_and_it_is_said_which_held(tmp_path, environment):
    command = [sys.executable, passes.__file__, str(tmp_path), "1/2"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    found = check_part(portable_pass(), PORTABLE_TASKS, Part(1, 2), [tmp_path], Serial())
    assert found.shards == 2
    if not environment:
        assert found.difference == 0
        assert str(found).endswith("the same bytes")
        return
    if found.difference == 0:
        pytest.skip("this processor computes the same bytes under the environment of another")
    assert found.difference < 1e-6
    assert "equal to " in str(found)


class _Shaken(Logged):
    """The same pass with values that are off by a little."""

    def batches(self, shard):
        for joint in self.inner.batches(shard):
            yield {name: batch.with_values(batch.values * (1 + self.log)) for name, batch in joint.items()}


def test_differences_are_relative_to_what_terms_that_cancel_could_add_up_to():
    """Third powers of a symmetric field: their sum is nothing but rounding, and its size no measure of it."""
    x = torch.randn(500, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sources = [Ensemble.of((torch.cat([x, -x]) + 1) * factor) for factor in (1, 1 + 1e-6)]
    monoid = Cumulants().monoid
    ours, theirs = (accumulate(monoid, source, size=100) for source in sources)
    third = (ours["third"] - theirs["third"]).abs().max()
    assert float(third / theirs["third"].abs().max()) > 1e-2
    assert float(third / monoid.scale(theirs, "third")) < 1e-12
    assert 3.9e-6 < _gap(monoid, ours, theirs) < 4.1e-6  # four times that of the field: the fourth powers
    for values in ([0.0, 0, 0, 1], [-1.0, -1, 1, 1], [0.0, 3, 1, -2]):
        state = accumulate(monoid, Ensemble.of(torch.tensor(values)[:, None]))
        assert float(state["third"].abs().max()) <= float(monoid.scale(state, "third"))


def test_what_has_another_shape_or_is_counted_otherwise_is_no_agreement():
    monoid, count = Cumulants().monoid, torch.arange(3)
    assert _gap(monoid, {"a": count}, {"a": count}) == 0
    assert _gap(monoid, {"a": count}, {"a": count + 1}) == float("inf")
    assert _gap(monoid, {"a": count}, {"a": count[:0]}) == float("inf")
