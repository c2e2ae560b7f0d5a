"""The attention of each lane in a map, and maps in which all lanes have the same."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lgad_lightning.lanes import IGNORE_INDEX

_TINY = 1e-6


def lane_shares(label: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute how much of each cell each lane covers, with antialiasing.

    Args:
        label: Label maps, `(B, H, W)`: 0 for the background, then the lanes, 255 where nothing is known.
        size: Height and width of the result.

    Returns:
        Shares `(B, L, *size)` in [0, 1], float32, for the L lane classes. L is at least 1.

    Example:
        >>> lane_shares(torch.tensor([[[1, 0, 2]]]), (1, 3)).tolist()
        [[[[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]]]
    """
    lanes = torch.where(label == IGNORE_INDEX, 0, label)
    classes = torch.arange(1, max(int(lanes.max()), 1) + 1, device=label.device)
    planes = (lanes[:, None] == classes[:, None, None]).float()  # a third of the time of `one_hot`
    return F.interpolate(planes, size, mode="bilinear", antialias=True)


def balance_lanes(maps: Tensor, label: Tensor) -> Tensor:
    """Scale attention maps so that all lanes of an image have the same mean attention.

    A teacher draws some lanes far brighter than others. In the norm of a map, the bright ones outshine the others. All
    cells that a lane touches are scaled as the lane; cells without a lane are not changed.

    Args:
        maps: Attention maps, `(B, h, w)`.
        label: Label maps, `(B, H, W)`: 0 for the background, then the lanes, 255 where nothing is known.

    Returns:
        Maps `(B, h, w)`. In each, the mean attention of a lane is the mean over the lanes (only nearly, where lanes
        share cells).

    Example:
        >>> balance_lanes(torch.tensor([[[6.0, 1.0, 2.0]]]), torch.tensor([[[1, 0, 2]]]))
        tensor([[[4., 1., 4.]]])
    """
    shares = lane_shares(label, (maps.shape[-2], maps.shape[-1]))
    covered = shares.sum((2, 3))
    means = (maps[:, None] * shares).sum((2, 3)) / covered.clamp_min(_TINY)
    present = (covered > 0) & (means > 0)
    typical = torch.where(present, means, 0).sum(1) / present.sum(1).clamp_min(1)
    factors = torch.where(present, typical[:, None] / means.clamp_min(_TINY**2), 1.0)
    of_lanes, of_any = (shares * factors[..., None, None]).sum(1), shares.sum(1)
    return maps * torch.where(of_any > 0, of_lanes / of_any.clamp_min(torch.finfo(of_any.dtype).tiny), 1)
