"""Saves and loads students as the Hugging Face hub wants them: `config.json`, `model.safetensors`, a model card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.extras import import_extra
from lgad_lightning.longwork.whole_file import whole_file, write_whole
from lgad_lightning.modules.description import FORMAT, StudentParts, describe_parts, rebuild_parts
from lgad_lightning.modules.weights import give_weights

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"

_CARD = """---
library_name: lgad-lightning
tags: [lane-detection, semantic-segmentation, knowledge-distillation]
---

# {network} for lane segmentation

Trained with [lgad-lightning](https://arxiv.org/abs/2304.01636) {version}.

```python
from lgad_lightning import LaneStudent

student = LaneStudent.from_pretrained("PATH OR HUB ID")
```

## Figures

{figures}

## Input

{preprocessing}

## Recipe

{recipe}
"""


def save_parts(parts: StudentParts, folder: str | Path) -> Path:
    """Writes the folder of a student; see `LaneStudent.save_pretrained`."""
    safetensors = import_extra("safetensors.torch", "hub", "A saved student")
    folder = Path(folder)
    description = describe_parts(parts)
    for name in ("network", "decoder", "preprocessing"):
        if description[name] is None:
            raise LgadError(
                f"The student's {name} cannot be described, because its arguments are not known: "
                "derive its class from Rebuildable."
            )
    _check_folder(folder)
    card, config = model_card(description), json.dumps(description, indent=2) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in parts.network.state_dict().items()}
        with whole_file(folder / WEIGHTS) as part:
            safetensors.save_file(weights, part, metadata={"format": "pt"})
        write_whole(folder / CARD, card)
        write_whole(folder / CONFIG, config)  # last: a folder with this file is complete
    except Exception as error:  # safetensors' own error has no public base
        raise LgadError(f"The student cannot be written to {folder}: {error}.") from error
    return folder


def read_parts(source: str | Path, revision: str | None = None, **given: Any) -> StudentParts:
    """Reads a student from a folder or the hub; see `LaneStudent.from_pretrained`."""
    safetensors = import_extra("safetensors.torch", "hub", "A saved student")
    folder = Path(source) if Path(source).is_dir() else _fetch(str(source), revision)
    try:
        description = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LgadError(f"{source} is not a folder of a saved student: {CONFIG} cannot be read ({error}).") from error
    if not isinstance(description, dict) or "format" not in description:
        raise LgadError(f"{source} is not a folder of a saved student: its {CONFIG} comes from another program.")
    parts = rebuild_parts(description, str(source), **given)
    try:
        weights = safetensors.load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors' own error has no public base
        raise LgadError(f"The weights of {source} cannot be read: {error}.") from error
    give_weights(parts.network, weights, str(folder / WEIGHTS))
    return parts


def model_card(description: Mapping[str, Any]) -> str:
    """Makes the text of the model card.

    Args:
        description: What `describe_parts` returned.
    """
    return _CARD.format(
        network=description["network_class"].rpartition(".")[2],
        version=description["lgad_lightning"],
        figures=_table(description["figures"], "No figures were stored."),
        preprocessing=_table(description["preprocessing"], "Not known."),
        recipe=_table(description["recipe"], "Not known."),
    )


def _table(values: Mapping[str, Any] | None, nothing: str) -> str:
    if not values:
        return nothing
    shown = {key: f"{value:.4f}" if isinstance(value, float) else str(value) for key, value in values.items()}
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in shown.items())])


def _check_folder(folder: Path) -> None:
    """Refuses a folder that holds anything except a saved student."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise LgadError(f"{folder} is a file: give a folder.")
    held = {path.name for path in folder.iterdir()} - {".git", ".gitattributes"}
    if not held:
        return
    try:
        ours = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise LgadError(f"{folder} holds files of something else. They are not replaced: give another folder.")


def _fetch(name: str, revision: str | None) -> Path:
    hub = import_extra("huggingface_hub", "hub", "A saved student")
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # many kinds: no such name, no network, no access
        reason = first_line(error)
        raise LgadError(f"{name} is not a folder here, and the hub does not have it either: {reason}") from error
