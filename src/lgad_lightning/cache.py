"""Trained teachers, kept from one run to the next."""

import hashlib
import json
from collections.abc import Mapping
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
