from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes import TUSIMPLE_ROWS, Lane, tusimple_row
from lgad_lightning.metrics.base import LaneMetric
from lgad_lightning.metrics.functional.tusimple import tusimple_scores


class TuSimpleAccuracy(LaneMetric):
    """Accuracy, FP and FN of lanes. They equal those of the official TuSimple tool to the last bit.

    Args:
        kwargs: Arguments of `torchmetrics.Metric`.

    Example:
        >>> lane = Lane([[600, y] for y in range(160, 711, 10)], image_size=(720, 1280))
        >>> metric = TuSimpleAccuracy()
        >>> metric.update([[lane]], [[lane]], images=["clips/0530/1/20.jpg"])
        >>> metric.results()["total"]
        {'accuracy': 1.0, 'fp': 0.0, 'fn': 0.0}
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(num_values=3, **kwargs)

    def update(
        self,
        preds: Sequence[Sequence[Lane]],
        target: Sequence[Sequence[Lane]],
        images: Sequence[str],
        h_samples: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Add images.

        Args:
            preds: Predicted lanes of each image, in pixels of the original image.
            target: Annotated lanes of each image.
            images: A unique name for each image. An image with the same name is not counted again.
            h_samples: For each image, the rows in which lanes are compared (see `tusimple_row`). By default 160, 170,
                ..., 710.
        """
        grids = [TUSIMPLE_ROWS] * len(images) if h_samples is None else h_samples
        figures = [
            tusimple_scores(
                [tusimple_row(lane, rows) for lane in pred], [tusimple_row(lane, rows) for lane in truth], rows
            )
            for pred, truth, rows in zip(preds, target, grids, strict=True)
        ]
        bits = np.array(figures, dtype=np.float64).reshape(-1, 3).view(np.int64)
        self._add(images, None, bits.tolist())

    def _scores(self, values: NDArray[np.int64]) -> dict[str, Any]:
        figures = np.ascontiguousarray(values).view(np.float64)
        # added one by one, as in the official tool
        accuracy, fp, fn = (np.cumsum(figures, axis=0)[-1] / len(figures)).tolist() if len(figures) else [0.0] * 3
        return {"accuracy": accuracy, "fp": fp, "fn": fn}
