import inspect
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from lgad_lightning.extras import import_extra
from lgad_lightning.networks.base import LaneNetwork
from lgad_lightning.networks.library import (
    LibraryDecoder,
    LibraryEncoder,
    check_name,
    making,
    read_weights,
)


class SmpNet(LaneNetwork):
    """A network of segmentation_models_pytorch, with a head for lane existence on its deepest features.

    It needs the extra `zoo`. `encoder.stage1` returns features at a quarter of the input's resolution. Each further
    stage halves the resolution, as far as architecture and encoder go down. All stages of `DPT` have one resolution.

    Args:
        architecture: `Unet`, `FPN`, `DeepLabV3Plus`, `Linknet`, ...: a name that `smp.create_model` takes.
        encoder: `resnet18`, `mobilenet_v2`, ..., or `tu-NAME` for an encoder of timm.
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of the coarsest stride (32); other sizes
            work too.
        existence: Whether to build the existence head.
        pretrained: Whether the encoder starts from its ImageNet weights (the hub's cache keeps them). Or the path of a
            file with weights of such an encoder for three channels (safetensors or `torch.save`).
        options: Further arguments of the architecture, such as `{"decoder_channels": [128, 64, 32, 16, 8]}`.

    Raises:
        LgadError: If the library is not installed, a name or option is unknown, the weights cannot be loaded, or
            `input_size` does not fit.

    Example:
        >>> network = SmpNet("FPN", "mobilenet_v2", num_classes=7, input_size=(352, 640))  # doctest: +SKIP
    """

    rebuilt_with: ClassVar[dict[str, Any]] = {"pretrained": False}

    def __init__(
        self,
        architecture: str = "Unet",
        encoder: str = "resnet18",
        num_classes: int = 5,
        in_channels: int = 3,
        input_size: tuple[int, int] = (288, 800),
        existence: bool = True,
        pretrained: bool | str = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        model = _create(architecture, encoder, num_classes, in_channels, pretrained, dict(options or {}))
        strides = getattr(model.encoder, "output_strides", None) or _strides(model.encoder)
        super().__init__(
            encoder=LibraryEncoder(model.encoder, strides),
            decoder=LibraryDecoder(_Head(model)),
            channels=model.encoder.out_channels[-1],
            in_channels=in_channels,
            num_classes=num_classes,
            input_size=input_size,
            existence=existence,
            multiple=math.lcm(self.STRIDE, *strides),
        )


class _Head(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.classifier = model.segmentation_head

    def forward(self, *maps: Any) -> Tensor:
        logits: Tensor = self.classifier(self.decoder(*maps))
        return logits


def _create(
    architecture: str, encoder: str, num_classes: int, in_channels: int, pretrained: bool | str, options: dict[str, Any]
) -> Any:
    smp = import_extra("segmentation_models_pytorch", "zoo", "SmpNet")
    kinds = smp.MODEL_ARCHITECTURES_MAPPING
    check_name("architecture", architecture.lower(), kinds)
    timms = encoder.startswith("tu-")
    if not timms:  # unknown options go to timm's encoders, but other encoders lose them
        check_name("encoder", encoder, smp.encoders.get_encoder_names())
        for option in options:
            check_name("option", option, inspect.signature(kinds[architecture.lower()].__init__).parameters)
    with making(f"SmpNet({architecture!r}, {encoder!r})", pretrained):
        if isinstance(pretrained, bool):
            weights = (True if timms else "imagenet") if pretrained else None
            return smp.create_model(architecture, encoder, weights, in_channels, num_classes, **options)
        if timms:
            file = {"pretrained_cfg_overlay": {"file": pretrained}}
            return smp.create_model(architecture, encoder, True, in_channels, num_classes, **options, **file)
        model = smp.create_model(architecture, encoder, None, 3, num_classes, **options)
        model.encoder.load_state_dict(read_weights(pretrained))
        model.encoder.set_in_channels(in_channels, pretrained=True)
        return model


def _strides(encoder: Any) -> list[int]:
    """The stride of the input (the library counts it as a map), then the stride of each map."""
    return [min(2**number, encoder.output_stride) for number in range(len(encoder.out_channels))]
