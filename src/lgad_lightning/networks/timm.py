import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lgad_lightning.networks.base import LaneNetwork
from lgad_lightning.networks.library import (
    LibraryDecoder,
    LibraryEncoder,
    check_name,
    import_library,
    making,
    resized,
)


class TimmNet(LaneNetwork):
    """A feature extractor of timm under a light head, with a head for lane existence on its deepest features.

    The head brings the features of all stages to the same number of channels at an eighth of the input's resolution,
    adds them up and classifies each cell. It needs the extra `zoo`. `encoder.stage1` returns features at a quarter of
    the input's resolution, each further stage at half of it; those of a plain vision transformer are all of one
    resolution.

    Args:
        backbone: `mobilenetv4_conv_small`, `convnext_atto`, ...: what `timm.create_model` takes with `features_only`.
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of the coarsest stride (32); other sizes
            work too.
        existence: Whether to build the existence head.
        pretrained: Whether the backbone starts from timm's weights, which the hub's cache keeps; or the path of a file
            that holds weights of it (safetensors or `torch.save`).
        channels: Channels that the head adds up.
        dropout: Probability of dropping a channel before the classifier.
        options: Further arguments of `timm.create_model`, such as `{"drop_path_rate": 0.1}`, or
            `{"dynamic_img_size": True}` for a vision transformer.

    Raises:
        LgadError: If timm is not installed, a name or option is unknown, the weights cannot be had, or `input_size`
            does not fit.

    Example:
        >>> network = TimmNet("convnext_atto", num_classes=7, input_size=(352, 640))  # doctest: +SKIP
    """

    rebuilt_with: ClassVar[dict[str, Any]] = {"pretrained": False}

    def __init__(
        self,
        backbone: str = "mobilenetv4_conv_small",
        num_classes: int = 5,
        in_channels: int = 3,
        input_size: tuple[int, int] = (288, 800),
        existence: bool = True,
        pretrained: bool | str = False,
        channels: int = 128,
        dropout: float = 0.1,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        settings = {"features_only": True, "in_chans": in_channels, **(options or {})}
        body = create(f"TimmNet({backbone!r})", backbone, pretrained, settings)
        strides, widths = body.feature_info.reduction(), body.feature_info.channels()
        channels_last = getattr(body, "output_fmt", None) == "NHWC"
        encoder = LibraryEncoder(_ChannelsFirst(body) if channels_last else body, strides)
        super().__init__(
            encoder=encoder,
            decoder=LibraryDecoder(_LightHead(strides, widths, encoder.first, channels, num_classes, dropout)),
            channels=widths[-1],
            in_channels=in_channels,
            num_classes=num_classes,
            input_size=input_size,
            existence=existence,
            multiple=math.lcm(self.STRIDE, *strides),
        )


def create(network: str, backbone: str, pretrained: bool | str, settings: dict[str, Any]) -> Any:
    """A model of timm.

    Args:
        network: What to call it in errors.
        backbone: Its name, with or without the tag of its weights.
        pretrained: Whether with the weights of the hub, or with those of a file.
        settings: Further arguments of `timm.create_model`.

    Raises:
        LgadError: If timm is not installed, the name or a setting is unknown, or the weights cannot be had.
    """
    timm = import_library("timm", network)
    check_name("backbone", backbone.split(".")[0], timm.list_models())
    if isinstance(pretrained, str):
        settings = settings | {"pretrained_cfg_overlay": {"file": pretrained}}
    with making(network, pretrained):
        return timm.create_model(backbone, pretrained=bool(pretrained), **settings)


class _ChannelsFirst(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> list[Tensor]:
        return [features.permute(0, 3, 1, 2) for features in self.body(x)]


class _LightHead(nn.Module):
    """Classifies the cells at an eighth of the input's resolution by the sum of all maps from the `first` on."""

    def __init__(
        self, strides: Sequence[int], widths: Sequence[int], first: int, channels: int, num_classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.first = first
        self.deepest = strides[-1]
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1, bias=False) for width in widths[first:])
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        height, width = (side * self.deepest // LaneNetwork.STRIDE for side in maps[-1].shape[2:])
        pairs = zip(self.lateral, maps[self.first :], strict=True)
        total = reduce(torch.add, [resized(lateral(features), (height, width)) for lateral, features in pairs])
        logits: Tensor = self.classifier(self.dropout(self.relu(self.norm(total))))
        return logits
