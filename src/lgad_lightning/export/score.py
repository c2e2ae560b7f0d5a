"""Computes the official figures of an engine on a data set."""

from collections.abc import Iterator, Sequence
from typing import Any

from lgad_lightning.data import LaneDataModule
from lgad_lightning.data.source import LaneSource
from lgad_lightning.data.spread import spread
from lgad_lightning.errors import LgadError
from lgad_lightning.inference.engine import Engine
from lgad_lightning.inference.pipeline import predict_shots
from lgad_lightning.inference.sources import Shot


def official_figures(engine: Engine, data: LaneDataModule, images: int | None = None) -> dict[str, Any]:
    """Computes the figures of a data set's protocol on its test images. It predicts as `lgad-predict` does.

    Args:
        engine: The network.
        data: The data set.
        images: Number of images, evenly spread. None: all.

    Raises:
        LgadError: If an image cannot be read or predicted on.
    """
    source = data.open("test")
    chosen = spread(len(source), most=images or len(source))
    metric = data.protocol.metric()
    for index, predicted in zip(chosen, predict_shots(engine, _shots(source, chosen), batch_size=8), strict=True):
        if predicted.error or predicted.shot.image is None:
            raise LgadError(predicted.error)
        height, width = predicted.shot.image.shape[:2]
        evaluation = source.evaluation(index, (height, width))
        metric.update([list(predicted.lanes)], **{key: [value] for key, value in evaluation.items()})
    total: dict[str, Any] = metric.results()["total"]
    return total


def main_figure(figures: dict[str, Any]) -> tuple[str, float]:
    """Returns name and value of the figure that a protocol ranks by: CULane's F1, TuSimple's accuracy."""
    name = "f1" if "f1" in figures else "accuracy"
    return name, float(figures[name])


def _shots(source: LaneSource, chosen: Sequence[int]) -> Iterator[Shot]:
    for index in chosen:
        yield Shot(source.names[index], source.image(index))
