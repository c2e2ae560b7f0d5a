"""Modules that nobody here wrote, or as strangers write them, each with two layers and where their channels are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stranger(NamedTuple):
    """A module, its batches, and what to distil."""

    build: Callable[[], L.LightningModule]
    layers: list[str]
    layout: str = "nchw"
    batch: Callable[[Tensor, Tensor], Any] = lambda image, label: (image, label)


class Segmenting(L.LightningModule):
    """What most people write."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        image, label = batch
        output = self.net(image)
        logits: Tensor = output.logits if hasattr(output, "logits") else output
        return F.cross_entropy(F.interpolate(logits, label.shape[-2:]), label)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class Esp(nn.Module):
    """A dilated block as in ESPNet and TwinLiteNet."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inner, outer // 2, 3, 2, 1)
        self.dilated = nn.ModuleList(nn.Conv2d(outer // 2, outer // 2, 3, 1, d, dilation=d) for d in (1, 2))
        self.norm, self.act = nn.BatchNorm2d(outer), nn.PReLU(outer)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        first = self.dilated[0](x)
        out: Tensor = self.act(self.norm(torch.cat([first, first + self.dilated[1](x)], 1)))
        return out


class TwinHeads(L.LightningModule):
    """As TwinLiteNet: one encoder, a head for the drivable area and one for the lanes; dictionaries of batches."""

    def __init__(self) -> None:
        super().__init__()
        self.level1, self.level2 = Esp(3, 8), Esp(8, 16)
        self.area, self.lanes = (nn.ConvTranspose2d(16, 2, 4, 4) for _ in range(2))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        inner = self.level2(self.level1(batch["image"]))
        area = F.cross_entropy(self.area(inner), (batch["label"] > 1).long())
        lanes = F.cross_entropy(self.lanes(inner), (batch["label"] > 0).long())
        return {"loss": area + lanes, "area": area.detach()}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)


def smp_unet() -> L.LightningModule:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="needs segmentation_models_pytorch")
    return Segmenting(smp.Unet("resnet18", encoder_weights=None, classes=3, decoder_channels=(32, 16, 8, 8, 8)))


def torchgeo_task() -> L.LightningModule:
    trainers = pytest.importorskip("torchgeo.trainers", reason="needs torchgeo")
    task: L.LightningModule = trainers.SemanticSegmentationTask(
        model="unet", backbone="resnet18", in_channels=3, num_classes=3
    )
    return task


def segformer() -> L.LightningModule:
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    config = transformers.SegformerConfig(
        num_labels=3, hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=16
    )
    return Segmenting(transformers.SegformerForSemanticSegmentation(config))


def swin() -> L.LightningModule:
    transformer = pytest.importorskip("torchvision.models.swin_transformer", reason="needs torchvision")

    class SwinSegmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kind = transformer.SwinTransformer
            self.backbone = kind([4, 4], embed_dim=12, depths=[1, 1], num_heads=[1, 1], window_size=[4, 4]).features
            self.head = nn.Conv2d(24, 3, 1)

        def forward(self, image: Tensor) -> Tensor:
            out: Tensor = self.head(self.backbone(image).permute(0, 3, 1, 2))
            return out

    return Segmenting(SwinSegmenter())


STRANGERS = {
    "twin": Stranger(TwinHeads, ["level1", "level2"], batch=lambda image, label: {"image": image, "label": label}),
    "smp": Stranger(smp_unet, ["net.encoder.layer1", "net.encoder.layer2"]),
    "torchgeo": Stranger(
        torchgeo_task,
        ["model.encoder.layer1", "model.encoder.layer2"],
        batch=lambda image, label: {"image": image, "mask": label, "bbox": [0, 0, 1, 1]},
    ),
    "segformer": Stranger(segformer, ["net.segformer.stages.0.blocks.0", "net.segformer.stages.1.blocks.0"], "tokens"),
    "swin": Stranger(swin, ["net.backbone.1", "net.backbone.3"], "nhwc"),
}
