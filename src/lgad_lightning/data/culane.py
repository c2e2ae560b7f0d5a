"""CULane, and every data set in its layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.official import OfficialCounts
from lgad_lightning.data.pixels import read_mask
from lgad_lightning.data.source import LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULANE_SIZE, Lane, culane_slots, read_lines
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import MASKS, check_image_name, read_list, read_pairs, scenario_name
from lgad_lightning.lanes.slots import CULANE_SLOTS

CULANE_COUNTS = {
    "train": OfficialCounts(88_880),
    "val": OfficialCounts(9_675, 32_682),
    "test": OfficialCounts(34_680, 104_886, {92_946: "annotations from before April 2018 have so many"}),
    "test: normal": OfficialCounts(9_621, 32_777),
    "test: crowd": OfficialCounts(8_113, 28_003),
    "test: hlight": OfficialCounts(486),
    "test: shadow": OfficialCounts(930),
    "test: noline": OfficialCounts(4_067),
    "test: arrow": OfficialCounts(890),
    "test: curve": OfficialCounts(422),
    "test: cross": OfficialCounts(3_122, 0),
    "test: night": OfficialCounts(7_029),
}
"""From threads of SCNN, LaneATT and PytorchAutoDrive. The validation lanes are counted in the bits of `val_gt.txt`."""


class CULaneSource(LaneSource):
    """A split of CULane.

    Label maps are read from the masks if the folder of masks exists, and drawn from `.lines.txt` if not.

    Args:
        root: Folder with `list/` and the drivers' folders.
        split: `train`, `val` or `test`.
    """

    def __init__(self, root: Path, split: Split) -> None:
        candidates = [f"list/{split}_gt.txt", f"list/{split}.txt"] if split != "test" else ["list/test.txt"]
        found = [root / name for name in candidates if (root / name).is_file()]
        if not found:
            raise LgadError(f"No list of {split} images: looked for {' and '.join(candidates)} in {root}.")
        self.list = found[0]
        pairs = read_pairs(self.list)
        for name, _ in pairs:
            check_image_name(name, self.list)
        if split != "test":  # a test is scored by its lanes
            _check_masks(pairs, root, split, self.list)
        super().__init__(root, Strings(name for name, _ in pairs), CULANE_SLOTS)
        self.masks = root / MASKS[split] if (root / MASKS[split]).is_dir() else None
        self.scenarios, self._scenario = _scenarios(root, self.names) if split == "test" else ([], None)

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lanes in the `.lines.txt` beside an image."""
        return read_lines((self.root / self.names[index]).with_suffix(".lines.txt"), image_size)

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Four slots by the rule of CULane's own mask generator.

        In the official masks, lanes end one row (10 px) lower than in `.lines.txt`. The same is done here.
        """
        return [lane and _without_top(lane) for lane in culane_slots(lanes)]

    def mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The official mask. None if there are no masks."""
        if self.masks is None:
            return None
        return read_mask(self.label_path(index), self.num_slots, image_size)

    def label_path(self, index: int) -> Path:
        """The mask of an image. If there are no masks: its `.lines.txt`."""
        return super().label_path(index) if self.masks is None else (self.masks / self.names[index]).with_suffix(".png")

    def files(self, index: int) -> list[Path]:
        """The image, its mask (if there are masks) and its `.lines.txt`."""
        return list(dict.fromkeys([*super().files(index), super().label_path(index)]))

    def scenario(self, index: int) -> str | None:
        """The test scenario of an image. None if there are no lists of the scenarios."""
        return None if self._scenario is None else self.scenarios[self._scenario[index]]

    def existence_bits(self) -> list[str] | None:
        """The four bits at the end of each line of the list. None unless all lines have them."""
        text = self.list.read_text(encoding="utf-8-sig", errors="surrogateescape")
        bits = ["".join(line.split()[2:]) for line in text.splitlines() if line.strip()]
        return bits if len(bits) == len(self) and all(len(found) == self.num_slots for found in bits) else None


class CULaneDataModule(LaneDataModule):
    """CULane in its official layout.

    ```
    ROOT/driver_*/<clip>.MP4/<frame>.jpg and <frame>.lines.txt
    ROOT/laneseg_label_w16/driver_*/...png (optional: else drawn from .lines.txt; for the test: laneseg_label_w16_test)
    ROOT/list/{train,val}_gt.txt, test.txt, test_split/test*_*.txt
    ```

    Args:
        root: Folder of the data set.
        options: The other arguments of `LaneDataModule`. SAD's recipe cuts off the top: `crop_top=240`.

    Example:
        >>> CULaneDataModule("/data/CULane", input_size=(208, 976), crop_top=240).num_classes
        5
    """

    layout = "culane"
    markers = ("list/*.txt",)
    slot_choices = (CULANE_SLOTS,)
    official = CULANE_COUNTS

    def __init__(self, root: str | Path, **options: Any) -> None:
        super().__init__(root, num_slots=CULANE_SLOTS, **options)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The official classes, from left to right."""
        return "background", "left-left", "ego-left", "ego-right", "right-right"

    def source(self, split: Split) -> CULaneSource:
        """The images and labels of a split."""
        try:
            return CULaneSource(self.root, split)
        except LgadError as error:
            raise LgadError(
                f"{error} Expected is CULane's layout: list/train_gt.txt, list/val_gt.txt, list/test.txt, and the "
                f"images with their .lines.txt in driver_*/*.MP4/. {self.advice}"
            ) from error


def _check_masks(pairs: Sequence[tuple[str, str | None]], root: Path, split: Split, where: Path) -> None:
    """Refuses a list whose masks are elsewhere than where they are read."""
    for name, mask in pairs:
        expected = f"{MASKS[split]}/{name.rpartition('.')[0]}.png"
        if mask is not None and mask != expected:
            check_image_name(mask, where)
            if (root / mask).is_file():
                raise LgadError(
                    f"{where} names the mask {mask}. In CULane's layout, it is read from {expected}: put the masks "
                    "there, or read the lists as your own data (layout folder, files={train: LIST, ...})."
                )
            return  # the masks that are named were not copied here


def _without_top(lane: Lane) -> Lane:
    """The lane from the bottom up, without its uppermost 10 rows of 590."""
    points = lane.bottom_up().points
    points = points[np.argsort(-points[:, 1], kind="stable")]
    top = points[:, 1].min() + 10 / CULANE_SIZE[0] * lane.image_size[0]
    below = points[points[:, 1] > top + 0.01]
    end = lane.x_at([top])
    return Lane(np.concatenate([below, np.column_stack([end, [top]])[np.isfinite(end)]]), lane.image_size)


def _scenarios(root: Path, names: Sequence[str]) -> tuple[list[str], NDArray[np.int8] | None]:
    """The names of the test scenarios, and the number of each image's scenario. Without lists: no names and None."""
    lists = sorted((root / "list" / "test_split").glob("test*_*.txt"))
    if not lists:
        return [], None
    scenarios = [scenario_name(path) for path in lists]
    number_of: dict[str, int] = {}
    for number, path in enumerate(lists):
        for name in read_list(path):
            if number_of.setdefault(name, number) != number:
                raise LgadError(f"{name} is in {lists[number_of[name]]} and in {path}: an image has one scenario.")
    missing = [name for name in names if name not in number_of]
    if missing:
        raise LgadError(
            f"{missing[0]} and {len(missing) - 1} more images of {root / 'list/test.txt'} are in none of the lists in "
            f"{root / 'list/test_split'}. Complete these, or remove the folder to test without scenarios."
        )
    return scenarios, np.array([number_of[name] for name in names], np.int8)
