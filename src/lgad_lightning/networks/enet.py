import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lgad_lightning.networks.base import LaneNetwork, check_concatenation


class ENet(LaneNetwork):
    """ENet (Paszke et al., "ENet", arXiv 1606.02147) with a head for lane existence.

    `encoder.stage1` returns `channels[1]` channels at a quarter of the input's resolution, `encoder.stage2` and
    `encoder.stage3` return `channels[2]` at an eighth.

    Args:
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of 8; other sizes work too.
        existence: Whether to build the existence head.
        channels: Channels at 1/2, 1/4 and 1/8 of the input's resolution; the default is the published network.
        dropout: Probabilities of dropping a channel: in stage 1, and in all later layers.

    Raises:
        LgadError: If `input_size` does not fit, or `in_channels` is not below `channels[0]`.

    Example:
        >>> import torch
        >>> network = ENet(num_classes=5, input_size=(64, 160))
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
        dropout: tuple[float, float] = (0.01, 0.1),
    ) -> None:
        check_concatenation(in_channels, channels)
        super().__init__(
            encoder=_Encoder(in_channels, channels, dropout),
            decoder=_Decoder(num_classes, channels, dropout[1]),
            channels=channels[2],
            in_channels=in_channels,
            num_classes=num_classes,
            input_size=input_size,
            existence=existence,
        )


class _Encoder(nn.Module):
    """Returns the features and the pooling indices. The stages themselves return feature maps only."""

    def __init__(self, in_channels: int, channels: tuple[int, int, int], dropout: tuple[float, float]) -> None:
        super().__init__()
        half, quarter, eighth = channels
        early, late = dropout
        self.initial = _Initial(in_channels, half)
        self.down1 = _Downsampling(half, quarter, early)
        self.stage1 = nn.Sequential(*[_Bottleneck(quarter, early, nn.PReLU) for _ in range(4)])
        self.down2 = _Downsampling(quarter, eighth, late)
        self.stage2 = _dilated_stage(eighth, late)
        self.stage3 = _dilated_stage(eighth, late)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, indices1 = self.down1(self.initial(x))
        x, indices2 = self.down2(self.stage1(x))
        return self.stage3(self.stage2(x)), indices1, indices2


class _Decoder(nn.Module):
    def __init__(self, num_classes: int, channels: tuple[int, int, int], dropout: float) -> None:
        super().__init__()
        half, quarter, eighth = channels
        self.up1 = _Upsampling(eighth, quarter, dropout)
        self.refine1 = nn.Sequential(*[_Bottleneck(quarter, dropout, nn.ReLU) for _ in range(2)])
        self.up2 = _Upsampling(quarter, half, dropout)
        self.refine2 = _Bottleneck(half, dropout, nn.ReLU)
        self.classifier = nn.ConvTranspose2d(half, num_classes, 3, stride=2, padding=1, output_padding=1, bias=False)

    def forward(self, x: Tensor, indices1: Tensor, indices2: Tensor) -> Tensor:
        x = self.refine1(self.up1(x, indices2))
        logits: Tensor = self.classifier(self.refine2(self.up2(x, indices1)))
        return logits


def _dilated_stage(channels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        _Bottleneck(channels, dropout, nn.PReLU),
        _Bottleneck(channels, dropout, nn.PReLU, dilation=2),
        _Bottleneck(channels, dropout, nn.PReLU, asymmetric=True),
        _Bottleneck(channels, dropout, nn.PReLU, dilation=4),
        _Bottleneck(channels, dropout, nn.PReLU),
        _Bottleneck(channels, dropout, nn.PReLU, dilation=8),
        _Bottleneck(channels, dropout, nn.PReLU, asymmetric=True),
        _Bottleneck(channels, dropout, nn.PReLU, dilation=16),
    )


def _conv(conv: nn.Conv2d | nn.ConvTranspose2d, activation: type[nn.Module]) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm2d(conv.out_channels), activation()


class _Initial(nn.Module):
    """Halves the resolution. Concatenates a strided convolution and max-pooling of the input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels - in_channels, 3, stride=2, padding=1, bias=False)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.norm(torch.cat([self.conv(x), self.pool(x)], dim=1)))
        return out


class _Bottleneck(nn.Module):
    """A residual block at a quarter of the channels. The middle convolution is 3 x 3, or 5 x 1 and 1 x 5."""

    def __init__(
        self,
        channels: int,
        dropout: float,
        activation: type[nn.Module],
        dilation: int = 1,
        asymmetric: bool = False,
    ) -> None:
        super().__init__()
        inner = channels // 4
        if asymmetric:
            middle = (
                *_conv(nn.Conv2d(inner, inner, (5, 1), padding=(2, 0), bias=False), activation),
                *_conv(nn.Conv2d(inner, inner, (1, 5), padding=(0, 2), bias=False), activation),
            )
        else:
            middle = _conv(nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation, bias=False), activation)
        self.body = nn.Sequential(
            *_conv(nn.Conv2d(channels, inner, 1, bias=False), activation),
            *middle,
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.Dropout2d(dropout),
        )
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.body(x) + x)
        return out


class _Downsampling(nn.Module):
    """Halves the resolution. Also returns the positions of the maxima in the input."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        inner = in_channels // 4
        self.new_channels = out_channels - in_channels
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.body = nn.Sequential(
            *_conv(nn.Conv2d(in_channels, inner, 2, stride=2, bias=False), nn.PReLU),
            *_conv(nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.PReLU),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.Dropout2d(dropout),
        )
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled, indices = self.pool(x)
        return self.activation(self.body(x) + F.pad(pooled, (0, 0, 0, 0, 0, self.new_channels))), indices


class _Upsampling(nn.Module):
    """Doubles the resolution. Adds a transposed convolution and max-unpooling."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        inner = in_channels // 4
        self.reduce = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.body = nn.Sequential(
            *_conv(nn.Conv2d(in_channels, inner, 1, bias=False), nn.ReLU),
            *_conv(nn.ConvTranspose2d(inner, inner, 2, stride=2, bias=False), nn.ReLU),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.Dropout2d(dropout),
        )

    def forward(self, x: Tensor, indices: Tensor) -> Tensor:
        return F.relu(self.body(x) + max_unpool(self.reduce(x), indices), inplace=True)


def max_unpool(x: Tensor, indices: Tensor) -> Tensor:
    """Undo a 2 x 2 max-pooling. All places except those of the maxima become zero.

    The result is bit-equal to that of `MaxUnpool2d`, and it is as fast. But it uses only operators that every exporter
    knows.

    Args:
        x: Pooled values, `(B, C, H, W)`.
        indices: Positions of the maxima, as `MaxPool2d(2, return_indices=True)` returns them for an even input size. In
            exported networks: `(B, C, 2 * H, 2 * W)` bool, true at the maxima.

    Returns:
        Values at twice the resolution, `(B, C, 2 * H, 2 * W)`.

    Example:
        >>> pooled, indices = torch.nn.MaxPool2d(2, return_indices=True)(torch.tensor([[[[1.0, 2.0], [3.0, 0.0]]]]))
        >>> max_unpool(pooled, indices)
        tensor([[[[0., 0.],
                  [3., 0.]]]])
    """
    if indices.dtype == torch.bool:
        return torch.where(indices, F.interpolate(x, scale_factor=2.0, mode="nearest"), 0.0)
    batch, channels, height, width = x.shape
    unpooled = x.new_zeros(batch, channels, 4 * height * width).scatter_(2, indices.flatten(2), x.flatten(2))
    return unpooled.view(batch, channels, 2 * height, 2 * width)
