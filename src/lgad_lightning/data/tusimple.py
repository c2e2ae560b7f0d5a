from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.official import OfficialCounts
from lgad_lightning.data.protocol import TUSIMPLE, Protocol
from lgad_lightning.data.source import SPLITS, LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import TUSIMPLE_ROWS, Lane, TuSimpleDecoder, read_tusimple, tusimple_slots
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name
from lgad_lightning.lanes.slots import TUSIMPLE_SLOTS

LABELS: dict[Split, tuple[str, ...]] = {
    "train": ("label_data_0313.json", "label_data_0601.json"),
    "val": ("label_data_0531.json",),
    "test": ("test_label.json",),
}
"""The label files of each split, divided as in SAD, SCNN and PytorchAutoDrive: 3,268, 358 and 2,782 frames."""

TUSIMPLE_COUNTS = {
    "train": OfficialCounts(3_268, 13_219),
    "val": OfficialCounts(358, 1_118),
    "test": OfficialCounts(2_782, 9_947),
}
"""Counted in the label files."""


class TuSimpleSource(LaneSource):
    """Frames of TuSimple label files. Label maps are drawn from their lanes.

    Args:
        root: Folder with `clips/` and the label files (original layout), or with `train_set/` and `test_set/` (Kaggle's
            copy, where `test_label.json` is in `test_set/` or in the folder itself).
        split: `train`, `val` or `test`.
        num_slots: 4 or 6. With 4, the outermost lanes of wide roads have no class.
        labels: Names of the label files.
    """

    stroke = 16 / 1280

    def __init__(self, root: Path, split: Split, num_slots: int, labels: Sequence[str]) -> None:
        part = root / ("test_set" if split == "test" else "train_set")
        folder = part if part.is_dir() else root
        paths = []
        for name in labels:
            candidates = [folder / name, root / name]
            found = next((path for path in candidates if path.is_file()), None)
            if found is None:
                raise LgadError(f"No label file {' or '.join(map(str, dict.fromkeys(candidates)))}.")
            paths.append(found)
        parts = [(path, frame) for path in paths for frame in read_tusimple(path)]
        for path, frame in parts:
            check_image_name(frame.raw_file, path)
        frames = [frame for _, frame in parts]
        # Names begin below `folder`, so that they are those of the label files, as the official evaluator expects.
        super().__init__(folder, Strings(frame.raw_file for frame in frames), num_slots)
        self._frames = frames
        self.rows = {row for frame in frames for row in frame.h_samples}
        self._label_paths = [path for path, _ in parts]

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lanes of a frame. Lanes that are not visible in any row have no points."""
        return [Lane(lane.points, image_size) for lane in self._frames[index].lanes]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Slots by slope, from the middle outwards."""
        return tusimple_slots(lanes, self.num_slots)

    def label_path(self, index: int) -> Path:
        """The label file that names the frame."""
        return self._label_paths[index]

    def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
        """Keyword arguments of `TuSimpleAccuracy.update`."""
        frame = self._frames[index]
        return {
            "target": self.checked_lanes(index, image_size),
            "images": frame.raw_file,
            "h_samples": frame.h_samples,
        }


class TuSimpleDataModule(LaneDataModule):
    """TuSimple, in the original layout or in the layout of Kaggle's copy.

    ```
    ROOT/clips/<date>/<clip>/20.jpg, label_data_{0313,0531,0601}.json, test_label.json
    ROOT/train_set/clips/..., train_set/label_data_*.json, test_set/clips/..., test_label.json in test_set/ or ROOT
    ```

    Args:
        root: Folder of the data set.
        num_slots: Number of lane slots, 4 or 6. Lanes get their slots by slope. This rule loses 1.0 % of the test lanes
            with 6 slots, and 8.1 % with 4.
        labels: Names of the label files by split, if they differ from the usual `LABELS`.
        options: The other arguments of `LaneDataModule`.

    Example:
        >>> TuSimpleDataModule("/data/tusimple", input_size=(368, 640)).num_classes
        7
    """

    layout = "tusimple"
    markers = ("label_data_*.json", "test_label.json", "train_set", "test_set")
    slot_choices = (4, TUSIMPLE_SLOTS)
    official = TUSIMPLE_COUNTS

    def __init__(
        self,
        root: str | Path,
        num_slots: int = TUSIMPLE_SLOTS,
        labels: dict[str, str | list[str]] | None = None,
        **options: Any,
    ) -> None:
        if num_slots not in self.slot_choices:
            raise LgadError(f"num_slots={num_slots}: TuSimple has 4 or 6 lane slots.")
        super().__init__(root, num_slots=num_slots, **options)
        if unknown := set(labels or {}) - set(SPLITS):
            raise LgadError(f"labels has {sorted(unknown)}; the splits are {', '.join(SPLITS)}.")
        given = {split: (names,) if isinstance(names, str) else tuple(names) for split, names in (labels or {}).items()}
        self.labels = LABELS | given

    @cached_property
    def protocol(self) -> Protocol:  # type: ignore[override]
        """TuSimple's protocol. The decoder finds lanes in the rows of the label files."""
        rows = tuple(sorted({row for split in SPLITS for row in self._rows(split)}))
        if rows in ((), TUSIMPLE_ROWS):
            return TUSIMPLE
        return replace(TUSIMPLE, decoder=partial(TuSimpleDecoder, h_samples=rows))

    def _rows(self, split: Split) -> Iterable[int]:
        """The rows in which the lanes of a split are given. Empty if it cannot be opened."""
        try:
            source = self.open(split)
        except LgadError:
            return ()
        if isinstance(source, TuSimpleSource):
            return source.rows
        rows: Iterable[int] = source.evaluation(0, source.image_size(0))["h_samples"]
        return rows

    def source(self, split: Split) -> TuSimpleSource:
        """The frames and lanes of a split."""
        try:
            return TuSimpleSource(self.root, split, self.num_slots, self.labels[split])
        except LgadError as error:
            raise LgadError(
                f"{error} Expected is TuSimple's layout, clips/ beside label_data_0313.json, label_data_0531.json, "
                "label_data_0601.json and test_label.json; or that of Kaggle's copy, the same in train_set/ and "
                f"test_set/. {self.advice}"
            ) from error
