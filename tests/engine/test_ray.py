"""Actors of Ray: the same bytes as serial, what happens when one dies, and a driver whose memory stays flat."""

import os

import pytest
import torch
from capture.tangents import arrays, network, over
from passes import TASKS, Failing, Killing, Logged, plain, small_pass

from blockspin import Ensemble
from blockspin.capture.tangent import Coordinate
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.engine.ray import Ray
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, MissingDependencyError, NonFiniteError, WorkerLostError
from blockspin.observables.covariance import Covariance
from blockspin.spectra.tangent_kernel import product

HERE = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
"""Where actors find the passes of the tests, and the blockspin that is tested."""


def run(reading, executor, store=None):
    return measure(reading, TASKS, executor=executor, store=store, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def cluster():
    """One Ray for all tests here, of many small actors more than there are processors: starting it takes seconds."""
    ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    variables = {"PYTHONPATH": HERE, "OMP_NUM_THREADS": "1"}
    ray.init(
        num_cpus=4,
        num_gpus=1,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": variables},
    )
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def expected():
    return plain(run(small_pass(), Serial()))


pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning")]


def test_two_actors_give_the_same_bytes_as_serial(cluster, expected):
    assert plain(run(small_pass(), Ray(workers=2))) == expected
    assert cluster.is_initialized()  # what was running is left running


def test_products_with_the_tangent_kernel_have_the_same_bytes_as_serial(cluster):
    reading = over(network(), arrays(40), Coordinate())
    vector = torch.linspace(-1, 1, 40, dtype=torch.float64)
    assert torch.equal(product(reading, vector, executor=Ray(workers=2)), product(reading, vector))


def test_actors_share_a_gpu_by_fractions(cluster, expected):
    """One declared GPU, no real one: what is tested is that Ray is asked for half of it, twice."""
    assert plain(run(small_pass(), Ray(workers=2, gpus=0.5))) == expected


def test_more_gpus_than_there_are_is_refused_by_name(cluster):
    with pytest.raises(ConfigError, match="at most 1 GPUs together"):
        run(small_pass(), Ray(workers=2, gpus=1.0))


def test_a_killed_actor_costs_its_shard_only(cluster, tmp_path, expected):
    (tmp_path / "bullets").mkdir()
    (tmp_path / "bullets" / "0").touch()
    log = tmp_path / "log"
    reading = Logged(Killing(small_pass(), "0001.000002", tmp_path / "bullets"), log)
    assert plain(run(reading, Ray(workers=1), tmp_path / "states")) == expected
    begun = log.read_text().split()
    assert sorted(begun) == sorted([*(shard.key for shard in reading.shards()), "0001.000002"])


def test_a_shard_that_kills_three_actors_ends_the_pass(cluster, tmp_path):
    (tmp_path / "bullets").mkdir()
    for i in range(3):
        (tmp_path / "bullets" / str(i)).touch()
    with pytest.raises(WorkerLostError, match=r"3 times on shard 0001\.000002"):
        run(Killing(small_pass(), "0001.000002", tmp_path / "bullets"), Ray(workers=2), tmp_path / "states")


def test_an_error_in_an_actor_comes_back_by_name(cluster):
    with pytest.raises(NonFiniteError, match="layer 3") as caught:
        run(Failing(small_pass(), "0000.000001"), Ray(workers=1))
    assert caught.value.remedy == "Remove it."


def test_the_drivers_memory_does_not_grow_with_the_number_of_shards(cluster):
    """Four small actors; ten times the shards, the same few states of 0.3 MB in flight (all together: 100 MB)."""
    field = torch.randn(2000, 200, generator=torch.Generator().manual_seed(0))
    reading = EnsemblePass.of({"x": Ensemble.of(field)}, groups=5, shards_per_group=80)
    works, shards = [(Covariance().monoid, ("x",))], reading.shards()
    for _ in Ray(workers=4).run(reading, works, shards[:40]):
        pass
    before = _resident()
    for _ in Ray(workers=4).run(reading, works, shards):
        pass
    assert len(shards) == 400
    assert _resident() - before < 16 * 2**20


def test_without_ray_it_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("blockspin.engine.ray.import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"blockspin\[ray\]"):
        run(small_pass(), Ray())


def _resident():
    """Bytes of this process's own memory."""
    with open("/proc/self/statm") as file:
        resident, shared = map(int, file.read().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")  # without the store that Ray maps
