"""What is known about a model in addition to its weights."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULANE_SIZE, TUSIMPLE_SIZE, GridDecoder, MaskDecoder, TuSimpleDecoder

_SIZES = {"culane": CULANE_SIZE, "tusimple": TUSIMPLE_SIZE}
_ODD = 0.02  # relative difference of the aspect; more means another camera or another crop


@dataclass(frozen=True)
class ModelInfo:
    """What a prediction needs to know.

    Args:
        preprocessing: Turns an image into the input of the network.
        decoder: Turns probabilities into lanes.
        protocol: Name of the protocol that the model is scored by. None if not known.
        class_names: A name for each class, the background's first.
        image_size: Height and width of the images that it was trained with. None if not known.
        identity: Digits that differ between models.
    """

    preprocessing: Preprocessing
    decoder: GridDecoder | MaskDecoder
    protocol: str | None
    class_names: tuple[str, ...]
    image_size: tuple[int, int] | None
    identity: str

    def __post_init__(self) -> None:
        size = self.image_size
        if not all(isinstance(name, str) for name in self.class_names) or len(self.class_names) < 2:
            raise LgadError(f"The names of the model's classes are {self.class_names}: its description is damaged.")
        if size is not None and not (len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
            raise LgadError(f"The model's image_size is {size}: its description is damaged.")
        if not isinstance(self.protocol, str | None):
            raise LgadError(f"The model's protocol is {self.protocol}: its description is damaged.")

    @property
    def usual_size(self) -> tuple[int, int] | None:
        """Height and width of its images. If they are not known, the size of its protocol."""
        return self.image_size or _SIZES.get(self.protocol or "")

    def preprocessing_for(self, size: tuple[int, int]) -> Preprocessing:
        """Returns the preprocessing for images of a size. The crop is the same share of their height as in training.

        Args:
            size: Height and width in pixels.
        """
        usual = self.usual_size
        if usual is None or size[0] == usual[0] or not self.preprocessing.crop_top:
            return self.preprocessing
        return replace(self.preprocessing, crop_top=round(self.preprocessing.crop_top * size[0] / usual[0]))

    def size_warning(self, size: tuple[int, int]) -> str | None:
        """Returns a warning if the model is worse on images of a size than on those of the training, otherwise None.

        Args:
            size: Height and width in pixels.
        """
        usual = self.usual_size
        if usual is None:
            return None
        if abs(size[1] / size[0] * usual[0] / usual[1] - 1) > _ODD:
            return (
                f"Images of {size[1]}x{size[0]} pixels have another aspect than those of the training "
                f"({usual[1]}x{usual[0]}): the network sees distorted lanes. Crop them to that aspect for better "
                "results."
            )
        if isinstance(self.decoder, TuSimpleDecoder) and size[0] != usual[0]:
            rows = self.decoder.h_samples
            return (
                f"Images have {size[0]} rows, those of the training had {usual[0]}: TuSimpleDecoder finds lanes only "
                f"in its h_samples, rows {min(rows)} to {max(rows)}. Resize the images to {usual[1]}x{usual[0]} "
                "pixels to find whole lanes."
            )
        return None


def files_identity(paths: Iterable[Path]) -> str:
    """Computes 16 hexadecimal digits that identify the content of files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
