"""The teachers that the studies try do what they say."""

from copy import deepcopy

import pytest
import torch

from lgad_lightning import LaneTeacher
from lgad_lightning.networks import ERFNet
from studies.teachers import (
    HalfSizeTeacher,
    ImageTeacher,
    RestoringTeacher,
    SeeingLGAD,
    SeeingLGADWithLogits,
    SeeingTeacher,
    halved,
)

SIZE = (32, 64)


def label() -> torch.Tensor:
    made = torch.zeros(2, *SIZE, dtype=torch.long)
    made[:, 4:28, 8:18], made[:, 4:28, 40:50] = 1, 2
    return made


def batch() -> dict[str, torch.Tensor | list[str]]:
    return {"image": torch.rand(2, 3, *SIZE), "label": label(), "existence": torch.ones(2, 2), "name": ["a", "b"]}


def network(in_channels: int, size: tuple[int, int] = SIZE) -> ERFNet:
    return ERFNet(num_classes=3, in_channels=in_channels, input_size=size, channels=(8, 12, 16))


def test_a_restoring_teacher_hides_in_training_alone() -> None:
    module, made = RestoringTeacher(network(3)), batch()
    shown = module.train().network_input(made)  # type: ignore[arg-type]
    assert shown[:, 1:].sum() < (label() > 0).sum()
    assert torch.equal(shown.sum(1), torch.ones(2, *SIZE))
    made["label"][:, :4] = 255  # nothing is known there: no class at all, as in evaluation
    assert module.network_input(made)[:, :, :4].sum() == 0  # type: ignore[arg-type]
    made = batch()
    assert module.eval().network_input(made)[:, 1:].sum() == (label() > 0).sum()  # type: ignore[arg-type]


def test_half_a_label_map_keeps_thin_lanes() -> None:
    thin = torch.zeros(1, 4, 6, dtype=torch.long)
    thin[0, :, 3] = 2
    thin[0, 0, 0] = 255
    assert halved(thin).tolist() == [[[255, 2, 0], [0, 2, 0]]]


@pytest.mark.parametrize(
    ("teacher", "inputs", "size"),
    [
        (lambda: HalfSizeTeacher(network(3, (16, 32))), ["label"], (16, 32)),
        (lambda: ImageTeacher(network(3)), ["image"], SIZE),
        (lambda: SeeingTeacher(network(4)), ["label", "image"], SIZE),
    ],
    ids=["half size", "image", "seeing"],
)
def test_a_teacher_trains_and_is_called_as_its_distillation_does(
    teacher: type[LaneTeacher], inputs: list[str], size: tuple[int, int]
) -> None:
    module, made = teacher(), batch()
    module.log_dict = lambda *_, **__: None  # type: ignore[method-assign]  # no trainer
    module.training_step(made, 0).backward()  # type: ignore[arg-type]
    assert any(parameter.grad is not None for parameter in module.parameters())
    assert deepcopy(module).eval()(*(made[name] for name in inputs)).logits.shape[-2:] == size


def test_a_seeing_teacher_draws_each_lane_anew_and_leaves_the_random_state() -> None:
    module = SeeingTeacher(network(4), noise=0.0)
    made, state = batch(), torch.get_rng_state()
    first, second = (module.network_input(made)[:, 3] for _ in range(2))  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), state)
    inside = label() == 1
    assert first[inside].unique().numel() == 2  # one value for each image
    assert not torch.equal(first[inside], second[inside])
    assert (first[label() == 0] == 0).all()


def test_a_seeing_teacher_is_given_label_and_image() -> None:
    made = batch()
    given = SeeingLGAD(SeeingTeacher(network(4))).teacher_inputs(made)
    assert torch.equal(given[0], made["label"])  # type: ignore[arg-type]
    assert torch.equal(given[1], made["image"])  # type: ignore[arg-type]


def test_logits_are_compared_channel_by_channel_beside_attention() -> None:
    callback = SeeingLGADWithLogits(SeeingTeacher(network(4)), logits=10.0)
    features, logits = torch.rand(2, 8, 4, 8), torch.randn(2, 3, *SIZE)
    raised = logits + torch.tensor([1.0, -2.0, 3.0])[:, None, None]  # the same places in each channel
    assert callback.compute_loss([2 * features, raised], [features, logits]).item() == pytest.approx(0, abs=1e-5)
    other_places = callback.compute_loss([features, logits.flip(3)], [features, logits]).item()
    other_attention = callback.compute_loss([features.flip(3), logits], [features, logits]).item()
    assert other_places > 0.01
    assert 0.001 < other_attention < 2
