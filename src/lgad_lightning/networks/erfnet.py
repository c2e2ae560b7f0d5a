import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lgad_lightning.networks.base import LaneNetwork, check_concatenation

EPS = 1e-3  # epsilon of the batch norms in the original network


class ERFNet(LaneNetwork):
    """ERFNet (Romera et al., "ERFNet", T-ITS 2018) with a head for lane existence.

    `encoder.stage1` returns `channels[1]` channels at a quarter of the input's resolution, `encoder.stage2` and
    `encoder.stage3` return `channels[2]` at an eighth.

    Args:
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of 8; other sizes work too.
        existence: Whether to build the existence head.
        channels: Channels at 1/2, 1/4 and 1/8 of the input's resolution; the default is the published network.
        dropout: Probabilities of dropping a channel: in stage 1, and in stages 2 and 3.

    Raises:
        LgadError: If `input_size` does not fit, or `in_channels` is not below `channels[0]`.

    Example:
        >>> import torch
        >>> network = ERFNet(num_classes=5, input_size=(64, 160), channels=(8, 16, 32))
        >>> logits, existence = network(torch.rand(2, 3, 64, 160))
        >>> logits.shape, existence.shape
        (torch.Size([2, 5, 64, 160]), torch.Size([2, 4]))
    """

    def __init__(
        self,
        num_classes: int = 5,
        in_channels: int = 3,
        input_size: tuple[int, int] = (288, 800),
        existence: bool = True,
        channels: tuple[int, int, int] = (16, 64, 128),
        dropout: tuple[float, float] = (0.03, 0.3),
    ) -> None:
        check_concatenation(in_channels, channels)
        super().__init__(
            encoder=_Encoder(in_channels, num_classes, channels, dropout),
            decoder=_decoder(num_classes, channels),
            channels=channels[2],
            in_channels=in_channels,
            num_classes=num_classes,
            input_size=input_size,
            existence=existence,
        )


class _Encoder(nn.Module):
    def __init__(
        self, in_channels: int, num_classes: int, channels: tuple[int, int, int], dropout: tuple[float, float]
    ) -> None:
        super().__init__()
        half, quarter, eighth = channels
        early, late = dropout
        dilations = (2, 4, 8, 16)
        self.stage1 = nn.Sequential(
            _Downsampling(in_channels, half),
            _Downsampling(half, quarter),
            *[_NonBottleneck1d(quarter, early) for _ in range(5)],
        )
        self.stage2 = nn.Sequential(
            _Downsampling(quarter, eighth),
            *[_NonBottleneck1d(eighth, late, dilation) for dilation in dilations],
        )
        self.stage3 = nn.Sequential(*[_NonBottleneck1d(eighth, late, dilation) for dilation in dilations])
        # The published network includes this classifier, which pre-trains the encoder alone. Nothing calls it here. It
        # is frozen, so that DistributedDataParallel does not see an unused parameter.
        self.classifier = nn.Conv2d(eighth, num_classes, 1).requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.stage3(self.stage2(self.stage1(x))),)


def _decoder(num_classes: int, channels: tuple[int, int, int]) -> nn.Sequential:
    half, quarter, eighth = channels
    return nn.Sequential(
        *_upsampling(eighth, quarter),
        _NonBottleneck1d(quarter),
        _NonBottleneck1d(quarter),
        *_upsampling(quarter, half),
        _NonBottleneck1d(half),
        _NonBottleneck1d(half),
        nn.ConvTranspose2d(half, num_classes, 2, stride=2),
    )


def _upsampling(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    return (
        nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1),
        nn.BatchNorm2d(out_channels, EPS),
        nn.ReLU(inplace=True),
    )


class _Downsampling(nn.Module):
    """Halves the resolution. Concatenates a strided convolution and max-pooling of the input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels - in_channels, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.BatchNorm2d(out_channels, EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(torch.cat([self.conv(x), self.pool(x)], dim=1)), inplace=True)


class _NonBottleneck1d(nn.Module):
    """A residual block of two pairs of 3 x 1 and 1 x 3 convolutions, the second pair dilated."""

    def __init__(self, channels: int, dropout: float = 0.0, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, (3, 1), padding=(1, 0)),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, (1, 3), padding=(0, 1)),
            nn.BatchNorm2d(channels, EPS),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=(dilation, 1)),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation)),
            nn.BatchNorm2d(channels, EPS),
            nn.Dropout2d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + x, inplace=True)
