import numpy as np
import pytest
import torch

from lgad_lightning.metrics import PixelF1


def test_the_figures_are_those_of_counted_pixels() -> None:
    generator = np.random.default_rng(0)
    preds, target = generator.integers(0, 3, (6, 5, 7)), generator.choice([0, 1, 255], (6, 5, 7))
    metric = PixelF1()
    for part in (slice(0, 2), slice(2, 6)):
        names = [f"{number}.jpg" for number in range(6)[part]]
        metric.update(torch.tensor(preds[part]), torch.tensor(target[part]), names, ["night"] * len(names))
    metric.update(torch.tensor(preds[:1]), torch.tensor(target[:1]), ["0.jpg"], ["night"])  # a sampler repeats it
    known = target != 255
    lane, truth = preds[known] > 0, target[known] > 0
    tp, either = (lane & truth).sum(), (lane | truth).sum()
    total = metric.results()["total"]
    assert total["pixel_iou"] == pytest.approx(tp / either)
    assert total["f1"] == pytest.approx(2 * tp / (lane.sum() + truth.sum()))
    assert (total["precision"], total["recall"]) == pytest.approx((tp / lane.sum(), tp / truth.sum()))
    assert metric.results()["scenarios"] == {"night": total}
    assert metric.figures == ["f1", "precision", "recall", "pixel_iou", "image_recall", "image_iou"]


def test_accuracy_and_iou_of_sad_are_means_over_the_images() -> None:
    generator = np.random.default_rng(1)
    preds, target = generator.integers(0, 2, (5, 4, 6)), generator.integers(0, 2, (5, 4, 6))
    target[1] = 0  # no lane there, some found
    target[2] = preds[2] = 0  # neither
    preds[3] = 0  # none found
    metric = PixelF1()
    metric.update(torch.tensor(preds), torch.tensor(target), list("abcde"))
    recalls, ious = [], []
    for found, truth in zip(preds.astype(bool), target.astype(bool), strict=True):
        hits = (found & truth).sum()
        recalls.append(hits / truth.sum() if truth.any() else 0)
        ious.append(hits / (found | truth).sum() if (found | truth).any() else 0)
    total = metric.results()["total"]
    assert (total["image_recall"], total["image_iou"]) == pytest.approx((sum(recalls) / 5, sum(ious) / 5))


def test_nothing_found_and_nothing_there_is_undefined() -> None:
    metric = PixelF1()
    metric.update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), ["a"])
    assert metric.results()["total"] == {
        "f1": 0.0, "precision": -1.0, "recall": -1.0, "pixel_iou": 0.0, "image_recall": 0.0, "image_iou": 0.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("preds", "message"),
    [
        (torch.zeros(2, 1, 4, 4, dtype=torch.long), "one shape"),
        (torch.zeros(2, 4, 5, dtype=torch.long), "one shape"),
        (torch.full((2, 4, 4), 0.2), "expected classes"),
    ],
)
def test_shapes_and_probabilities_that_would_give_a_wrong_figure_are_refused(preds: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelF1().update(preds, torch.zeros(2, 4, 4, dtype=torch.long), images=["a.jpg", "b.jpg"])
