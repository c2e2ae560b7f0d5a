"""Images, labels, predictions and attention maps of a few samples, as a picture and as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from lgad_lightning.attention import attention_map
from lgad_lightning.attention_file import MapPair, StoredMaps, write_maps
from lgad_lightning.batch_items import Where, image_of, label_of, size_of
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.drawing import Picture, draw_attention, draw_grid, draw_image, draw_label, write_picture
from lgad_lightning.errors import LgadError
from lgad_lightning.features import evaluating, record_features, tensor_of


@dataclass(frozen=True)
class Sight:
    """Images, labels, predictions and attention maps of a few samples.

    Args:
        images: The samples.
        truth: The samples with their label maps.
        prediction: The samples with the predictions of the module.
        attention: For each pair of layers, by name, the maps of student and target, `(N, H, W)` each.
    """

    images: list[Picture]
    truth: list[Picture]
    prediction: list[Picture]
    attention: dict[str, tuple[Tensor, Tensor]]

    def picture(self) -> Picture:
        """A row for each sample: image, ground truth, prediction, and two attention maps for each pair of layers."""
        columns = {"image": self.images, "ground truth": self.truth, "prediction": self.prediction}
        for name, maps in self.attention.items():
            for side, values in zip(("student", "target"), maps, strict=True):
                pairs = zip(values, self.images, strict=True)
                columns[f"{name}: {side}"] = [draw_attention(one, image.shape[:2]) for one, image in pairs]
        return draw_grid(columns)

    def write(self, path: Path) -> Picture:
        """Write the picture. If there are attention maps, also write them as data.

        Args:
            path: A `.png` file. The file of the maps has the same name with `.npz`.

        Returns:
            The picture.
        """
        picture = self.picture()
        write_picture(path, picture)
        if self.attention:
            pairs = {
                name: MapPair(*(one.float().cpu().numpy() for one in maps)) for name, maps in self.attention.items()
            }
            write_maps(path.with_suffix(".npz"), StoredMaps(np.stack(self.images), pairs))
        return picture


@torch.no_grad()
def see(
    module: L.LightningModule,
    batch: Any,
    distillations: Sequence[FeatureDistillation] = (),
    count: int = 4,
    image: Where | None = None,
    label: Where | None = None,
) -> Sight:
    """Run a module on the first samples of a batch. The arguments are those of `draw_batch`."""
    # Compiled code would ignore the recording hooks, or be compiled again because of them.
    with evaluating(module), torch.compiler.set_stance("force_eager"):
        output, attention = _output_and_attention(module, batch, distillations, image)
    logits = tensor_of(output)
    if not isinstance(logits, Tensor) or logits.ndim != 4:
        raise LgadError(
            f"the forward pass of {type(module).__name__} returns {type(output).__name__}, so no prediction can be "
            "drawn: return the class scores (B, K, H, W), or a mapping or an object with `logits`"
        )
    prediction = logits.argmax(1) if logits.shape[1] > 1 else logits[:, 0] > 0
    images, labels = image_of(batch, image)[:count], label_of(batch, label)
    return Sight(
        [draw_image(one) for one in images],
        [draw_label(one, label) for one, label in zip(images, labels, strict=False)],
        [draw_label(one, label) for one, label in zip(images, prediction, strict=False)],
        {name: (student[:count], target[:count]) for name, (student, target) in attention.items()},
    )


def _output_and_attention(
    module: L.LightningModule, batch: Any, distillations: Sequence[FeatureDistillation], where: Where | None
) -> tuple[Any, dict[str, tuple[Tensor, Tensor]]]:
    image = image_of(batch, where).to(module.dtype)
    output: Any = None
    maps: dict[str, tuple[Tensor, Tensor]] = {}
    for distillation in distillations:
        fit = RunningFit(module, size=size_of(batch, where))
        fit.look_up(distillation.layer_pairs(module), distillation.teaches_itself)
        with record_features(fit.layers, owner="the student") as recorded:
            output = module(image)
        features = fit.student_features(recorded, distillation.layout)
        targets = distillation.target_features(fit, distillation.teacher_inputs(batch), features)
        short = [label.rsplit(".", 1)[-1] for label in fit.labels]
        titles = short if len(set(short)) == len(short) else fit.labels
        form = {key: getattr(distillation, key) for key in ("power", "reduction") if hasattr(distillation, key)}
        for title, (name, _), target in zip(titles, fit.pairs, targets, strict=True):
            student, shown = (attention_map(one, **form) for one in (features[name], target))
            maps[f"{distillation.name} {title}"] = student, shown
    return module(image) if output is None else output, maps
