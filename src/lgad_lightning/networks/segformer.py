from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from lgad_lightning.extras import import_extra
from lgad_lightning.networks.base import LaneNetwork
from lgad_lightning.networks.library import LibraryDecoder, check_name, making, resized

Variant = Literal["b0", "b1", "b2", "b3", "b4", "b5"]
NARROW, WIDE = [32, 64, 160, 256], [64, 128, 320, 512]
SIZES: dict[str, tuple[list[int], list[int], int]] = {
    "b0": (NARROW, [2, 2, 2, 2], 256),
    "b1": (WIDE, [2, 2, 2, 2], 256),
    "b2": (WIDE, [3, 4, 6, 3], 768),
    "b3": (WIDE, [3, 4, 18, 3], 768),
    "b4": (WIDE, [3, 8, 27, 3], 768),
    "b5": (WIDE, [3, 6, 40, 3], 768),
}
"""For each variant: channels of the stages, blocks of the stages, and channels of the head."""
MULTIPLE = 32


class SegFormer(LaneNetwork):
    """SegFormer (Xie et al., NeurIPS 2021) from transformers, with a head for lane existence on its deepest features.

    It needs the extra `transformers`. `encoder.stage1` to `encoder.stage4` return tokens `(B, N, C)` at 1/4, 1/8, 1/16
    and 1/32 of the input's resolution. The tokens are taken before the norm at the end of each stage, because all cells
    have the same attention after it.

    Args:
        variant: The published size.
        num_classes: Classes K: the background and the lane slots (CULane 5, TuSimple 7).
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        input_size: Usual `(height, width)` of the input in pixels, multiples of 32; other sizes work too.
        existence: Whether to build the existence head.
        pretrained: Whether the encoder starts from the ImageNet weights `nvidia/mit-...` (the hub's cache keeps them).
            Or the path of a folder that `save_pretrained` of such an encoder wrote.
        dropout: Probability of dropping a channel before the classifier.

    Raises:
        LgadError: If transformers is not installed, the weights cannot be loaded, or `input_size` does not fit.

    Example:
        >>> network = SegFormer("b1", num_classes=7, input_size=(352, 640))  # doctest: +SKIP
    """

    rebuilt_with: ClassVar[dict[str, Any]] = {"pretrained": False}

    def __init__(
        self,
        variant: Variant = "b0",
        num_classes: int = 5,
        in_channels: int = 3,
        input_size: tuple[int, int] = (288, 800),
        existence: bool = True,
        pretrained: bool | str = False,
        dropout: float = 0.1,
    ) -> None:
        check_name("variant", variant, SIZES)
        transformers = import_extra("transformers", "transformers", "SegFormer")
        widths, depths, head_width = SIZES[variant]
        config = transformers.SegformerConfig(
            num_labels=num_classes,
            num_channels=in_channels,
            hidden_sizes=widths,
            depths=depths,
            decoder_hidden_size=head_width,
            classifier_dropout_prob=dropout,
        )
        model = transformers.SegformerForSemanticSegmentation(config)
        if pretrained:
            source = f"nvidia/mit-{variant}" if pretrained is True else pretrained
            with making(f"SegFormer({variant!r})", pretrained):
                model.segformer = transformers.SegformerModel.from_pretrained(
                    source, config=config, ignore_mismatched_sizes=True
                ).train()
        super().__init__(
            encoder=_Encoder(model.segformer.stages),
            decoder=LibraryDecoder(model.decode_head),
            channels=widths[-1],
            in_channels=in_channels,
            num_classes=num_classes,
            input_size=input_size,
            existence=existence,
            multiple=MULTIPLE,
        )


class _Encoder(nn.Module):
    """The stages of transformers. Each has a submodule for hooks between its last block and its norm."""

    def __init__(self, stages: nn.ModuleList) -> None:
        super().__init__()
        for number, stage in enumerate(stages, 1):
            name = nn.Identity()
            self.add_module(f"stage{number}", name)
            stage.layer_norm = nn.Sequential(name, stage.get_submodule("layer_norm"))
        self.body = stages

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        size = (x.shape[2] // LaneNetwork.STRIDE, x.shape[3] // LaneNetwork.STRIDE)
        maps = []
        for stage in self.body:
            x = stage(x)
            maps.append(x)
        return resized(x, size), maps
