"""The folder for predictions: it belongs to one model, and can be continued after an interruption."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lgad_lightning.data.find_files import PREDICTED
from lgad_lightning.data.prediction_files import check_folder, lane_files, prediction_path
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.json_lines import iterate_json_lines
from lgad_lightning.longwork.whole_file import write_whole

RECORDS, UNFINISHED, TUSIMPLE, SUMMARY, OVERLAYS = (
    "lanes.jsonl", ".lanes.jsonl", "predictions.json", "summary.json", "overlays",
)  # fmt: skip
_KEYS = {"image", "height", "width", "lanes", "run_time"}


def open_folder(folder: Path, made_by: dict[str, Any], resume: bool, overwrite: bool) -> list[dict[str, Any]]:
    """Makes a folder ready for predictions, or refuses it.

    Args:
        folder: A new or empty folder, or one with earlier predictions.
        made_by: Plain values that identify a prediction: model and settings.
        resume: Whether to continue the predictions in the folder.
        overwrite: Whether to remove them.

    Returns:
        The records to continue with. `.lanes.jsonl` in the folder holds the same records.

    Raises:
        LgadError: If the folder cannot be written to, or if it holds something that must not be replaced.
    """
    if resume and overwrite:
        raise LgadError("--resume goes on with what is there, --overwrite removes it: give one of them.")
    check_folder(folder)
    before = _made_by(folder)
    records = list(_records(folder))
    if before is None and (folder / PREDICTED).is_file():
        raise LgadError(f"{folder} holds the predictions of a training: give another --out.")
    if not overwrite:
        _check(folder, made_by, before, bool(records) or bool(lane_files(folder)), resume)
    with writing_to(folder):
        if overwrite:
            _forget(folder)
            records = []
        write_whole(folder / PREDICTED, f"Predicted lanes of lgad-lightning.\n{json.dumps(made_by)}\n")
        lines = "".join(f"{json.dumps(record)}\n" for record in records)  # without a last line that was cut off
        write_whole(folder / UNFINISHED, lines)
    return records


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turns an error of writing to a folder into one message."""
    try:
        yield
    except OSError as error:
        raise LgadError(
            f"The predictions cannot be written to {folder}: {error}. What is there is complete. Make space, or "
            "get the right to write there, and continue with --resume."
        ) from error


def _check(folder: Path, made_by: dict[str, Any], before: dict[str, Any] | None, any_there: bool, resume: bool) -> None:
    if before not in (None, made_by) and any_there:
        raise LgadError(
            f"{folder} holds predictions of another model, of other images, or with other settings: give another "
            "--out, or --overwrite to remove them."
        )
    if any_there and not resume:
        raise LgadError(
            f"{folder} holds predictions already: go on with them by --resume, remove them by --overwrite, or give "
            "another --out."
        )


def _made_by(folder: Path) -> dict[str, Any] | None:
    """Reads model and settings of the predictions in a folder. None if there are none, or if a training wrote them."""
    try:
        found = json.loads((folder / PREDICTED).read_text(encoding="utf-8").splitlines()[1])
    except (OSError, ValueError, IndexError):
        return None
    return found if isinstance(found, dict) else None


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    """Reads the earlier records, up to the first line that is not complete."""
    path = next((path for path in (folder / UNFINISHED, folder / RECORDS) if path.is_file()), None)
    if path is None:
        return
    try:
        for _, record in iterate_json_lines(path):
            if not isinstance(record, dict) or not record.keys() >= _KEYS:
                return
            yield record
    except LgadError:
        return


def _forget(folder: Path) -> None:
    """Removes the files of earlier predictions by the names that only they have, even if no record of them is left."""
    overlays = [path for ending in (".jpg", ".mp4") for path in (folder / OVERLAYS).rglob(f"*{ending}")]
    for path in (*lane_files(folder), *overlays):
        path.unlink()
    for name in (RECORDS, UNFINISHED, TUSIMPLE, SUMMARY):
        (folder / name).unlink(missing_ok=True)


def overlay_path(folder: Path, name: str) -> Path:
    """Where the overlay of an image is written."""
    return _renamed(prediction_path(folder / OVERLAYS, name), ".jpg")


def video_path(folder: Path, name: str) -> Path:
    """Where the overlays of a video are written."""
    return _renamed(prediction_path(folder / OVERLAYS, f"{name}.video"), ".mp4")


def _renamed(path: Path, ending: str) -> Path:
    return path.with_name(path.name.removesuffix(".lines.txt") + ending)
