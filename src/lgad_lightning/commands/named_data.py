"""Opens the data set that a command names by a folder, `--layout` and `--set`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lgad_lightning.commands.value_types import check_node
from lgad_lightning.curation.layouts import find_layout, open_data
from lgad_lightning.data import LaneDataModule
from lgad_lightning.errors import LgadError


def open_named(folder: Path, layout: str, texts: Sequence[str], **settings: Any) -> LaneDataModule:
    """Makes the data module of a folder.

    Args:
        folder: Folder of the data set.
        layout: The value of `--layout`.
        texts: The values of `--set`.
        settings: Other arguments of the data module. Those of `--set` replace them.

    Raises:
        LgadError: If there is no such folder, if it has none of the layouts, or if a setting is unknown or wrong.
    """
    if not folder.is_dir():
        raise LgadError(f"There is no folder {folder}; check the path.")
    kind = find_layout(folder, layout)
    given = _read_settings(texts)
    if "root" in given:
        raise LgadError(f"--set root={given['root']}: the folder is already named, {folder}: name one only.")
    check_node("--set", {"_target_": f"{kind.__module__}.{kind.__qualname__}"} | given)
    return open_data(folder, kind, **(settings | given))


def _read_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Reads texts `KEY=VALUE` as a mapping. The values are read as YAML.

    Raises:
        LgadError: If a text is no `KEY=VALUE`.
    """
    try:
        found = OmegaConf.to_container(OmegaConf.from_dotlist(list(texts)))
    except Exception as error:  # of omegaconf or of its YAML
        raise LgadError(f"--set {' '.join(texts)}: expected KEY=VALUE, like split=0.8/0.1/0.1.") from error
    if wrong := [text for text in texts if not text.partition("=")[0].isidentifier() or "=" not in text]:
        raise LgadError(f"--set {wrong[0]}: expected KEY=VALUE, like split=0.8/0.1/0.1.")
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
