from pathlib import Path
from typing import Any

from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.culane import CULaneDataModule
from lgad_lightning.data.folder import LaneFolderDataModule
from lgad_lightning.data.source import SPLITS
from lgad_lightning.data.stream import StreamSource, is_packed
from lgad_lightning.data.tusimple import TuSimpleDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.slots import CULANE_SLOTS

LAYOUTS: dict[str, tuple[type[LaneDataModule], list[str]]] = {
    "culane": (CULaneDataModule, ["list/*.txt"]),
    "tusimple": (TuSimpleDataModule, ["label_data_*.json", "test_label.json", "train_set", "test_set"]),
    "folder": (LaneFolderDataModule, [f"{split}{kind}" for split in SPLITS for kind in ("", ".jsonl")]),
}
"""The layouts that are recognised: who reads them, and what lies in their folders."""


def open_data(root: Path, layout: str = "auto", **options: Any) -> LaneDataModule:
    """The data module for a folder.

    Args:
        root: Folder of the data set, or of what `pack` has made of it.
        layout: `culane`, `tusimple`, `folder`, or `auto` to look.
        options: Arguments of the data module.

    Raises:
        LgadError: If the folder has none of the layouts.
    """
    packer = StreamSource(f"{root}/train").facts["module"] if is_packed(root) else None
    for name, (module, patterns) in LAYOUTS.items():
        found = packer == module.__name__ if packer else any(any(root.glob(pattern)) for pattern in patterns)
        if layout == name or (layout == "auto" and found):
            if module is CULaneDataModule and options.pop("num_slots", CULANE_SLOTS) != CULANE_SLOTS:
                raise LgadError(f"{root} is in CULane's layout, which has {CULANE_SLOTS} lane slots.")
            made: LaneDataModule = module(root, **options)
            return made
    if packer:
        raise LgadError(f"{root} was packed by {packer}, which lgad-data does not know: look at what it was made from.")
    raise LgadError(
        f"{root} has none of the known layouts: list/*.txt (CULane), label_data_*.json or train_set/ (TuSimple), "
        "train/ or train.jsonl (a folder of one's own). Check the path, or name the layout with --layout."
    )
