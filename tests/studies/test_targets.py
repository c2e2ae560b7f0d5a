"""The targets that the studies try do what they say."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from lgad_lightning import LaneTeacher
from lgad_lightning.attention import attention_map, resize_attention
from lgad_lightning.networks import ERFNet
from studies.targets import (
    CorrelatedLGAD,
    DeepSupervision,
    FloorlessLGAD,
    HandoverLGAD,
    MixedLGAD,
    MixedRegionalLGAD,
    RegionalControl,
    RegionalLGAD,
)
from studies.teachers import ImageTeacher

SIZE = (32, 64)


def label() -> torch.Tensor:
    made = torch.zeros(2, *SIZE, dtype=torch.long)
    made[:, 4:28, 8:18], made[:, 4:28, 40:50] = 1, 2
    return made


def teacher() -> LaneTeacher:
    return LaneTeacher(ERFNet(num_classes=3, in_channels=3, input_size=SIZE, channels=(4, 8, 12)))


def test_correlation_does_not_see_a_floor() -> None:
    callback = CorrelatedLGAD(teacher(), power=1.0)
    maps = torch.rand(2, 1, 4, 8)
    assert callback.compute_loss([maps], [3 * maps + 1]).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_mixture_goes_from_the_teacher_to_the_label(power: float) -> None:
    features, lanes = torch.rand(2, 3, 8, 16), (label() > 0).float()

    def cosine(alpha: float, other: torch.Tensor) -> float:
        mixed = MixedLGAD(teacher(), power=power, alpha=alpha)._mixed(features, lanes)[:, 0].pow(power)
        return float(torch.cosine_similarity(mixed.flatten(1), other.flatten(1)).mean())

    attention, drawn = attention_map(features, power), resize_attention(lanes, (8, 16))
    assert cosine(0.0, attention) == pytest.approx(1, abs=1e-5)
    assert cosine(1.0, drawn) == pytest.approx(1, abs=1e-5)
    assert cosine(0.5, attention) < cosine(0.2, attention) < 1


def test_a_handover_begins_with_the_teacher_and_ends_with_the_label() -> None:
    shares: list[float] = []

    class Recorded(HandoverLGAD):
        def _mixed(self, features: torch.Tensor, lanes: torch.Tensor) -> torch.Tensor:
            shares.append(self.alpha)
            return super()._mixed(features, lanes)

    fit(Recorded(teacher(), ["network.encoder.stage3"]), steps=4)
    assert shares[-4:] == [0, 0.25, 0.5, 0.75]


def test_maps_without_a_floor_do_not_see_it() -> None:
    maps = torch.rand(2, 1, 4, 8)
    raised = FloorlessLGAD(teacher(), power=1.0).compute_loss([maps], [maps + 1]).item()
    assert raised == pytest.approx(0, abs=1e-6)


def test_the_regional_forms_see_which_lane_is_which() -> None:
    batch = {"image": torch.zeros(2, 3, *SIZE), "label": label()}
    lanes = torch.nn.functional.one_hot(label(), 3).permute(0, 3, 1, 2).float()
    alike = lanes[:, :1], lanes[:, 1:].sum(1, keepdim=True)  # both lanes have the same features
    same_attention = torch.cat([*alike, torch.zeros_like(alike[0])], dim=1)
    guided, control = RegionalLGAD(teacher(), affinity=1.0), RegionalControl(affinity=1.0)
    mixed = MixedRegionalLGAD(teacher(), affinity=1.0)
    for callback in (guided, control, mixed):
        callback.teacher_inputs(batch)
        apart, together = (callback.compute_loss([features], [lanes]).item() for features in (lanes, same_attention))
        assert apart == pytest.approx(0, abs=1e-6)
        assert together > 0.05
        callback.affinity = 0.0
        assert callback.compute_loss([same_attention], [lanes]).item() == pytest.approx(0, abs=1e-6)
    for callback in (control, mixed):
        callback.affinity = 1.0
        assert callback.compute_loss([lanes], [same_attention]).item() < 1e-6  # the target is the label


def test_deep_supervision_trains_its_heads_and_the_stages() -> None:
    torch.manual_seed(0)
    losses: list[float] = []

    class Recorded(DeepSupervision):
        def compute_loss(
            self, student_features: list[torch.Tensor], teacher_features: list[torch.Tensor]
        ) -> torch.Tensor:
            loss = super().compute_loss(student_features, teacher_features)
            losses.append(float(loss.detach()))
            return loss

    callback = Recorded(["network.encoder.stage*"], weight=0.1, num_classes=3)
    fit(callback, steps=32)
    assert sum(losses[-8:]) < sum(losses[:8])
    assert len(list(callback.trainable.children())) == 3


def fit(callback: L.Callback, steps: int) -> None:
    student = ImageTeacher(ERFNet(num_classes=3, input_size=SIZE, channels=(4, 8, 12)))
    batch = {"image": torch.rand(2, 3, *SIZE), "label": label(), "existence": torch.ones(2, 2), "name": ["a", "b"]}
    trainer = L.Trainer(
        max_steps=steps,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        accelerator="cpu",
    )
    trainer.fit(student, DataLoader([batch] * steps, batch_size=None))
