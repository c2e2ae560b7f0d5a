import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lgad_lightning.errors import LgadError
from lgad_lightning.networks.base import LaneNetwork
from lgad_lightning.networks.erfnet import ERFNet
from lgad_lightning.networks.resnet import CHANNELS, Depth, ResNet


class SCNN(LaneNetwork):
    """ERFNet with the message passing of SCNN (Pan et al., "Spatial As Deep", AAAI 2018) after its encoder.

    `encoder.stage1` to `encoder.stage3` are those of ERFNet. `encoder.stage4` is the message passing. Like
    `encoder.stage3`, it returns `channels[2]` channels at an eighth of the input's resolution.

    Args:
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of 8; other sizes work too.
        existence: Whether to build the existence head.
        channels: Channels at 1/2, 1/4 and 1/8 of the input's resolution.
        dropout: Probabilities of dropping a channel: in stage 1, and in stages 2 and 3.
        kernel: Odd width of the kernels of the messages. The published width is 9.

    Raises:
        LgadError: If `input_size` does not fit, or `in_channels` is not below `channels[0]`.

    Example:
        >>> import torch
        >>> network = SCNN(num_classes=5, input_size=(64, 160), channels=(8, 16, 32))
        >>> network(torch.rand(2, 3, 64, 160)).logits.shape
        torch.Size([2, 5, 64, 160])
    """

    def __init__(
        self,
        num_classes: int = 5,
        in_channels: int = 3,
        input_size: tuple[int, int] = (288, 800),
        existence: bool = True,
        channels: tuple[int, int, int] = (16, 64, 128),
        dropout: tuple[float, float] = (0.03, 0.3),
        kernel: int = 9,
    ) -> None:
        erfnet = ERFNet(num_classes, in_channels, input_size, False, channels, dropout)
        super().__init__(
            encoder=_Encoder(erfnet.encoder, channels[2], kernel),
            decoder=erfnet.decoder,
            channels=channels[2],
            in_channels=in_channels,
            num_classes=num_classes,
            input_size=input_size,
            existence=existence,
        )


class _Encoder(nn.Module):
    def __init__(self, encoder: nn.Module, channels: int, kernel: int) -> None:
        super().__init__()
        self.stage1 = encoder.get_submodule("stage1")
        self.stage2 = encoder.get_submodule("stage2")
        self.stage3 = encoder.get_submodule("stage3")
        self.stage4 = MessagePassing(channels, kernel)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        features: Tensor = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return (features,)


class ResNetSCNN(ResNet):
    """ResNet with the message passing of SCNN after its encoder. The backbone comes from timm (extra `zoo`).

    `encoder.stage1` to `encoder.stage4` are those of ResNet. `encoder.stage5` is the message passing. It returns 128
    channels at an eighth of the input's resolution.

    Args:
        depth: Number of layers of the backbone.
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of 8; other sizes work too.
        existence: Whether to build the existence head.
        pretrained: Whether to start from timm's ImageNet weights, as for `ResNet`. Or the path of a file with weights.
        dropout: Probability of dropping a channel before the classifier.
        kernel: Odd width of the kernels of the messages. The published width is 9.

    Raises:
        LgadError: If timm is not installed, the weights cannot be loaded, or `input_size` does not fit.

    Example:
        >>> network = ResNetSCNN(depth=34, num_classes=7, input_size=(360, 640))  # doctest: +SKIP
    """

    def __init__(
        self,
        depth: Depth = 18,
        num_classes: int = 5,
        in_channels: int = 3,
        input_size: tuple[int, int] = (288, 800),
        existence: bool = True,
        pretrained: bool | str = False,
        dropout: float = 0.1,
        kernel: int = 9,
    ) -> None:
        super().__init__(depth, num_classes, in_channels, input_size, existence, pretrained, dropout)
        self.encoder.add_module("stage5", MessagePassing(CHANNELS, kernel))


class MessagePassing(nn.Module):
    """The messages of SCNN. From the top down, each row is convolved and added to the row below it.

    The same follows upwards, then with columns to the right and to the left. All messages of one direction share their
    weights. In total, there are 4 x C x C x kernel weights, without bias.

    Args:
        channels: Channels C.
        kernel: Odd width of the kernels.

    Raises:
        LgadError: If the width is even.
    """

    def __init__(self, channels: int, kernel: int = 9) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise LgadError(f"kernel={kernel} must be an odd number of at least 1")
        self.down = self._convolution(channels, kernel, "rows")
        self.up = self._convolution(channels, kernel, "rows")
        self.right = self._convolution(channels, kernel, "columns")
        self.left = self._convolution(channels, kernel, "columns")

    @staticmethod
    def _convolution(channels: int, kernel: int, along: Literal["rows", "columns"]) -> nn.Conv2d:
        size = (1, kernel) if along == "rows" else (kernel, 1)
        convolution = nn.Conv2d(channels, channels, size, padding=(size[0] // 2, size[1] // 2), bias=False)
        bound = math.sqrt(2 / (channels * kernel * 5))  # larger weights would let the messages grow with every row
        nn.init.uniform_(convolution.weight, -bound, bound)
        return convolution

    def forward(self, x: Tensor) -> Tensor:
        """Passes messages through features `(B, C, H, W)`. The shape stays the same."""
        for convolution, dim, backward in (
            (self.down, 2, False),
            (self.up, 2, True),
            (self.right, 3, False),
            (self.left, 3, True),
        ):
            x = _pass(x, convolution, dim, backward)
        return x


def _pass(x: Tensor, convolution: nn.Module, dim: int, backward: bool) -> Tensor:
    lines = list(torch.split(x, 1, dim))
    if backward:
        lines.reverse()
    passed = lines[:1]
    for line in lines[1:]:
        passed.append(line + F.relu(convolution(passed[-1])))
    if backward:
        passed.reverse()
    return torch.cat(passed, dim)
