"""One pass over the data: shared work, aligned fields, progress, groups."""

import gc
import weakref

import pytest
import torch
from passes import TASKS, Wrapped, plain, small_pass

from blockspin import Ensemble
from blockspin.engine.base import ROWS, Pass, Shard, Task, _put_together, states_of_shard
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.errors import AlignmentError, ConfigError, DuplicateNameError, ShapeError
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.cka import Cka
from blockspin.observables.covariance import Covariance, Moments
from blockspin.observables.participation_ratio import ParticipationRatio


def run(reading, tasks=TASKS, progress=None):
    generator = torch.Generator().manual_seed(0)
    return measure(reading, tasks, executor=Serial(), store=None, generator=generator, progress=progress)


def ensemble(samples=60, seed=0):
    return Ensemble.of(torch.randn(samples, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def test_equal_work_is_done_once():
    tasks = [Task(Covariance(), ("x",)), Task(ParticipationRatio(), ("x",)), Task(Covariance(), ("y",))]
    works = run(small_pass(), tasks).works
    assert [work for work in works if work[0] == Moments()] == [(Moments(), ("x",)), (Moments(), ("y",))]


def test_measured_equals_evaluated_in_memory():
    field = ensemble()
    task = Task(Covariance(), ("x",))
    found = run(EnsemblePass.of({"x": field}, groups=4, batch=7, shards_per_group=2), [task])
    expected = evaluate(Covariance(), field)
    for key, measurement in found.measurements()[("x",)].items():
        value = torch.tensor(measurement.value, dtype=torch.float64)
        torch.testing.assert_close(value, expected[key.partition("/")[2]], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.state(task), accumulate(Moments(), field), rtol=1e-12, atol=1e-12)


def test_asking_twice_gives_the_same_numbers():
    measured = run(small_pass())
    assert plain(measured) == plain(measured)


def test_progress_counts_samples_up_to_all():
    calls = []
    run(small_pass(), progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (0, 400)
    assert calls[-1] == (400, 400)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_groups_hold_all_samples_and_keep_units_together():
    field = Ensemble.of(torch.rand(60, 2, generator=torch.Generator().manual_seed(0)), units=torch.arange(60) // 5)
    reading = EnsemblePass.of({"x": field}, groups=4)
    groups = [set(b["x"].units.tolist()) for shard in reading.shards() for b in reading.batches(shard)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 12


def test_a_chain_is_cut_into_stretches():
    chain = Ensemble.of(torch.rand(60, 2, generator=torch.Generator().manual_seed(0)), chain=True)
    reading = EnsemblePass.of({"x": chain}, groups=4)
    groups = [b["x"].units.tolist() for shard in reading.shards() for b in reading.batches(shard)]
    assert groups == [list(range(15 * g, 15 * g + 15)) for g in range(4)]


def test_fields_are_aligned_by_id():
    field = ensemble()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    shuffled = field.with_values(field.values * 2).select(order)
    tasks = [Task(Cka(), ("x", "y"))]
    found = run(EnsemblePass.of({"x": field, "y": shuffled}, groups=2), tasks).measurements()
    assert found[("x", "y")]["cka/similarity"].value == pytest.approx(1, abs=1e-12)


def test_other_inputs_are_refused_by_name():
    with pytest.raises(AlignmentError, match="share 0 ids"):
        EnsemblePass.of({"x": ensemble(), "y": ensemble(seed=1)})


def test_other_units_are_refused_by_name():
    field = ensemble()
    other = Ensemble.of(field.values, units=torch.arange(60) // 2)
    with pytest.raises(AlignmentError, match="units"):
        EnsemblePass.of({"x": field, "y": other})


@pytest.mark.parametrize("field", ["groups", "batch", "shards_per_group"])
def test_numbers_below_one_are_refused_by_name(field):
    with pytest.raises(ConfigError, match=field):
        EnsemblePass.of({"x": ensemble()}, **{field: 0})


def test_a_pair_observable_on_one_field_is_refused_by_name():
    with pytest.raises(ShapeError, match="reads 2"):
        run(small_pass(), [Task(Cka(), ("x",))])


def test_the_same_observable_twice_is_refused_by_name():
    with pytest.raises(DuplicateNameError, match="twice"):
        run(small_pass(), [Task(Cka(limit=10), ("x", "y")), Task(Cka(limit=20), ("x", "y"))])


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    run(small_pass())
    assert torch.get_num_threads() == before


def test_the_global_random_state_is_untouched():
    before = torch.get_rng_state()
    run(small_pass()).measurements()
    assert torch.equal(torch.get_rng_state(), before)


class Watched(Wrapped):
    """Counts, in every group but the first, the numbers that live tensors hold after its first batch."""

    def batches(self, shard):
        for i, joint in enumerate(self.inner.batches(shard)):
            yield joint
            if i == 0 and shard.group:
                held.append(sum(t.numel() for t in gc.get_objects() if type(t) is torch.Tensor))


held: list[int] = []


def test_memory_is_flat_in_the_number_of_batches():
    """Between the second group and the fifth lie 2,400 samples of 24 numbers; three groups' states are far fewer."""
    tasks = [Task(Covariance(), ("x",)), Task(Cka(limit=50), ("x", "y"))]
    generator = torch.Generator().manual_seed(0)
    held.clear()
    reading = Watched(small_pass(4000, shards_per_group=1))
    measure(reading, tasks, executor=Serial(), store=None, generator=generator)
    assert len(held) == 4
    assert held[-1] - held[0] < 2400 * 24 / 4


def test_small_batches_are_put_together_whole_and_in_order():
    field = ensemble(samples=700)
    joints = [{"x": field.batch.select(rows)} for rows in torch.arange(700).split(30)]
    found = [joint["x"] for joint in _put_together(iter(joints))]
    assert all(ROWS <= len(batch) < ROWS + 30 for batch in found[:-1])
    assert torch.equal(torch.cat([batch.ids for batch in found]), field.ids)
    assert torch.equal(torch.cat([batch.values for batch in found]), field.values)
    assert list(_put_together(iter([]))) == []


def test_a_batch_that_is_large_enough_is_passed_on_as_it_is_and_in_order():
    """No copy of it is made, and what was small and came before it goes before it."""
    field = ensemble(samples=900)
    sizes = (30, ROWS, 40, ROWS + 1, 900 - 71 - 2 * ROWS)
    joints = [{"x": batch} for batch in _cut(field.batch, sizes)]
    found = [joint["x"] for joint in _put_together(iter(joints))]
    assert [found.index(joint["x"]) for joint in joints if len(joint["x"]) >= ROWS] == [1, 3, 4]
    assert torch.equal(torch.cat([batch.ids for batch in found]), field.ids)


def _cut(batch, sizes):
    return [batch.select(rows) for rows in torch.arange(len(batch)).split(list(sizes))]


def test_what_was_added_up_is_let_go_before_the_next_batch_is_read():
    """While a batch is read, the one before it is not in memory any more, nor parts that were put together."""
    alive, most = weakref.WeakSet(), []

    class Watched(Pass):
        groups, fingerprint = 1, "watched"

        def shards(self):
            return [Shard(0, 0, 4 * ROWS)]

        def batches(self, shard):
            for _ in range(8):
                most.append(sum(map(len, alive)))
                yield {"x": made()}

    def made():
        batch = Ensemble.of(torch.randn(ROWS // 2, 3)).batch
        alive.add(batch.values)
        return batch

    states_of_shard(Watched(), [(Covariance().monoid, ("x",))], Shard(0, 0, 4 * ROWS))
    assert most == [0, ROWS // 2] * 4
