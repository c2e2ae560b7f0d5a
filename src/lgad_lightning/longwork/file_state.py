from pathlib import Path


def file_state(path: Path) -> str:
    r"""Describes the state of a file in a line: its path, size and time of change, or that it is missing.

    Args:
        path: The file.

    Example:
        >>> file_state(Path("no such file"))
        'no such file is missing\n'
    """
    try:
        state = path.stat()
    except OSError:
        return f"{path} is missing\n"
    return f"{path} {state.st_size} {state.st_mtime_ns}\n"
