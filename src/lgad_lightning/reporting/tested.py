"""Keeps the test frames that the page of a run shows in the run's folder, so that a page needs no data module."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from lgad_lightning.data.source import LaneSource
from lgad_lightning.data.spread import spread
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane
from lgad_lightning.lanes.lists import check_image_name
from lgad_lightning.longwork.whole_file import write_whole
from lgad_lightning.reporting.judging import MOST_FRAMES, Rule, compared_rows, culane_rule, target_lanes, tusimple_rule

TESTED = "tested.json"
"""The file in a run's folder that keeps them."""

_DECIMALS = 3  # of a pixel


@dataclass(frozen=True)
class Tested:
    """What a run was tested on.

    Args:
        source: The test split, or its frames that were kept.
        rule: When a lane is found.
        total: How many frames the test split has.
    """

    source: LaneSource
    rule: Rule
    total: int


class KeptFrames(LaneSource):
    """Test frames whose lanes were kept in the folder of a run, see `read_tested`.

    Args:
        root: Folder of the data.
        names: Path of each image, relative to `root`.
        num_slots: Slots of the data.
        sizes: Height and width of each image.
        targets: The annotated lanes of each image.
        scenarios: The scenario of each image. None if it has none.
        rows: For TuSimple's rule: the rows of each image at which lanes are compared. None for other rules.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        num_slots: int,
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Sequence[Lane]],
        scenarios: Sequence[str | None],
        rows: Sequence[Sequence[int] | None],
    ) -> None:
        super().__init__(root, names, num_slots)
        self._sizes = sizes
        self._targets = targets
        self._scenarios = scenarios
        self._rows = rows

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return self._sizes[index]

    @override
    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        return list(self._targets[index])

    @override
    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        raise NotImplementedError("the lanes are kept without their slots")

    @override
    def scenario(self, index: int) -> str | None:
        return self._scenarios[index]

    @override
    def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
        rows = self._rows[index]
        return super().evaluation(index, image_size) | ({"h_samples": rows} if rows else {})


def write_tested(path: Path, tested: Tested) -> None:
    """Writes the frames that a page uses, with their annotated lanes.

    Args:
        path: The file.
        tested: What the run was tested on.

    Raises:
        LgadError: If an image or an annotation cannot be read.
    """
    source = tested.source
    frames = []
    for index in spread(len(source), MOST_FRAMES):
        size = source.image_size(index)
        lanes = [lane.points.round(_DECIMALS).tolist() for lane in target_lanes(source, index, size)]
        frame = {"name": source.names[index], "size": size, "lanes": lanes, "scenario": source.scenario(index)}
        rows = compared_rows(source, index, size, tested.rule)
        frames.append(frame | ({"rows": list(rows)} if rows else {}))
    content = {
        "root": str(source.root.resolve()),
        "slots": source.num_slots,
        "total": tested.total,
        "rule": tested.rule.settings,
        "frames": frames,
    }
    write_whole(path, json.dumps(content))


def read_tested(path: Path) -> Tested | str:
    """Reads what `write_tested` wrote.

    Args:
        path: The file.

    Returns:
        The frames, or the reason if they cannot be read.
    """
    if not path.is_file():
        return f"there is no {path}, in which lgad-fit keeps the test frames at its end."
    try:
        return _read(json.loads(path.read_text(encoding="utf-8")), path)
    except LgadError as error:
        return str(error)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        return f"{path} is damaged: {error}."


def _read(content: dict[str, Any], path: Path) -> Tested:
    frames = content["frames"]
    names = [str(frame["name"]) for frame in frames]
    for name in names:
        check_image_name(name, path)
    sizes = [(int(frame["size"][0]), int(frame["size"][1])) for frame in frames]
    targets = [
        [Lane(np.array(points, np.float64).reshape(-1, 2), size) for points in frame["lanes"]]
        for frame, size in zip(frames, sizes, strict=True)
    ]
    scenarios = [frame["scenario"] and str(frame["scenario"]) for frame in frames]
    rows = [frame.get("rows") and [int(row) for row in frame["rows"]] for frame in frames]
    source = KeptFrames(Path(content["root"]), names, int(content["slots"]), sizes, targets, scenarios, rows)
    rule = tusimple_rule() if content["rule"] is None else culane_rule(**content["rule"])
    return Tested(source, rule, int(content["total"]))
