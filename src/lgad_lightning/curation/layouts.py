"""The layouts that `lgad-data` knows. The data modules of the package describe their own layouts."""

import pydoc
from pathlib import Path
from typing import Any

import lgad_lightning.data
from lgad_lightning.data import LaneDataModule, LaneFolderDataModule
from lgad_lightning.data.stream import StreamSource, is_packed
from lgad_lightning.errors import LgadError


def layouts() -> dict[str, type[LaneDataModule]]:
    """The exported data modules that have their own layout, by the name of the layout.

    `LaneFolderDataModule` comes last, because other layouts may also match its markers.
    """
    exported = [getattr(lgad_lightning.data, name) for name in lgad_lightning.data.__all__]
    kinds = [kind for kind in exported if issubclass(kind, LaneDataModule) and vars(kind).get("layout")]
    kinds.sort(key=lambda kind: kind is LaneFolderDataModule)
    return {kind.layout: kind for kind in kinds}


def find_layout(root: Path, layout: str = "auto") -> Any:
    """Finds the class of the data module for a folder.

    Args:
        root: Folder of the data set, packed or not.
        layout: Name of a layout, or `package.Class` of your own data module, or `auto` to recognise it.

    Raises:
        LgadError: If the folder has none of the layouts.
    """
    return _recognised(root) if layout == "auto" else _named(layout)


def open_data(root: Path, layout: str | type[LaneDataModule] = "auto", **options: Any) -> LaneDataModule:
    """Makes the data module for a folder.

    Args:
        root: Folder of the data set, packed or not.
        layout: As for `find_layout`, or a class that it has returned.
        options: Arguments of the data module.

    Raises:
        LgadError: If the folder has none of the layouts.
    """
    kind: Any = find_layout(root, layout) if isinstance(layout, str) else layout
    slots = options.get("num_slots")
    if slots is not None and kind.slot_choices and slots not in kind.slot_choices:
        choices = " or ".join(map(str, kind.slot_choices))
        raise LgadError(f"{root} is read by {kind.__name__}, which has {choices} lane slots, not {slots}.")
    if len(kind.slot_choices) == 1:
        options.pop("num_slots", None)
    module: LaneDataModule = kind(root, **options)
    return module


def _named(layout: str) -> Any:
    if layout in (known := layouts()):
        return known[layout]
    try:
        kind = pydoc.locate(layout) if "." in layout else None
    except pydoc.ErrorDuringImport as error:
        raise LgadError(f"--layout {layout} cannot be imported: {error.value}.") from error
    if not (isinstance(kind, type) and issubclass(kind, LaneDataModule)):
        raise LgadError(
            f"--layout {layout} is none of {', '.join(known)}, nor a data module that can be imported (package.Class)."
        )
    return kind


def _recognised(root: Path) -> Any:
    known = layouts()
    if is_packed(root):
        packer = StreamSource(f"{root}/train").facts["module"]
        for kind in known.values():
            if kind.__name__ == packer:
                return kind
        raise LgadError(f"{root} was packed by {packer}, which lgad-data does not know: name it with --layout.")
    for kind in known.values():
        if any(any(root.glob(pattern)) for pattern in kind.markers):
            return kind
    looked_for = "; ".join(f"{name}: {', '.join(kind.markers)}" for name, kind in known.items())
    raise LgadError(
        f"{root} has none of the known layouts. Looked for were {looked_for}. Check the path, or name the layout with "
        "--layout."
    )
