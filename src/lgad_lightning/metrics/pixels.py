from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.metrics.base import LaneMetric


class PixelF1(LaneMetric):
    """Precision, recall, F1 and IoU of the pixels of lanes, at the size of the network's input.

    For binary segmentation: every class except 0 is lane. Ignored pixels (255) do not count. The counts are summed over
    all images before they are divided. Only the last two figures, `image_recall` and `image_iou`, are means over the
    images. They are the accuracy and the IoU of SAD on BDD100K (`ENet-BDD100K-Torch/train.lua` in
    cardwing/Codes-for-Lane-Detection): the recall of an image without annotated lanes is 0, and its IoU is 0, too.

    Args:
        kwargs: Arguments of `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = PixelF1()
        >>> metric.update(torch.tensor([[[1, 1, 0, 0]]]), torch.tensor([[[1, 0, 1, 255]]]), images=["a.jpg"])
        >>> {name: round(value, 3) for name, value in metric.results()["total"].items()}
        {'f1': 0.5, 'precision': 0.5, 'recall': 0.5, 'pixel_iou': 0.333, 'image_recall': 0.5, 'image_iou': 0.333}
    """

    of_pixels = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(num_values=3, **kwargs)

    def update(
        self, preds: Tensor, target: Tensor, images: Sequence[str], scenarios: Sequence[str] | None = None
    ) -> None:
        """Add images.

        Args:
            preds: `(B, H, W)` predicted classes.
            target: `(B, H, W)` annotated classes, 255 where ignored.
            images: A unique name for each image. An image with the same name is not counted again.
            scenarios: The category of each image. None: only the total is reported.

        Raises:
            ValueError: If `preds` and `target` are not both `(B, H, W)`, or if `preds` holds no classes but
                probabilities.
        """
        if preds.ndim != 3 or preds.shape != target.shape:
            shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
            raise ValueError(f"expected preds and target of one shape (B, H, W), got {shapes}")
        if preds.is_floating_point() and (preds % 1).any():
            raise ValueError("expected classes as preds, got fractions: take the argmax of logits or probabilities")
        counted, lane, truth = target != IGNORE_INDEX, preds > 0, target > 0
        parts = (lane & truth & counted, lane & ~truth & counted, ~lane & truth & counted)
        counts = zip(*(part.flatten(1).sum(dim=1).tolist() for part in parts), strict=True)
        self._add(images, scenarios, [list(row) for row in counts])

    def _scores(self, values: NDArray[np.int64]) -> dict[str, Any]:
        tp, fp, fn = values.sum(axis=0).tolist()
        hits, lanes, either = values[:, 0], values[:, 0] + values[:, 2], values.sum(axis=1)
        return {
            "f1": 2 * tp / (2 * tp + fp + fn) if tp else 0.0,
            "precision": tp / (tp + fp) if tp + fp else -1.0,
            "recall": tp / (tp + fn) if tp + fn else -1.0,
            "pixel_iou": tp / (tp + fp + fn) if tp else 0.0,
            "image_recall": float((hits / lanes.clip(min=1)).mean()) if len(values) else 0.0,
            "image_iou": float((hits / either.clip(min=1)).mean()) if len(values) else 0.0,
        }
