import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lgad_lightning.extras import import_extra
from lgad_lightning.networks.base import LaneNetwork
from lgad_lightning.networks.library import (
    LibraryDecoder,
    LibraryEncoder,
    check_name,
    making,
    resized,
)


class TimmNet(LaneNetwork):
    """A feature extractor of timm with a light head, and a head for lane existence on its deepest features.

    The light head brings the features of all stages to the same number of channels at an eighth of the input's
    resolution. It adds them up and classifies each cell. The network needs the extra `zoo`. `encoder.stage1` returns
    features at a quarter of the input's resolution. Each further stage halves the resolution. All stages of a plain
    vision transformer have one resolution.

    Args:
        backbone: `mobilenetv4_conv_small`, `convnext_atto`, ...: a name that `timm.create_model` takes with
            `features_only`.
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of the coarsest stride (32); other sizes
            work too.
        existence: Whether to build the existence head.
        pretrained: Whether the backbone starts from timm's weights (the hub's cache keeps them). Or the path of a file
            with its weights (safetensors or `torch.save`).
        channels: Number of channels of the maps that the head adds up.
        dropout: Probability of dropping a channel before the classifier.
        options: Further arguments of `timm.create_model`, such as `{"drop_path_rate": 0.1}`, or
            `{"dynamic_img_size": True}` for a vision transformer.

    Raises:
        LgadError: If timm is not installed, a name or option is unknown, the weights cannot be loaded, or `input_size`
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
    """Creates a model of timm.

    Args:
        network: The name of the network, for messages.
        backbone: The name of the model, with or without the tag of its weights.
        pretrained: Whether to load the weights of the hub. Or the path of a file with weights.
        settings: Further arguments of `timm.create_model`.

    Raises:
        LgadError: If timm is not installed, the name or a setting is unknown, or the weights cannot be loaded.
    """
    timm = import_extra("timm", "zoo", network)
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
    """Adds up all maps from number `first` on, at an eighth of the input's resolution, and classifies the cells."""

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
