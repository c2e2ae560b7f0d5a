from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lgad_lightning.annotations.llamas import read_llamas
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.find_files import find_files
from lgad_lightning.data.official import OfficialCounts
from lgad_lightning.data.protocol import LLAMAS
from lgad_lightning.data.source import LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name

NAMES = ("l1", "l0", "r0", "r1")
COUNTS = {"train": OfficialCounts(58_269), "val": OfficialCounts(20_844)}
"""From the data set's page."""

_FOLDERS: dict[Split, str] = {"train": "train", "val": "valid", "test": "valid"}
_TOP = 300  # the official evaluation ignores the rows above this one


class LLAMASSource(LaneSource):
    """A split of LLAMAS. `read_llamas` makes the lanes from the markers in the labels.

    Args:
        root: Folder with `labels/` and `color_images/`.
        folder: `train` or `valid`.
    """

    stroke = 16 / 1276

    def __init__(self, root: Path, folder: str) -> None:
        labels = root / "labels" / folder
        names = find_files(root / "labels", labels, (".json",))
        for name in names:
            check_image_name(name, labels)
        images = (f"color_images/{name.removesuffix('.json')}_color_rect.png" for name in names)
        super().__init__(root, Strings(images), len(NAMES))

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The annotated lanes among the two on each side of the car."""
        found = read_llamas(self.label_path(index))
        return [Lane(found[name], image_size) for name in NAMES if name in found]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """The slots by the names of the lanes in the labels."""
        found = read_llamas(self.label_path(index))
        chosen = dict(zip([name for name in NAMES if name in found], lanes, strict=True))
        return [chosen.get(name) for name in NAMES]

    def label_path(self, index: int) -> Path:
        """The label file of an image."""
        name = self.names[index].removeprefix("color_images/").removesuffix("_color_rect.png")
        return self.root / "labels" / f"{name}.json"

    def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
        """Keyword arguments of `CULaneF1.update`. Lanes are cut above row 300, as in the official evaluation."""
        given = super().evaluation(index, image_size)
        if "target" in given:
            cut = [Lane(lane.points[lane.points[:, 1] >= _TOP], image_size) for lane in given["target"]]
            given["target"] = [lane for lane in cut if len(lane) > 1]
        return given


class LLAMASDataModule(LaneDataModule):
    """LLAMAS in its official layout.

    ```
    ROOT/labels/{train,valid}/<recording>/<frame>.json
    ROOT/color_images/{train,valid}/<recording>/<frame>_color_rect.png
    ```

    The labels of the official test images are not public. The test split is the validation split, as in other projects.

    Args:
        root: Folder of the data set.
        options: The other arguments of `LaneDataModule`.

    Example:
        >>> LLAMASDataModule("/data/llamas", input_size=(360, 640)).num_classes
        5
    """

    layout = "llamas"
    markers = ("color_images",)
    slot_choices = (len(NAMES),)
    official = COUNTS
    protocol = LLAMAS

    def __init__(self, root: str | Path, **options: Any) -> None:
        super().__init__(root, num_slots=len(NAMES), **options)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The official names, from left to right."""
        return "background", *NAMES

    def source(self, split: Split) -> LLAMASSource:
        """The images and lanes of a split."""
        if not (self.root / "labels" / _FOLDERS[split]).is_dir():
            raise LgadError(
                f"There is no folder {self.root / 'labels' / _FOLDERS[split]}. Expected is LLAMAS' layout: labels/ and "
                f"color_images/, with train/ and valid/ in each. {self.advice}"
            )
        return LLAMASSource(self.root, _FOLDERS[split])
