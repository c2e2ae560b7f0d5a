"""Makes the attention maps of a page from the stored pictures of a run."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.attention_file import read_maps
from lgad_lightning.drawing import colour_attention, png_of
from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.frame_pictures import jpeg


def attention_of(pictures: Path) -> dict[str, Any] | None:
    """Reads the maps of the test picture, or those of the last picture of the training.

    Args:
        pictures: The run's folder of pictures.

    Returns:
        `images`: a data URI of each sample. `stages`: by name, the data URIs of each sample's two maps. `file`: the
        name of the picture. `gap`: the reason if they cannot be read. None if there are no maps.
    """
    found = [pictures / "test.npz", *sorted(pictures.glob("step-*.npz"), reverse=True)]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        return None
    try:
        stored = read_maps(path)
    except LgadError as error:
        return {"gap": str(error)}
    stages = {
        name: [(_png(student), _png(target)) for student, target in zip(*pair, strict=True)]
        for name, pair in stored.pairs.items()
    }
    images = [jpeg(np.ascontiguousarray(image[..., ::-1])) for image in stored.images]
    return {"gap": "", "images": images, "stages": stages, "file": path.with_suffix(".png").name}


def _png(values: NDArray[Any]) -> str:
    """Makes a data URI of a map with a pixel for each cell. It shows the square root, as the run's own pictures do."""
    return f"data:image/png;base64,{base64.b64encode(png_of(colour_attention(np.sqrt(values)))).decode()}"
