import pytest
import torch

from lgad_lightning.data.sampler import EpochSampler, SampleKey


def order(epoch: int, seed: int = 0, **options: int) -> list[int]:
    sampler = EpochSampler(torch.arange(20), seed=seed, **options)
    sampler.set_epoch(epoch)
    return [key.sample for key in sampler]


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert order(3) == order(3) != order(4)
    assert order(3) != order(3, seed=1)
    assert sorted(order(3)) == list(range(20))


def test_keys_carry_the_epoch() -> None:
    sampler = EpochSampler(torch.arange(2), shuffle=False)
    sampler.set_epoch(5)
    assert list(sampler) == [SampleKey(0, 5), SampleKey(1, 5)]


def test_what_an_interrupted_epoch_has_seen_is_left_out() -> None:
    sampler = EpochSampler(torch.arange(20), num_replicas=2, rank=1)
    sampler.set_epoch(3)
    sampler.seen = lambda: 4
    assert [key.sample for key in sampler] == order(3, num_replicas=2, rank=1)[4:]
    assert len(sampler) == 10


@pytest.mark.parametrize("replicas", [2, 3, 7])
def test_training_shares_are_equal_and_disjoint(replicas: int) -> None:
    shares = [order(1, num_replicas=replicas, rank=rank) for rank in range(replicas)]
    assert {len(share) for share in shares} == {20 // replicas}
    assert len({sample for share in shares for sample in share}) == 20 // replicas * replicas


@pytest.mark.parametrize("replicas", [2, 3, 7])
def test_evaluation_sees_every_sample_once(replicas: int) -> None:
    samplers = [EpochSampler(torch.arange(20), 0, False, replicas, rank) for rank in range(replicas)]
    assert sorted(key.sample for sampler in samplers for key in sampler) == list(range(20))
    assert sum(map(len, samplers)) == 20
