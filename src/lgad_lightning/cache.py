"""Trained teachers, kept from one run to the next."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def fingerprint(description: Mapping[str, Any]) -> str:
    """A short name for a description, equal for equal descriptions.

    Args:
        description: Plain values: what the result depends on, and nothing else.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
        True
    """
    text = json.dumps(description, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def copy_atomically(source: Path, target: Path) -> None:
    """Copies a file so that nobody ever sees half of it.

    Args:
        source: The file to copy.
        target: Where to; its folder is made when it is missing, and a file that is there is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
