from dataclasses import dataclass, replace

import pytest
import torch
from capture.networks import WORDS, Letters, passages, plain, sample_of, transformer
from torch import nn

from blockspin import Unordered
from blockspin.capture.base import Layout
from blockspin.capture.hooks import capture
from blockspin.capture.reading import HEAVY, ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.engine.base import Task
from blockspin.engine.measure import measure
from blockspin.errors import NonFiniteError, PooledEditError
from blockspin.registry import member
from blockspin.representations.base import Representation, joined
from blockspin.sources.base import draw_records
from blockspin.sources.given_module import GivenModule

LAYERS = ("encoder.layer.0.attention.output", "encoder.layer.0", "encoder.layer.2")


def reading(representation: str = "pooled", count: int = 60, **options) -> ActivationPass:
    recipe = NetworkRecipe(GivenModule(transformer("bert"), Letters()), "text", 32)
    made = member("representations", representation)()
    return ActivationPass(recipe, sample_of(passages(count)), LAYERS, made, group_count=4, **options)


def everything(reading: ActivationPass, layer: str) -> dict[int, torch.Tensor]:
    rows = {}
    for shard in reading.shards():
        for joint in reading.batches(shard):
            rows.update(zip(joint[layer].ids.tolist(), joint[layer].values, strict=True))
    return rows


@pytest.mark.parametrize("representation", ["pooled", "tokens"])
def test_another_batch_size_changes_results_by_rounding_alone(representation):
    one, two = (everything(reading(representation, batch_size=b), LAYERS[2]) for b in (3, 32))
    assert one.keys() == two.keys()
    scale = max(float(x.abs().max()) for x in one.values())
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5 * scale


def test_every_record_is_read_once_and_layers_are_aligned():
    whole = reading(shard_size=7)
    seen = []
    for shard in whole.shards():
        for joint in whole.batches(shard):
            assert all(torch.equal(batch.ids, joint[LAYERS[0]].ids) for batch in joint.values())
            seen += joint[LAYERS[0]].ids.tolist()
    assert sorted(seen) == sorted(whole.sample.ids.tolist())


def test_long_records_come_fewer_to_a_batch():
    """A batch of several records costs little more than one of average records, padding and all; none is left out."""
    contents = [*passages(60), *(" ".join(["king"] * 28 + [word]) for word in WORDS)]
    recipe = NetworkRecipe(GivenModule(transformer("bert"), Letters()), "text", 32)
    chosen = member("representations", "tokens")()
    whole = ActivationPass(recipe, sample_of(contents), LAYERS, chosen, batch_size=8, group_count=2)
    cost = torch.tensor([whole.network.encoder.cost(record.content) for record in whole.sample.records])
    sizes = []
    for shard in whole.shards():
        batches = whole.rows(shard)
        everyone = torch.cat(list(batches))
        sizes += [(len(rows), len(rows) * int(cost[rows].max())) for rows in batches]
        assert sizes[-1][1] <= HEAVY * 8 * float(cost[everyone].double().mean())
        assert len(everyone.unique()) == shard.samples
    assert max(size for size, _ in sizes) == 8
    assert min(size for size, _ in sizes[:-1]) < 8


def test_padding_special_tokens_and_the_first_position_are_never_counted():
    """The tokens of a passage are its words: start and end tokens and the padding are left out."""
    whole = reading("tokens")
    words = sum(len(record.content.split()) for record in whole.sample.records)
    assert len(everything(whole, LAYERS[0])) == words


def test_pooling_is_the_mean_over_the_words_of_the_passage_alone():
    whole = reading()
    pooled = everything(whole, LAYERS[1])
    record, key = whole.sample.records[5], int(whole.sample.ids[5])
    inputs, _ = whole.network.run([record.content])
    alone = capture(whole.network, inputs, [LAYERS[1]])[LAYERS[1]][0, 1:-1].mean(0)
    assert torch.allclose(pooled[key][:, 0], alone, atol=1e-5)


def test_a_window_is_a_stretch_of_neighbouring_positions():
    recipe = NetworkRecipe(GivenModule(transformer("bert"), Letters()), "text", 32)
    windows = member("representations", "windows")(length=4)
    whole = ActivationPass(recipe, sample_of(passages(30)), LAYERS[:1], windows, group_count=2)
    count = sum(len(record.content.split()) // 4 for record in whole.sample.records)
    values = everything(whole, LAYERS[0])
    assert len(values) == count
    assert next(iter(values.values())).shape == (4, 16)


def test_an_activation_that_is_not_finite_names_layer_and_record():
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU()).eval()
    contents = [torch.randn(3, generator=torch.Generator().manual_seed(i)).numpy() for i in range(20)]
    contents[7] = contents[7] * float("nan")
    recipe = NetworkRecipe(GivenModule(module), "array")
    whole = ActivationPass(recipe, sample_of(contents), ("0",), member("representations", "pooled")(), group_count=2)
    with pytest.raises(NonFiniteError, match=r"layer '0', read from record 7"):
        everything(whole, "0")


def measured(reading, executor, store=None):
    tasks = [Task(member("observables", "covariance")(), (layer,)) for layer in LAYERS]
    found = measure(reading, tasks, executor=executor, store=store, generator=torch.Generator().manual_seed(0))
    return {names: {k: (m.value, m.error) for k, m in row.items()} for names, row in found.measurements().items()}


@pytest.mark.slow
def test_one_and_two_workers_give_the_same_bytes_as_none(tmp_path):
    whole = reading(count=40)
    serial = measured(whole, member("engine", "serial")())
    two = measured(whole, member("engine", "process")(workers=2), tmp_path / "two")
    assert repr(serial) == repr(two)


def test_a_pass_that_was_cut_short_goes_on_to_the_same_bytes(tmp_path):
    whole = reading(count=40)

    class Stops(ActivationPass):
        def batches(self, shard):
            if shard.group == 2:
                raise KeyboardInterrupt
            return ActivationPass.batches(self, shard)

    cut = Stops(**{key: getattr(whole, key) for key in whole.__dataclass_fields__})
    with pytest.raises(KeyboardInterrupt):
        measured(cut, member("engine", "serial")(), tmp_path)
    assert repr(measured(whole, member("engine", "serial")(), tmp_path)) == repr(
        measured(whole, member("engine", "serial")())
    )


def test_the_fingerprint_tells_weights_records_and_reading_apart():
    first = reading()
    others = [
        replace(first, batch_size=5),
        replace(first, layers=LAYERS[:1]),
        replace(first, recipe=replace(first.recipe, untrained_seed=1)),
        reading(count=59),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert reading().fingerprint == first.fingerprint


def test_the_estimate_counts_the_parameters_and_what_is_kept():
    whole = reading(count=40)
    estimate = whole.estimate()
    assert estimate.parameter_bytes == sum(4 * p.numel() for p in whole.network.module.parameters())
    assert estimate.batch_bytes == 16 * len(LAYERS) * 16 * 4
    assert estimate.seconds > 0


def test_plain_networks_read_arrays():
    network = plain(nn.Sequential(nn.Linear(3, 3)).eval())
    inputs, layout = network.run([torch.ones(3).numpy()] * 4)
    assert inputs["x"].shape == (4, 3)
    assert layout.mask.shape == (4, 1)


def test_a_tokenizer_that_pads_on_the_left_is_not_used_as_it_is():
    class Left(Letters):
        padding_side = "left"

    given = Left()
    recipe = NetworkRecipe(GivenModule(transformer("gpt2"), given), "text", 32)
    assert recipe.open().encoder.tokenizer.padding_side == "right"
    assert given.padding_side == "left"


def test_half_precision_is_pooled_in_single():
    """A mean of 300 numbers near 1 in bfloat16, whose neighbours are 1/128 apart, would otherwise be off by as much."""
    values = torch.linspace(1, 1.5, 300).to(torch.bfloat16)
    layout = Layout.of(torch.ones(1, 300, dtype=torch.bool))
    pooled = member("representations", "pooled")()
    batch = pooled.read(values[None, :, None], layout, torch.zeros(1), torch.zeros(1))
    assert abs(float(batch.values) - float(values.double().mean())) < 1e-6


def test_the_fingerprint_tells_architectures_of_equal_weights_apart():
    linear = nn.Linear(3, 3)
    passes = [
        ActivationPass(
            NetworkRecipe(GivenModule(nn.Sequential(linear, act).eval()), "array"),
            sample_of([torch.ones(3).numpy()] * 4),
            ("1",),
            member("representations", "pooled")(),
        )
        for act in (nn.ReLU(), nn.Tanh())
    ]
    assert passes[0].fingerprint != passes[1].fingerprint


def test_ensembles_are_over_the_same_inputs_and_know_the_way_back():
    whole = reading("tokens", count=20)
    ensembles = whole.ensembles()
    assert tuple(ensembles) == LAYERS
    first, last = (ensembles[LAYERS[i]] for i in (0, 2))
    assert torch.equal(first.ids, last.ids)
    assert last.origin.layer == LAYERS[2]
    assert last.origin.run(whole.sample.ids[:2], lambda values, layout: values).last_hidden_state.shape[0] == 2
    with pytest.raises(PooledEditError):
        reading(count=8).ensembles()[LAYERS[0]].origin.run([0], lambda values, layout: values)


@pytest.mark.parametrize(
    "options", [("pooled", {}), ("tokens", {}), ("windows", {"length": 4}), ("position", {"at": 1})]
)
def test_what_is_read_inside_the_network_is_what_is_read_off_copies(options):
    name, given = options
    whole = replace(reading(), representation=member("representations", name)(**given))
    rows = torch.arange(9)
    found = whole.read(rows)
    inputs, layout = whole.network.run([whole.sample.records[i].content for i in rows.tolist()])
    for layer, activation in capture(whole.network, inputs, LAYERS).items():
        one = whole.representation.read(activation, layout, whole.sample.ids[rows], whole.sample.units[rows])
        for key in ("values", "ids", "units", "weights"):
            assert torch.equal(getattr(found[layer], key), getattr(one, key))


def test_what_is_read_is_not_changed_by_a_later_module_that_works_in_place():
    @dataclass(frozen=True)
    class View(Representation):
        name, source, invertible = "view", "", True

        def read(self, activation, layout, ids, units):
            return joined(activation[:, 0, :, None], ids, units)

        def geometry(self, field):
            return Unordered(field.shape[1])

    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)).eval()
    data = member("sources", "given-records")(tuple(torch.randn(8, 3).numpy()), "array")
    recipe = NetworkRecipe(GivenModule(module), "array")
    whole = ActivationPass(recipe, draw_records(data, 8), ("0", "1"), View())
    joint = whole.read(torch.arange(8))
    assert float(joint["0"].values.min()) < 0
    assert torch.equal(joint["0"].values.clamp(min=0), joint["1"].values)


def test_a_sum_that_overflows_is_no_activation_that_does():
    module = nn.Sequential(nn.Identity(), nn.Linear(1, 1))
    data = member("sources", "given-records")(tuple(torch.full((8, 1), 3e38).numpy()), "array")
    whole = ActivationPass(
        NetworkRecipe(GivenModule(module.eval()), "array"),
        draw_records(data, 8),
        ("0",),
        member("representations", "tokens")(),
    )
    assert float(whole.read(torch.arange(8))["0"].values.max()) == pytest.approx(3e38)
