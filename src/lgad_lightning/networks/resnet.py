from collections import OrderedDict
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from lgad_lightning.networks.base import LaneNetwork
from lgad_lightning.networks.timm import create

CHANNELS = 128
"""Number of channels of the features that the heads read."""

Depth = Literal[18, 34, 50, 101]


class ResNet(LaneNetwork):
    """ResNet at output stride 8 (dilated last stages) with a linear classifier and a head for lane existence.

    This is the baseline of PytorchAutoDrive, but with the existence head of the other networks. This head reads the
    features instead of the coarse logits. The backbone comes from timm (extra `zoo`). `encoder.stage1` returns features
    at a quarter of the input's resolution. `encoder.stage2` to `encoder.stage4` return features at an eighth.

    Args:
        depth: Number of layers of the backbone.
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of 8; other sizes work too.
        existence: Whether to build the existence head.
        pretrained: Whether to start from timm's ImageNet weights (the hub's cache keeps them). Or the path of a file
            with weights of such a network (safetensors or `torch.save`).
        dropout: Probability of dropping a channel before the classifier.

    Raises:
        LgadError: If timm is not installed, the weights cannot be loaded, or `input_size` does not fit.

    Example:
        >>> network = ResNet(depth=34, num_classes=7, input_size=(360, 640), pretrained=True)  # doctest: +SKIP
    """

    rebuilt_with: ClassVar[dict[str, Any]] = {"pretrained": False}

    def __init__(
        self,
        depth: Depth = 18,
        num_classes: int = 5,
        in_channels: int = 3,
        input_size: tuple[int, int] = (288, 800),
        existence: bool = True,
        pretrained: bool | str = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(
            encoder=_Encoder(depth, in_channels, pretrained),
            decoder=nn.Sequential(
                nn.Dropout2d(dropout),
                nn.Conv2d(CHANNELS, num_classes, 1),
                nn.Upsample(scale_factor=self.STRIDE, mode="bilinear"),
            ),
            channels=CHANNELS,
            in_channels=in_channels,
            num_classes=num_classes,
            input_size=input_size,
            existence=existence,
        )


class _Encoder(nn.Sequential):
    def __init__(self, depth: int, in_channels: int, pretrained: bool | str) -> None:
        settings = {"in_chans": in_channels, "output_stride": LaneNetwork.STRIDE}
        backbone = create(f"ResNet({depth})", f"resnet{depth}", pretrained, settings)
        super().__init__(
            OrderedDict(
                stem=nn.Sequential(backbone.conv1, backbone.bn1, backbone.act1, backbone.maxpool),
                stage1=backbone.layer1,
                stage2=backbone.layer2,
                stage3=backbone.layer3,
                stage4=backbone.layer4,
                reduce=nn.Sequential(
                    nn.Conv2d(backbone.num_features, CHANNELS, 1, bias=False),
                    nn.BatchNorm2d(CHANNELS),
                    nn.ReLU(inplace=True),
                ),
            )
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        features: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return (features,)
