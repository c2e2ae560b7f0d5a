import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lgad_lightning.losses import LaneLoss, existence_loss, segmentation_loss, soft_iou_loss
from lgad_lightning.networks import LaneOutput

K = 4


def batch(seed: int, classes: tuple[int, ...] = (0, 1, 2, 3, 255)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, K, 4, 5, generator=generator, requires_grad=True)
    return logits, torch.tensor(classes)[torch.randint(len(classes), (2, 4, 5), generator=generator)]


def pixels(logits: Tensor, label: Tensor) -> list[tuple[list[float], int]]:
    """Class probabilities and label of every pixel that is not ignored, for references written as plain loops."""
    found = []
    for b in range(label.shape[0]):
        for y in range(label.shape[1]):
            for x in range(label.shape[2]):
                if (k := int(label[b, y, x])) != 255:
                    exponentials = [math.exp(v) for v in logits[b, :, y, x].tolist()]
                    found.append(([e / sum(exponentials) for e in exponentials], k))
    return found


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), background=st.floats(0.0, 2.0))
def test_segmentation_is_the_weighted_mean(seed: int, background: float) -> None:
    logits, label = batch(seed)
    weights = [background if k == 0 else 1.0 for _, k in pixels(logits, label)]
    terms = [-math.log(p[k]) for p, k in pixels(logits, label)]
    expected = sum(w * t for w, t in zip(weights, terms, strict=True)) / sum(weights)
    assert segmentation_loss(logits, label, background).item() == pytest.approx(expected, rel=1e-5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), classes=st.sampled_from([(0, 1, 2, 3, 255), (0, 2), (1, 3, 255), (3,)]))
def test_soft_iou_is_the_mean_over_the_lane_classes_present(seed: int, classes: tuple[int, ...]) -> None:
    logits, label = batch(seed, classes)
    losses = []
    for lane in {*classes} - {0, 255}:
        intersection = sum(p[lane] for p, k in pixels(logits, label) if k == lane)
        predicted = sum(p[lane] for p, _ in pixels(logits, label))
        size = sum(k == lane for _, k in pixels(logits, label))
        losses.append(1 - intersection / (predicted + size - intersection))
    assert soft_iou_loss(logits, label).item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_existence_takes_logits() -> None:
    logits = torch.tensor([[3.0, -2.0]])
    expected = (math.log(1 + math.exp(-3.0)) + math.log(1 + math.exp(2.0))) / 2
    assert existence_loss(logits, torch.tensor([[1, 1]])).item() == pytest.approx(expected, rel=1e-6)
    assert existence_loss(torch.tensor([[40.0, -40.0]]), torch.tensor([[1, 0]])) < 1e-6


@pytest.mark.parametrize("loss", [segmentation_loss, soft_iou_loss])
def test_ignored_pixels_get_no_gradient(loss) -> None:
    logits, label = batch(0)
    loss(logits, label).backward()
    gradient = logits.grad.abs().sum(dim=1)
    assert gradient[label == 255].max() == 0
    assert gradient[label != 255].min() > 0


@pytest.mark.parametrize("background_weight", [0.0, 0.4])
@pytest.mark.parametrize("value", [0, 255])
def test_a_batch_without_lanes_is_finite(value: int, background_weight: float) -> None:
    logits = torch.randn(2, K, 4, 5, requires_grad=True)
    slots = torch.randn(2, K - 1, requires_grad=True)
    terms = LaneLoss(background_weight)(LaneOutput(logits, slots), torch.full((2, 4, 5), value), torch.zeros(2, K - 1))
    terms["loss"].backward()
    assert all(term.isfinite() for term in terms.values())
    assert terms["iou"] == 0
    assert logits.grad.isfinite().all()
    assert slots.grad.abs().min() > 0
    assert (logits.grad.abs().max() > 0) == (value == 0 and background_weight > 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    logits = (torch.randn(2, K, 200, 400) * 50).to(dtype).requires_grad_()
    label = torch.randint(0, K, (2, 200, 400))
    slots = torch.full((2, K - 1), 60_000.0).to(dtype).requires_grad_()
    existence = torch.zeros(2, K - 1)
    with torch.autocast("cpu", dtype):
        terms = LaneLoss()(LaneOutput(logits, slots), label, existence)
    expected = LaneLoss()(LaneOutput(logits.float(), slots.float()), label, existence)
    torch.testing.assert_close(terms, expected)
    terms["loss"].backward()
    assert logits.grad.isfinite().all()


def test_the_sum_is_weighted_and_the_terms_are_not() -> None:
    logits, label = batch(3)
    slots, existence = torch.tensor([[0.5, -1.0, 2.0]] * 2), torch.tensor([[1.0, 0.0, 0.0]] * 2)
    terms = LaneLoss(background_weight=0.3, iou_weight=0.2, existence_weight=0.7)(
        LaneOutput(logits, slots), label, existence
    )
    assert list(terms) == ["segmentation", "iou", "existence", "loss"]
    torch.testing.assert_close(terms["segmentation"], segmentation_loss(logits, label, 0.3))
    torch.testing.assert_close(terms["iou"], soft_iou_loss(logits, label))
    torch.testing.assert_close(terms["existence"], existence_loss(slots, existence))
    torch.testing.assert_close(terms["loss"], terms["segmentation"] + 0.2 * terms["iou"] + 0.7 * terms["existence"])


def test_a_network_without_existence_head() -> None:
    logits, label = batch(4)
    terms = LaneLoss()(LaneOutput(logits, None), label, torch.zeros(2, K - 1))
    assert list(terms) == ["segmentation", "iou", "loss"]
    torch.testing.assert_close(terms["loss"], terms["segmentation"] + 0.1 * terms["iou"])


def test_background_without_weight_gives_no_gradient_even_if_scaled():
    logits = torch.randn(1, K, 2, 2, requires_grad=True)
    loss = segmentation_loss(logits, torch.zeros(1, 2, 2, dtype=torch.long), background_weight=0.0)
    (loss * 65536).backward()
    assert loss == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()
