from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lgad_lightning.lanes import CULANE_SIZE, Lane
from lgad_lightning.metrics.base import LaneMetric
from lgad_lightning.metrics.functional.culane import (
    IOU_THRESHOLD,
    LINE_WIDTH,
    culane_counts,
    culane_mean_f1,
    culane_scores,
)


class CULaneF1(LaneMetric):
    """Precision, recall and F1 of lanes, with the counts of the official CULane evaluator.

    Args:
        threshold: A matched pair is a true positive if its IoU is above it.
        width: Thickness of the drawn lanes in pixels.
        image_size: Height and width of the canvas in pixels. Lanes of other image sizes are scaled to it.
        mean_thresholds: More IoU thresholds. The total then also has F1 at each of them and the mean
            (`unofficial/f1_50`, ..., `unofficial/mean_f1`), as in newer papers for 0.5, 0.55, ..., 0.95. Not part of
            the official protocol.
        kwargs: Arguments of `torchmetrics.Metric`.

    Example:
        >>> lane = Lane([[800, 590], [820, 300]], image_size=(590, 1640))
        >>> metric = CULaneF1()
        >>> metric.update([[lane], [lane]], [[lane], []], images=["a.jpg", "b.jpg"], scenarios=["normal", "cross"])
        >>> metric.results()["total"]
        {'tp': 1, 'fp': 1, 'fn': 0, 'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
        >>> float(metric.compute()["cross/fp"])
        1.0
    """

    def __init__(
        self,
        threshold: float = IOU_THRESHOLD,
        width: int = LINE_WIDTH,
        image_size: tuple[int, int] = CULANE_SIZE,
        mean_thresholds: Sequence[float] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(num_values=3 + len(mean_thresholds), **kwargs)
        self.threshold = threshold
        self.width = width
        self.image_size = (image_size[0], image_size[1])
        self.mean_thresholds = tuple(mean_thresholds)
        # `MetricCollection` takes metrics with equal states for one and the same.
        settings = torch.tensor([threshold, width, *image_size, *mean_thresholds])
        self.add_state("settings", default=settings, dist_reduce_fx="max")

    def update(
        self,
        preds: Sequence[Sequence[Lane]],
        target: Sequence[Sequence[Lane]],
        images: Sequence[str],
        scenarios: Sequence[str] | None = None,
    ) -> None:
        """Add images.

        Args:
            preds: Predicted lanes of each image, in pixels of the original image.
            target: Annotated lanes of each image.
            images: A unique name for each image. An image with the same name is not counted again.
            scenarios: The category of each image. None: only the total is reported.
        """
        thresholds = (self.threshold, *self.mean_thresholds)
        values = []
        for pred, truth in zip(preds, target, strict=True):
            counts = culane_counts(pred, truth, thresholds, self.image_size, self.width)
            values.append([counts.num_preds, counts.num_target, *counts.tp])
        self._add(images, scenarios, values)

    def _scores(self, values: NDArray[np.int64]) -> dict[str, Any]:
        num_preds, num_target, tp = values[:, :3].sum(axis=0).tolist()
        return culane_scores(tp, num_preds, num_target)

    def _unofficial(self, values: NDArray[np.int64]) -> dict[str, float]:
        if not self.mean_thresholds:
            return {}
        num_preds, num_target, _, *tp = values.sum(axis=0).tolist()
        return culane_mean_f1(tp, num_preds, num_target, self.mean_thresholds)
