from collections.abc import Sequence

import numpy as np
from torch import Tensor

from lgad_lightning.lanes.lane import Frame, Lane
from lgad_lightning.lanes.trace import trace_parts
from lgad_lightning.rebuildable import Rebuildable


class MaskDecoder(Rebuildable):
    """Finds lanes in a binary segmentation: each connected part of the lane pixels is a lane, see `trace_parts`.

    Args:
        threshold: A pixel is lane if its probability of any lane is above it.

    Example:
        >>> import torch
        >>> maps = torch.zeros(1, 2, 59, 164)
        >>> maps[0, 1, :, 100] = 1.0
        >>> [[lane]] = MaskDecoder()(maps, None, [Frame(590, 1640)])
        >>> lane.points[0].tolist()
        [1004.5, 584.5]
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def __call__(self, probabilities: Tensor, existence: Tensor | None, frames: Sequence[Frame]) -> list[list[Lane]]:
        """Lanes of each image of a batch.

        Args:
            probabilities: `(B, K, H, W)` class probabilities, class 0 the background.
            existence: Not used.
            frames: How each input was cut from its image.
        """
        masks = (probabilities[:, 1:].sum(dim=1) > self.threshold).cpu().numpy()
        return [[_uncut(lane, frame) for lane in trace_parts(mask)] for mask, frame in zip(masks, frames, strict=True)]


def _uncut(lane: Lane, frame: Frame) -> Lane:
    """Moves a lane from the network's input to the original image."""
    cut = lane.scaled((frame.height - frame.crop_top, frame.width))
    return Lane(cut.points + np.array([0, frame.crop_top]), (frame.height, frame.width))
