from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lgad_lightning.data import LaneBatch, LaneDataModule, Preprocessing
from lgad_lightning.data.protocol import PROTOCOLS
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import uncompiled
from lgad_lightning.lanes import Frame, Lane
from lgad_lightning.metrics.base import LaneMetric
from lgad_lightning.modules.base import LaneModule
from lgad_lightning.modules.description import StudentParts, describe_parts, recipe_of
from lgad_lightning.modules.pretrained import read_parts, save_parts
from lgad_lightning.modules.weights import STUDENT
from lgad_lightning.networks import LaneOutput

LaneDecoder = Callable[[Tensor, Tensor | None, Sequence[Frame]], list[list[Lane]]]
"""Turns class probabilities `(B, K, H, W)` and existence probabilities `(B, K-1)` into the lanes of each image."""


class LaneResult(TypedDict):
    """The result of a test or predict step: the names of the images, and the lanes in image coordinates."""

    name: list[str]
    lanes: list[list[Lane]]


class LaneStudent(LaneModule):
    """The student: it sees the image and finds the lanes.

    Validation and test find lanes and score them by the protocol of the data set, in addition to the pixel metrics of
    `LaneModule`. The figures are logged under `val/` and `test/`. After a test, `test_results` holds them by scenario.

    Args:
        network: Maps `(B, 3, H, W)` to a `LaneOutput`.
        decoder: Turns probabilities into lanes. By default, that of the data module's protocol.
        metric: Scores lanes. By default, that of the data module's protocol.
        preprocessing: Turns an image into the input of the network. By default, that of the data module. It is stored
            with the student.
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
        self._metric_is_given = metric is not None
        self.preprocessing = preprocessing
        self.protocol: str | None = None
        self.class_names = ("background", *(f"lane {slot}" for slot in range(1, self.num_classes)))
        self.figures: dict[str, float] = {}
        self.recipe: dict[str, Any] = {}
        self.image_size: tuple[int, int] | None = None
        self.test_results: dict[str, Any] = {}

    def setup(self, stage: str) -> None:
        """Takes decoder, metric and preprocessing from the data module if they were not given, and checks them.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.

        Raises:
            LgadError: If the metric belongs to another protocol than the data, or if there is no decoder or metric.
        """
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, LaneDataModule):
            self._fit_to(data, stage)
        missing = [name for name in ("decoder", "metric") if getattr(self, name) is None]
        if missing and not (stage == "predict" and missing == ["metric"]):
            raise LgadError(f"LaneStudent needs {missing[0]}=..., because the data are not a LaneDataModule.")

    def _fit_to(self, data: LaneDataModule, stage: str) -> None:
        fitting = type(data.protocol.metric())
        if type(self.metric) is not fitting and type(self.metric) in {type(known.metric()) for known in PROTOCOLS}:
            raise LgadError(
                f"{type(data).__name__} is scored by the protocol of {data.protocol.name}, and "
                f"{type(self.metric).__name__} belongs to another one: give LaneStudent no metric, or the right one."
            )
        if self.decoder is None:
            self.decoder = data.protocol.decoder()
        if not self._metric_is_given:  # at each setup: metrics of one class differ in threshold or canvas
            self.metric = data.protocol.metric()
        if stage != "fit" and self.preprocessing not in (None, data.preprocessing):
            rank_zero_warn(
                f"The student was trained with {self.preprocessing}, and is now used with {data.preprocessing}: its"
                " figures are those of another input."
            )
        else:
            self.preprocessing = data.preprocessing
        self.protocol = data.protocol.name
        self.class_names = data.class_names

    @property
    def parts(self) -> StudentParts:
        """The parts of this student, with its figures and its recipe. The network is that without `torch.compile`."""
        figures = self.figures | {f"test/{name}": value for name, value in self.test_results.get("total", {}).items()}
        return StudentParts(
            uncompiled(self.network),
            self.decoder,
            self.preprocessing,
            self.protocol,
            self.class_names,
            figures,
            self.recipe,
            self.image_size,
        )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Stores the size of the images, because crop and aspect belong to this size. Drops figures of old weights."""
        self.figures, self.test_results = {}, {}
        if isinstance(batch, dict) and batch.get("frame"):
            height, width, crop_top = batch["frame"][0]
            self.image_size = (height, width)
            if crop_top and any(other != height for other, _, _ in batch["frame"]):
                rank_zero_warn(
                    f"The images have different heights. Training and test cut crop_top={crop_top} rows from each, but "
                    "a prediction cuts the same share of each height: crop the images before, and set crop_top=0."
                )

    def on_train_end(self) -> None:
        """Stores the recipe of the training."""
        self.recipe = recipe_of(self.trainer, self.hparams)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stores what `load_student` needs, and the recipe of the training.

        Args:
            checkpoint: The checkpoint. It is changed in place.
        """
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.recipe = recipe_of(self.trainer, self.hparams)
        checkpoint[STUDENT] = describe_parts(self.parts)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes figures and recipe of the weights that are loaded.

        Args:
            checkpoint: The checkpoint.
        """
        stored = checkpoint.get(STUDENT, {})
        self.figures, self.recipe, self.test_results = stored.get("figures", {}), stored.get("recipe", {}), {}

    def save_pretrained(self, folder: str | Path, figures: Mapping[str, float] | None = None) -> Path:
        """Writes the student as the Hugging Face hub wants it (extra `hub`).

        Args:
            folder: A new or empty folder, or one of a saved student. It gets `config.json`, `model.safetensors` and a
                model card.
            figures: The figures for the card. By default, those of the validation and the test.

        Returns:
            The folder. `huggingface_hub.upload_folder` uploads it to the hub.

        Raises:
            LgadError: If a part cannot be described, or if the folder holds other files.
        """
        parts = self.parts
        if figures is not None:
            parts = replace(parts, figures={name: float(value) for name, value in figures.items()})
        return save_parts(parts, folder)

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None, **given: Any) -> "LaneStudent":
        """Loads a student from a folder that `save_pretrained` wrote, or from the hub (extra `hub`).

        No code of the folder is run: only classes of this package, or of modules that were imported before, are built.

        Args:
            source: A folder, or the name of a repository of the hub.
            revision: Branch, tag or commit of the repository.
            given: `network`, `decoder` or `preprocessing`, if they cannot be built from the description.

        Returns:
            The student in evaluation mode, on the CPU.

        Raises:
            LgadError: If there is no student, or if a part cannot be built.
        """
        return cls.of_parts(read_parts(source, revision, **given))

    @classmethod
    def of_parts(cls, parts: StudentParts) -> "LaneStudent":
        """Builds a student from its parts, in evaluation mode.

        Args:
            parts: Network with its weights, decoder, preprocessing, protocol and names of the classes.
        """
        protocol = next((known for known in PROTOCOLS if known.name == parts.protocol), None)
        student = cls(parts.network, parts.decoder, preprocessing=parts.preprocessing)
        student.metric = protocol.metric() if protocol is not None else None
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
        """Updates the metrics that are logged under `val/`, and returns the lanes."""
        return self.score(batch, "val")

    def test_step(self, batch: LaneBatch, batch_idx: int) -> LaneResult:
        """Updates the metrics that are logged under `test/`, and returns the lanes."""
        return self.score(batch, "test")

    def score(self, batch: LaneBatch, split: str) -> LaneResult:
        """Evaluates a batch as `LaneModule` does, and updates the metric of the protocol."""
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
        """Logs the figures of the protocol and those of `LaneModule`, and keeps them."""
        super().log_metrics(split)
        assert self.metric is not None
        for name, value in self.metric.compute().items():
            self.log(f"{split}/{name}", value.float(), prog_bar=name in ("f1", "accuracy"), sync_dist=True)
        if split == "test":
            self.test_results = self.metric.results()
        else:
            logged = self.trainer.callback_metrics.items()
            self.figures |= {name: float(value) for name, value in logged if name.startswith("val/")}
        self.metric.reset()

    def predict_step(self, batch: LaneBatch, batch_idx: int) -> LaneResult:
        """Finds the lanes of one batch of images."""
        return {"name": batch["name"], "lanes": self.decode(self(batch["image"]), batch["frame"])}

    def decode(self, output: LaneOutput, frames: Sequence[Frame]) -> list[list[Lane]]:
        """Finds the lanes of each image, in the coordinates of the original image.

        Args:
            output: The output of the network for B images.
            frames: For each of the B inputs, how it was cut from its image.
        """
        if self.decoder is None:
            raise LgadError("LaneStudent has no decoder to find lanes: set it, for example decoder=CULaneDecoder().")
        existence = None if output.existence is None else output.existence.float().sigmoid()
        return self.decoder(output.logits.float().softmax(dim=1), existence, frames)
