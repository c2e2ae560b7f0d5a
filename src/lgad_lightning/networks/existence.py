from collections import OrderedDict

from torch import nn


class ExistenceHead(nn.Sequential):
    """Predicts from the encoder's features which lane slots contain a lane.

    A dilated convolution makes a coarse segmentation. It is averaged onto a grid, and two linear layers read the grid.
    At the configured input size, the averaging is 2 x 2 pooling (if the features have odd sides: nearly). Inputs of
    another size are averaged onto the same grid, so other sizes work too.

    Args:
        in_channels: Channels of the features.
        num_classes: Classes K with the background. The head has K - 1 outputs.
        feature_size: `(height, width)` of the features at the configured input size.

    Example:
        >>> import torch
        >>> head = ExistenceHead(in_channels=128, num_classes=5, feature_size=(36, 100))
        >>> head(torch.rand(2, 128, 36, 100)).shape
        torch.Size([2, 4])
    """

    def __init__(self, in_channels: int, num_classes: int, feature_size: tuple[int, int]) -> None:
        grid = (feature_size[0] // 2, feature_size[1] // 2)
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(in_channels, 32, 3, padding=4, dilation=4, bias=False),
                norm=nn.BatchNorm2d(32),
                relu=nn.ReLU(inplace=True),
                dropout=nn.Dropout2d(0.1),
                classifier=nn.Conv2d(32, num_classes, 1),
                softmax=nn.Softmax(dim=1),
                pool=nn.AdaptiveAvgPool2d(grid),
                flatten=nn.Flatten(),
                hidden=nn.Linear(num_classes * grid[0] * grid[1], 128),
                hidden_relu=nn.ReLU(inplace=True),
                output=nn.Linear(128, num_classes - 1),
            )
        )
