import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.networks import LaneOutput


def segmentation_loss(logits: Tensor, label: Tensor, background_weight: float = 0.4) -> Tensor:
    """Compute the cross-entropy. A background pixel counts less than a lane pixel, as in SCNN.

    Args:
        logits: Scores of the classes, `(B, K, H, W)`.
        label: Label map, `(B, H, W)`, int64, values 0..K-1 or 255 (ignore).
        background_weight: Weight of a background pixel. A lane pixel has weight 1.

    Returns:
        The weighted mean over the pixels that are not ignored, in float32. It is 0 if there are none.

    Example:
        >>> segmentation_loss(torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]]))
        tensor(0.6931)
    """
    weight = torch.ones(logits.shape[1], dtype=torch.float32, device=logits.device)
    weight[0] = background_weight
    total = F.cross_entropy(logits.float(), label, weight, ignore_index=IGNORE_INDEX, reduction="sum")
    weights: Tensor = (label != IGNORE_INDEX).sum() - (1 - background_weight) * (label == 0).sum()
    return total / weights.where(weights > 0, 1)  # only pixels without weight: 0 / 1 = 0


def soft_iou_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Compute one minus the soft intersection over union of the lane classes (Hou et al., ICCV 2019).

    Args:
        logits: Scores of the classes, `(B, K, H, W)`.
        label: Label map, `(B, H, W)`, int64, values 0..K-1 or 255 (ignore).

    Returns:
        The mean over the lane classes that are in the batch, from 0 to 1, in float32. It is 0 if there are none.
        Ignored pixels do not count.

    Example:
        >>> perfect = torch.tensor([[[[9.0, -9.0]], [[-9.0, 9.0]]]])
        >>> soft_iou_loss(perfect, torch.tensor([[[0, 1]]])) < 1e-6
        tensor(True)
    """
    label = label.unsqueeze(1)
    lanes = torch.arange(1, logits.shape[1], device=label.device).view(-1, 1, 1)
    target = label == lanes
    predicted = logits.float().softmax(dim=1)[:, 1:] * (label != IGNORE_INDEX)
    intersection = (predicted * target).sum(dim=(0, 2, 3))
    size = target.sum(dim=(0, 2, 3))
    union = predicted.sum(dim=(0, 2, 3)) + size - intersection
    present = size > 0
    losses = torch.where(present, 1 - intersection / union.where(present, 1), 0)
    return losses.sum() / present.sum().clamp(min=1)


def existence_loss(logits: Tensor, existence: Tensor) -> Tensor:
    """Compute the binary cross-entropy of the lane slots.

    Args:
        logits: Scores of the lane slots before the sigmoid, `(B, K - 1)`.
        existence: 1 if the slot has a lane, otherwise 0, `(B, K - 1)`.

    Returns:
        The mean over images and slots, in float32.

    Example:
        >>> existence_loss(torch.zeros(1, 4), torch.tensor([[0, 1, 1, 0]]))
        tensor(0.6931)
    """
    return F.binary_cross_entropy_with_logits(logits.float(), existence.float())


class LaneLoss(nn.Module):
    """The loss of lane segmentation: a weighted sum of cross-entropy, soft IoU and existence loss.

    Args:
        background_weight: Weight of the background in the cross-entropy.
        iou_weight: Weight of the soft IoU term.
        existence_weight: Weight of the existence term.

    Example:
        >>> output = LaneOutput(torch.zeros(1, 3, 1, 2), existence=torch.zeros(1, 2))
        >>> terms = LaneLoss()(output, label=torch.tensor([[[0, 2]]]), existence=torch.tensor([[0, 1]]))
        >>> {name: round(term.item(), 3) for name, term in terms.items()}
        {'segmentation': 1.099, 'iou': 0.75, 'existence': 0.693, 'loss': 1.243}
    """

    def __init__(self, background_weight: float = 0.4, iou_weight: float = 0.1, existence_weight: float = 0.1) -> None:
        super().__init__()
        self.background_weight = background_weight
        self.iou_weight = iou_weight
        self.existence_weight = existence_weight

    def forward(self, output: LaneOutput, label: Tensor, existence: Tensor) -> dict[str, Tensor]:
        """Compute the terms without weights, and their weighted sum.

        Args:
            output: The output of the network.
            label: Label map, `(B, H, W)`, int64, values 0..K-1 or 255 (ignore).
            existence: 1 if a slot has a lane, otherwise 0, `(B, K - 1)`. Not used if the network has no such head.

        Returns:
            `segmentation`, `iou`, `existence` (only if the network has such a head) and `loss`, the weighted sum.
        """
        terms = {
            "segmentation": segmentation_loss(output.logits, label, self.background_weight),
            "iou": soft_iou_loss(output.logits, label),
        }
        loss = terms["segmentation"] + self.iou_weight * terms["iou"]
        if output.existence is not None:
            terms["existence"] = existence_loss(output.existence, existence)
            loss = loss + self.existence_weight * terms["existence"]
        return {**terms, "loss": loss}
