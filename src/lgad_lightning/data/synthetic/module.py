import os
from pathlib import Path
from typing import Any

from lgad_lightning.data.culane import CULaneDataModule
from lgad_lightning.data.synthetic.generate import SyntheticData, generate


class SyntheticLaneDataModule(CULaneDataModule):
    """Generated road scenes in CULane's layout. They are read like CULane.

    Args:
        root: Folder for the generated data set. None: a folder with a name from the parameters. It is in the folder
            of the environment variable `LGAD_CACHE`, or in `~/.cache/lgad-lightning`.
        train: Number of training images.
        val: Number of validation images.
        test: Number of test images. With a multiple of 9, all scenarios are equally frequent.
        image_size: Height and width of the images in pixels, at most 590 x 1640.
        scene_seed: Seed of the scenes.
        options: The other arguments of `LaneDataModule`.

    Example:
        >>> SyntheticLaneDataModule(train=8, val=0, test=9, input_size=(64, 160)).root.name[:10]
        'synthetic-'
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: int = 600,
        val: int = 90,
        test: int = 180,
        image_size: tuple[int, int] = (590, 1640),
        scene_seed: int = 0,
        **options: Any,
    ) -> None:
        self.data = SyntheticData(train, val, test, (int(image_size[0]), int(image_size[1])), scene_seed)
        if root is None:
            root = Path(os.environ.get("LGAD_CACHE", "~/.cache/lgad-lightning")) / f"synthetic-{self.data.identity}"
        super().__init__(root, **options)

    def prepare_data(self) -> None:
        """Generates the data set if it is not there yet, and prepares it like other data sets."""
        generate(self.data, self.root)
        super().prepare_data()
