from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lgad_lightning.data import LaneBatch, LaneDataModule, Preprocessing
from lgad_lightning.data.protocol import PROTOCOLS
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame, Lane
from lgad_lightning.metrics.base import LaneMetric
from lgad_lightning.modules.base import LaneModule
from lgad_lightning.modules.description import StudentParts, describe_parts, recipe_of
from lgad_lightning.modules.pretrained import read_parts, save_parts
from lgad_lightning.networks import LaneOutput

STUDENT = "lgad_student"
"""The key of a checkpoint under which lies what `load_student` needs."""

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
        decoder: Turns probabilities into lanes; None for that of the data module's protocol.
        metric: Scores lanes; None for that of the data module's protocol.
        preprocessing: From an image to the network's input; None for the data module's. It is stored with the student.
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

    def __init__(
        self,
        network: nn.Module,
        decoder: LaneDecoder | None = None,
        metric: LaneMetric | None = None,
        preprocessing: Preprocessing | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(network, **kwargs)
        self.decoder = decoder
        self.metric = metric
        self.preprocessing = preprocessing
        self.protocol: str | None = None
        self.class_names = ("background", *(f"lane {slot}" for slot in range(1, self.num_classes)))
        self.figures: dict[str, float] = {}
        self.recipe: dict[str, Any] = {}
        self.image_size: tuple[int, int] | None = None
        self.test_results: dict[str, Any] = {}

    def setup(self, stage: str) -> None:
        """Takes from the data module what was not given, and refuses what does not fit it.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            LgadError: If the metric is another protocol's than the data's, or there is no decoder or metric.
        """
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, LaneDataModule):
            self._fit_to(data, stage)
        missing = [name for name in ("decoder", "metric") if getattr(self, name) is None]
        if missing and not (stage == "predict" and missing == ["metric"]):
            raise LgadError(f"LaneStudent needs {missing[0]}=...: the data are no LaneDataModule that would say which.")

    def _fit_to(self, data: LaneDataModule, stage: str) -> None:
        fitting = type(data.protocol.metric())
        if type(self.metric) is not fitting and type(self.metric) in {type(known.metric()) for known in PROTOCOLS}:
            raise LgadError(
                f"{type(data).__name__} is scored by the protocol of {data.protocol.name}, which "
                f"{type(self.metric).__name__} is not part of: give LaneStudent no metric, or the right one."
            )
        if self.decoder is None:
            self.decoder = data.protocol.decoder()
        if self.metric is None:
            self.metric = data.protocol.metric()
        if stage != "fit" and self.preprocessing not in (None, data.preprocessing):
            rank_zero_warn(
                f"The student was trained with {self.preprocessing}, and is now shown {data.preprocessing}: its figures"
                " are those of another input."
            )
        else:
            self.preprocessing = data.preprocessing
        self.protocol = data.protocol.name
        self.class_names = data.class_names

    @property
    def parts(self) -> StudentParts:
        """What makes this student beside its weights, with its figures and its recipe."""
        figures = self.figures | {f"test/{name}": value for name, value in self.test_results.get("total", {}).items()}
        return StudentParts(
            self.network,
            self.decoder,
            self.preprocessing,
            self.protocol,
            self.class_names,
            figures,
            self.recipe,
            self.image_size,
        )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Notes the size of the images: crop and aspect are those of such images."""
        if isinstance(batch, dict) and batch.get("frame"):
            height, width, _ = batch["frame"][0]
            self.image_size = (height, width)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stores what `load_student` needs, and what the student was trained by.

        Args:
            checkpoint: The checkpoint, changed in place.
        """
        figures = self.trainer.callback_metrics.items()
        self.figures = {name: float(value) for name, value in figures if name.startswith("val/")}
        self.recipe = recipe_of(self.trainer, self.hparams)
        checkpoint[STUDENT] = describe_parts(self.parts)

    def save_pretrained(self, folder: str | Path, figures: Mapping[str, float] | None = None) -> Path:
        """Writes the student in the form of the Hugging Face hub (extra `hub`).

        Args:
            folder: New, empty, or of a student saved before: gets `config.json`, `model.safetensors` and a model card.
            figures: What to print on the card, the figures of its validation and its test unless given.

        Returns:
            The folder; `huggingface_hub.upload_folder` sends it to the hub.

        Raises:
            LgadError: If a part cannot be written down, or the folder holds anything else.
        """
        parts = self.parts if figures is None else replace(self.parts, figures=dict(figures))
        return save_parts(parts, folder)

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None, **given: Any) -> "LaneStudent":
        """A student from a folder that `save_pretrained` wrote, or from the hub (extra `hub`).

        No code of the folder is run: only classes of this package or of modules that were imported before are made.

        Args:
            source: A folder, or the name of a repository of the hub.
            revision: Branch, tag or commit of the repository.
            given: `network`, `decoder` or `preprocessing`, where they cannot be made again.

        Returns:
            The student in evaluation mode, on the CPU.

        Raises:
            LgadError: If there is none, or a part cannot be made again.
        """
        return cls.of_parts(read_parts(source, revision, **given))

    @classmethod
    def of_parts(cls, parts: StudentParts) -> "LaneStudent":
        """The student that parts make, in evaluation mode.

        Args:
            parts: Network with its weights, decoder, preprocessing, protocol and names of the classes.
        """
        protocol = next((known for known in PROTOCOLS if known.name == parts.protocol), None)
        metric = protocol.metric() if protocol is not None else None
        student = cls(parts.network, parts.decoder, metric, parts.preprocessing)
        student.protocol, student.class_names = parts.protocol, parts.class_names
        student.figures, student.recipe, student.image_size = parts.figures, parts.recipe, parts.image_size
        return student.eval()

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
        assert self.metric is not None  # since setup
        given = batch["evaluation"]
        if getattr(self.metric, "of_pixels", False):
            scored = {name: given[name] for name in ("images", "scenarios") if name in given}
            self.metric.update(output.logits.argmax(dim=1), batch["label"], **scored)
        else:
            self.metric.update(lanes, **given)
        return {"name": batch["name"], "lanes": lanes}

    def log_metrics(self, split: str) -> None:
        """Adds the protocol's figures to those of `LaneModule`."""
        super().log_metrics(split)
        assert self.metric is not None
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
        if self.decoder is None:
            raise LgadError("LaneStudent has no decoder to find lanes by: give it decoder=CULaneDecoder(), say.")
        existence = None if output.existence is None else output.existence.float().sigmoid()
        return self.decoder(output.logits.float().softmax(dim=1), existence, frames)
