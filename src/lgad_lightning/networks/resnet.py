from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from lgad_lightning.errors import LgadError
from lgad_lightning.networks.base import LaneNetwork


class ResNet(LaneNetwork):
    """ResNet at output stride 8 (dilated last stages) under a linear classifier, with a head for lane existence.

    The baseline of PytorchAutoDrive, but with the existence head of the other networks, which reads the features
    instead of the coarse logits. The backbone is timm's: it needs the extra `zoo`. `encoder.stage1` returns features
    at a quarter of the input's resolution, `encoder.stage2` to `encoder.stage4` at an eighth.

    Args:
        depth: Number of layers of the backbone.
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of 8; other sizes work too.
        existence: Whether to build the existence head.
        pretrained: Whether to start from timm's ImageNet weights, downloaded at the first use.
        dropout: Probability of dropping a channel before the classifier.

    Raises:
        LgadError: If timm is not installed, or `input_size` does not fit.

    Example:
        >>> network = ResNet(depth=34, num_classes=7, input_size=(360, 640), pretrained=True)  # doctest: +SKIP
    """

    rebuilt_with: ClassVar[dict[str, Any]] = {"pretrained": False}

    def __init__(
        self,
        depth: Literal[18, 34, 50, 101] = 18,
        num_classes: int = 5,
        in_channels: int = 3,
        input_size: tuple[int, int] = (288, 800),
        existence: bool = True,
        pretrained: bool = False,
        dropout: float = 0.1,
    ) -> None:
        channels = 128
        super().__init__(
            encoder=_Encoder(depth, in_channels, channels, pretrained),
            decoder=nn.Sequential(
                nn.Dropout2d(dropout),
                nn.Conv2d(channels, num_classes, 1),
                nn.Upsample(scale_factor=self.STRIDE, mode="bilinear"),
            ),
            channels=channels,
            in_channels=in_channels,
            num_classes=num_classes,
            input_size=input_size,
            existence=existence,
        )


class _Encoder(nn.Module):
    def __init__(self, depth: int, in_channels: int, out_channels: int, pretrained: bool) -> None:
        super().__init__()
        try:
            import timm
        except ModuleNotFoundError as error:
            raise LgadError('ResNet takes its backbone from timm: pip install "lgad-lightning[zoo]"') from error
        backbone = timm.create_model(f"resnet{depth}", pretrained=pretrained, in_chans=in_channels, output_stride=8)
        self.stem = nn.Sequential(backbone.conv1, backbone.bn1, backbone.act1, backbone.maxpool)
        self.stage1 = backbone.layer1
        self.stage2 = backbone.layer2
        self.stage3 = backbone.layer3
        self.stage4 = backbone.layer4
        self.reduce = nn.Sequential(
            nn.Conv2d(backbone.num_features, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        x = self.stage2(self.stage1(self.stem(x)))
        return (self.reduce(self.stage4(self.stage3(x))),)
