"""Products with the tangent kernel: those of the dense Jacobian, whoever carries them out, however often cut short."""

from dataclasses import dataclass

import pytest
import torch
from capture.tangents import DOUBLE, arrays, dense, network, over

from blockspin.capture.tangent import Coordinate
from blockspin.capture.tangent_product import PullBack
from blockspin.engine.base import Executor
from blockspin.engine.process import Process
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, NonFiniteError, ShapeError
from blockspin.spectra.tangent_kernel import leading_eigenvalues, product, pull_back, push_forward


@dataclass(frozen=True)
class Counting(Executor):
    """Carries out so many shards in all, then breaks off."""

    done: list
    most: int = 10**6

    def run(self, reading, works, shards):
        for item in Serial().run(reading, works, shards):
            if len(self.done) == self.most:
                raise KeyboardInterrupt
            self.done.append(item[0])
            yield item


def random(count, seed=1):
    return torch.randn(count, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def test_products_and_eigenvalues_are_those_of_the_dense_jacobian():
    reading = over(network(), arrays(), Coordinate(1))
    J, v = dense(reading), random(20)
    u = random(J.shape[1])
    torch.testing.assert_close(pull_back(reading, v), J.T @ v, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(push_forward(reading, u), J @ u, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(product(reading, v), J @ (J.T @ v), rtol=1e-5, atol=1e-5)
    found = leading_eigenvalues(reading, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, torch.linalg.eigvalsh(J @ J.T).flip(0)[:5], rtol=0, atol=1e-5 * float(found[0]))


def test_without_forward_derivatives_gradients_are_taken_one_by_one(monkeypatch):
    reading = over(network(), arrays(6), Coordinate())
    expected = product(reading, torch.ones(6, dtype=DOUBLE))

    def missing(*args):
        raise NotImplementedError

    monkeypatch.setattr(torch.func, "jvp", missing)
    torch.testing.assert_close(product(reading, torch.ones(6, dtype=DOUBLE)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_executors_give_the_same_bytes(tmp_path):
    reading, v = over(network(), arrays(40), Coordinate()), random(40)
    expected = product(reading, v)
    assert torch.equal(product(reading, v, executor=Process(workers=2)), expected)
    assert torch.equal(product(reading, v, store=tmp_path), expected)


@pytest.mark.slow
def test_what_was_cut_short_goes_on_with_the_same_bytes(tmp_path):
    reading, done = over(network(), arrays(40), Coordinate()), []
    start = torch.Generator().manual_seed
    expected = leading_eigenvalues(reading, 2, generator=start(0), executor=Counting(done))
    total, again = len(done), []
    with pytest.raises(KeyboardInterrupt):
        leading_eigenvalues(reading, 2, generator=start(0), executor=Counting(again, total // 2), store=tmp_path)
    found = leading_eigenvalues(reading, 2, generator=start(0), executor=Counting(again), store=tmp_path)
    assert torch.equal(found, expected)
    assert len(again) == total  # no shard of any product twice


def test_one_vector_is_kept_whatever_the_number_of_groups():
    reading = over(network(), arrays(40), Coordinate())
    task = PullBack(reading, random(40))
    assert task.groups == 1 < reading.groups
    assert sum(shard.samples for shard in task.shards()) == 40
    assert len({task.fingerprint, PullBack(reading, random(40, 2)).fingerprint}) == 2


def test_what_is_not_a_number_is_refused_by_name():
    contents = arrays(8)
    contents[3] = contents[3] * float("nan")
    reading = over(network(), contents, Coordinate())
    bad = int(reading.reading.sample.ids[[bool(r.content[0] != r.content[0]) for r in reading.reading.sample.records]])
    with pytest.raises(NonFiniteError, match=f"the gradient holds NaN.*id {bad}"):
        pull_back(reading, torch.ones(8, dtype=DOUBLE))
    with pytest.raises(NonFiniteError, match=f"product with the gradient holds NaN.*id {bad}"):
        push_forward(reading, torch.ones(83, dtype=DOUBLE))
    sound = over(network(), arrays(8), Coordinate())
    with pytest.raises(NonFiniteError, match="the vector that is multiplied holds NaN or infinity at sample 2"):
        product(sound, torch.tensor([1.0, 1, float("inf"), 1, 1, 1, 1, 1]))
    with pytest.raises(NonFiniteError, match="the sum of gradients"):
        product(sound, torch.full((8,), 1e300, dtype=DOUBLE))  # beyond the network's precision


def test_what_does_not_fit_is_refused_by_name():
    reading = over(network(), arrays(), Coordinate())
    with pytest.raises(ShapeError):
        product(reading, torch.ones(3))
    with pytest.raises(ShapeError):
        push_forward(reading, torch.ones(3))
    with pytest.raises(ConfigError):
        leading_eigenvalues(reading, 20, generator=torch.Generator())
