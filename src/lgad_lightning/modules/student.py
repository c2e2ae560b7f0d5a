from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from torch import Tensor, nn

from lgad_lightning.data import LaneBatch
from lgad_lightning.lanes import Frame, Lane
from lgad_lightning.metrics.base import LaneMetric
from lgad_lightning.modules.base import LaneModule
from lgad_lightning.networks import LaneOutput

LaneDecoder = Callable[[Tensor, Tensor | None, Sequence[Frame]], list[list[Lane]]]
"""Turns class probabilities `(B, K, H, W)` and existence probabilities `(B, K-1)` into each image's lanes."""


class LaneResult(TypedDict):
    """What a test or predict step returns: the images' names and the lanes found, in image coordinates."""

    name: list[str]
    lanes: list[list[Lane]]


class LaneStudent(LaneModule):
    """The network that is wanted: it sees the image and finds the lanes.

    Validation and test decode lanes and score them by the data set's own protocol, besides the pixel metrics of
    `LaneModule`. The metric's figures are logged under `val/` and `test/`; after a test `test_results` holds them by
    scenario.

    Args:
        network: Maps `(B, 3, H, W)` to a `LaneOutput`.
        decoder: Turns probabilities into lanes: `CULaneDecoder()` or `TuSimpleDecoder()`.
        metric: The protocol's metric: `CULaneF1()` or `TuSimpleAccuracy()`.
        kwargs: The other arguments of `LaneModule`.

    Example:
        >>> import torch
        >>> from lgad_lightning.lanes import CULaneDecoder
        >>> from lgad_lightning.metrics import CULaneF1
        >>> from lgad_lightning.networks import ERFNet
        >>> student = LaneStudent(ERFNet(num_classes=5, input_size=(64, 160)), CULaneDecoder(), CULaneF1())
        >>> student(torch.zeros(2, 3, 64, 160)).existence.shape
        torch.Size([2, 4])
    """

    def __init__(self, network: nn.Module, decoder: LaneDecoder, metric: LaneMetric, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.decoder = decoder
        self.metric = metric
        self.test_results: dict[str, Any] = {}

    def forward(self, image: Tensor) -> LaneOutput:
        """Segments normalised images `(B, 3, H, W)`."""
        output: LaneOutput = self.network(image)
        return output

    def network_input(self, batch: LaneBatch) -> Tensor:
        """The image."""
        return batch["image"]

    def validation_step(self, batch: LaneBatch, batch_idx: int) -> LaneResult:
        """Updates the metrics that are logged under `val/` and returns the lanes found."""
        return self.score(batch, "val")

    def test_step(self, batch: LaneBatch, batch_idx: int) -> LaneResult:
        """Updates the metrics that are logged under `test/` and returns the lanes found."""
        return self.score(batch, "test")

    def score(self, batch: LaneBatch, split: str) -> LaneResult:
        """Adds the protocol's metric to what `LaneModule` evaluates."""
        output = self.evaluation_step(batch, split)
        lanes = self.decode(output, batch["frame"])
        self.metric.update(lanes, **batch["evaluation"])
        return {"name": batch["name"], "lanes": lanes}

    def log_metrics(self, split: str) -> None:
        """Adds the protocol's figures to those of `LaneModule`."""
        super().log_metrics(split)
        for name, value in self.metric.compute().items():
            self.log(f"{split}/{name}", value.float(), prog_bar=name in ("f1", "accuracy"), sync_dist=True)
        if split == "test":
            self.test_results = self.metric.results()
        self.metric.reset()

    def predict_step(self, batch: LaneBatch, batch_idx: int) -> LaneResult:
        """Finds the lanes of one batch of images."""
        return {"name": batch["name"], "lanes": self.decode(self(batch["image"]), batch["frame"])}

    def decode(self, output: LaneOutput, frames: Sequence[Frame]) -> list[list[Lane]]:
        """The lanes of each image, in the coordinates of the original image.

        Args:
            output: The network's output for B images.
            frames: How each of the B inputs was cut from its image.
        """
        existence = None if output.existence is None else output.existence.float().sigmoid()
        return self.decoder(output.logits.float().softmax(dim=1), existence, frames)
