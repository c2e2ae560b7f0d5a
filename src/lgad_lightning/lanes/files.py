"""Files of lanes: `.lines.txt` (CULane) and JSON lines (TuSimple)."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.json_lines import read_json_lines, split_lines
from lgad_lightning.lanes.lane import CULANE_SIZE, TUSIMPLE_ROWS, TUSIMPLE_SIZE, Lane
from lgad_lightning.longwork.whole_file import whole_file, write_whole

_PLAIN = re.compile(r"[0-9.\- \t\r\n]*")
_NUMBER = re.compile(r"[ \t\r\v\f]*([+-]?+(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+)(?![eE])")
_MISSING = -2.0
_FLOAT_MAX = float(np.finfo(np.float32).max)


def parse_lines(text: str, image_size: tuple[int, int] = CULANE_SIZE) -> list[Lane]:
    r"""Read the lanes of a `.lines.txt` as the official CULane evaluator does.

    Every line is a lane. A blank line is a lane without points. A line is read up to the first text that is not a
    number ("nan" and "inf" are not numbers). A last number without a partner is dropped.

    Args:
        text: One lane per line, `x y x y ...`.
        image_size: Height and width of the image in pixels.

    Example:
        >>> [lane.points.tolist() for lane in parse_lines("1 2 3.5 4 x\n\n5 6 7")]
        [[[1.0, 2.0], [3.5, 4.0]], [], [[5.0, 6.0]]]
    """
    return [_lane(_numbers(line)[0], image_size) for line in split_lines(text)]


def read_lines(path: str | Path, image_size: tuple[int, int] = CULANE_SIZE, *, strict: bool = True) -> list[Lane]:
    """Read a `.lines.txt`.

    Args:
        path: The file.
        image_size: Height and width of the image in pixels.
        strict: Whether to refuse text and numbers without a partner. Otherwise, lines are read as by `parse_lines`.

    Raises:
        LgadError: If there is no such file, or if a line is not `x y x y ...`. The message names file and line. If not
            strict, only lines with text that do not begin with a number are refused.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_lines(f"{folder}/0.lines.txt", [Lane([[800, 589], [810, 579]], CULANE_SIZE)])
        ...     read_lines(f"{folder}/0.lines.txt")[0].points.tolist()
        [[800.0, 589.0], [810.0, 579.0]]
    """
    try:
        # Encodings are ignored, like in the official evaluator. The mark that Windows' editors write is no text.
        text = Path(path).read_bytes().removeprefix(BOM_UTF8).decode("latin-1")
    except OSError as error:
        raise LgadError(f"{path}: cannot read the lanes ({error.strerror}); check the path") from error
    if _PLAIN.fullmatch(text):  # the usual case, and several times as fast
        try:
            values = [list(map(float, line.split())) for line in split_lines(text)]
        except ValueError:
            pass
        else:
            plain = all(abs(value) <= _FLOAT_MAX for line in values for value in line)
            if plain and not (strict and any(len(line) % 2 for line in values)):
                return [_lane(line, image_size) for line in values]

    lanes = []
    for number, line in enumerate(split_lines(text), start=1):
        numbers, rest = _numbers(line)
        if rest and (strict or not numbers):
            raise LgadError(f"{path}:{number}: {rest.split()[0][:40]!r} is not a number; a lane is 'x y x y ...'")
        if strict and len(numbers) % 2:
            hint = " Each line begins with its number: remove these." if _are_numbered(text) else ""
            raise LgadError(
                f"{path}:{number}: {len(numbers)} numbers, the last x has no y; a lane is 'x y x y ...'.{hint}"
            )
        lanes.append(_lane(numbers, image_size))
    return lanes


def write_lines(path: str | Path, lanes: Iterable[Lane]) -> None:
    """Write a `.lines.txt`, and make its folder if needed. Reading the file returns the same lanes.

    Args:
        path: The file.
        lanes: Lanes in pixels of the original image. A lane without points becomes a blank line, which the official
            evaluator counts as a lane.

    Raises:
        ValueError: If a coordinate is not finite.
    """
    lanes = list(lanes)
    if not all(np.isfinite(lane.points).all() for lane in lanes):
        raise ValueError(f"{path}: a lane has a coordinate that is not finite")
    rows = (" ".join(f"{_shortest(x)} {_shortest(y)}" for x, y in lane.points.tolist()) for lane in lanes)
    write_whole(Path(path), "".join(f"{row}\n" for row in rows))


def prediction_name(name: str) -> PurePath:
    """Return the path of the predicted lanes of an image, relative to the folder of predictions.

    Args:
        name: The image's name in its list. The root or drive of an absolute name is left out, and each `..` becomes
            `__`. So the file is never outside the folder.

    Raises:
        LgadError: If no file can have the name.

    Example:
        >>> prediction_name("/data/../clip/0.jpg").as_posix()
        'data/__/clip/0.lines.txt'
    """
    image = PurePath(name)
    parts = ["__" if part == ".." else part for part in image.relative_to(image.anchor).parts]
    if not parts or "\0" in name:
        raise LgadError(f"{name!r} is no name of an image, so it can have no predictions: correct the list.")
    return PurePath(*parts).with_suffix(".lines.txt")


def tusimple_row(lane: Lane, h_samples: Sequence[int]) -> list[float]:
    """Convert a lane to the format of TuSimple's files: x in each of the given image rows, -2 where there is none.

    If the points of a lane are in these rows, its gaps stay. Any other lane is interpolated between its points.

    Args:
        lane: The lane. Points left of the image do not count.
        h_samples: Image rows.

    Example:
        >>> tusimple_row(Lane([[600, 300], [580, 320]], (720, 1280)), [290, 300, 310, 320])
        [-2.0, 600.0, -2.0, 580.0]
        >>> tusimple_row(Lane([[605, 295], [580, 320]], (720, 1280)), [290, 300, 310, 320])
        [-2.0, 600.0, 590.0, 580.0]
    """
    columns = dict(zip(lane.points[:, 1].tolist(), lane.points[:, 0].tolist(), strict=True))
    rows, first, last = set(h_samples), min(h_samples, default=0), max(h_samples, default=0)
    step = (last - first) / max(len(h_samples) - 1, 1)  # lanes may continue with this step beyond the rows
    if all(y in rows if first <= y <= last else step and (y - first) % step == 0 for y in columns):
        row = [columns.get(y, _MISSING) for y in h_samples]
    else:
        row = lane.x_at(h_samples).tolist()
    return [x if x >= 0 else _MISSING for x in row]


class TuSimpleFrame(NamedTuple):
    """A line of a TuSimple label or prediction file.

    Attributes:
        raw_file: Path of the image relative to the data set's root.
        lanes: Lanes with a point in each row where they are visible.
        h_samples: Image rows in which lanes are given.
        run_time: Milliseconds that the prediction took, None in labels.
    """

    raw_file: str
    lanes: list[Lane]
    h_samples: tuple[int, ...]
    run_time: float | None = None


def read_tusimple(path: str | Path, image_size: tuple[int, int] = TUSIMPLE_SIZE) -> list[TuSimpleFrame]:
    """Read a TuSimple label or prediction file.

    Args:
        path: JSON lines with `raw_file`, `lanes`, `h_samples` and, in predictions, `run_time`. If `h_samples` is
            missing, as it may be in predictions, it is 160, 170, ..., 710.
        image_size: Height and width of the images in pixels.

    Raises:
        LgadError: If there is no such file, or if a line is not a TuSimple frame. The message names file and line.
    """
    records = enumerate(read_json_lines(path), start=1)
    return [tusimple_frame(record, f"{path}:{number}", image_size) for number, record in records]


def write_tusimple(path: str | Path, frames: Iterable[TuSimpleFrame]) -> None:
    """Write a TuSimple label or prediction file that the official evaluator accepts.

    Args:
        path: The file. Its folder is made if needed.
        frames: The frames. Lanes are written by `tusimple_row`. A run time of None is left out, as in labels.
    """
    with whole_file(Path(path)) as part, part.open("w", encoding="utf-8") as file:
        for frame in frames:
            rows = [tusimple_row(lane, frame.h_samples) for lane in frame.lanes]
            record: dict[str, Any] = {
                "lanes": [[_whole(x) for x in row] for row in rows],
                "h_samples": list(frame.h_samples),
                "raw_file": frame.raw_file,
            }
            if frame.run_time is not None:
                record["run_time"] = frame.run_time
            file.write(json.dumps(record) + "\n")


def _numbers(line: str) -> tuple[list[float], str]:
    """The numbers at the start of a line and the text that follows them."""
    numbers = []
    position = 0
    while match := _NUMBER.match(line, position):
        value = float(match[1])
        if abs(value) > _FLOAT_MAX:
            break
        numbers.append(value)
        position = match.end()
    return numbers, line[position:].strip()


def _lane(numbers: Sequence[float], image_size: tuple[int, int]) -> Lane:
    return Lane(numbers[: len(numbers) // 2 * 2], image_size)


def tusimple_frame(record: Any, where: str, image_size: tuple[int, int] = TUSIMPLE_SIZE) -> TuSimpleFrame:
    """Build a frame from the JSON value of a line in a TuSimple file. Other keys are ignored.

    Args:
        record: The value.
        where: File and line, for the error message.
        image_size: Height and width of the image in pixels.

    Raises:
        LgadError: If it is not a frame.
    """
    for key in ("raw_file", "lanes"):
        if not isinstance(record, dict) or key not in record:
            raise LgadError(f"{where}: '{key}' is missing; a frame has 'raw_file', 'lanes' and 'h_samples'")
    if not isinstance(record["raw_file"], str) or not record["raw_file"]:
        raise LgadError(f"{where}: 'raw_file' must be the path of an image")
    rows = record.get("h_samples", TUSIMPLE_ROWS)
    if not isinstance(record["lanes"], list) or not _are_numbers(rows):
        raise LgadError(f"{where}: 'lanes' must be a list of lanes and 'h_samples' one of numbers")
    lanes = []
    for index, lane in enumerate(record["lanes"]):
        if not _are_numbers(lane):
            raise LgadError(f"{where}: lane {index} is not a list of numbers")
        if len(lane) != len(rows):
            raise LgadError(f"{where}: lane {index} has {len(lane)} values for {len(rows)} h_samples")
        lanes.append(Lane([(x, y) for x, y in zip(lane, rows, strict=True) if x >= 0], image_size))
    return TuSimpleFrame(record["raw_file"], lanes, tuple(rows), record.get("run_time"))


def _are_numbered(text: str) -> bool:
    """Whether every line begins with its own number (of the line or of the slot), as some converters write it."""
    rows = [_numbers(line)[0] for line in split_lines(text) if line.strip()]
    first = {row[0] for row in rows if len(row) % 2}
    return len(first) == len(rows) and all(number.is_integer() and 0 <= number <= len(rows) + 8 for number in first)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(map(is_coordinate, values))


def is_coordinate(value: Any) -> bool:
    """Whether a JSON value is a finite number.

    Args:
        value: Anything.

    Example:
        >>> [is_coordinate(value) for value in (-2, 1.5, float("nan"), True, "1")]
        [True, True, False, False, False]
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _FLOAT_MAX


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _shortest(value: float) -> str:
    return repr(_whole(value))
