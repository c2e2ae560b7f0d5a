import json
from pathlib import Path
from typing import Any

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.json_lines import unique_keys

_LARGEST = 2**30  # bytes; the annotations of 100,000 images have some hundred million


def read_text(path: Path) -> str:
    """The text of a file.

    Args:
        path: The file, UTF-8 with or without a byte-order mark.

    Raises:
        LgadError: If there is none, it is none, or larger than annotations are.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise LgadError(f"{path}: more than {_LARGEST >> 20} MB, which no annotations have.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LgadError(f"{path}: cannot read the file ({error.strerror}); check the path.") from error
    except UnicodeDecodeError as error:
        raise LgadError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Args:
        path: The file.

    Raises:
        LgadError: If it is no JSON, or an object in it has a key twice.
    """
    try:
        return json.loads(read_text(path), object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise LgadError(f"{path}:{error.lineno}: not JSON: {error.msg} at column {error.colno}.") from error
    except LgadError as error:
        raise error if str(error).startswith(str(path)) else LgadError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        raise LgadError(f"{path}: not JSON of a sensible size: {error}.") from error
