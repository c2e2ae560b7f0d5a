"""What is told of files that are sound, but of a kind that holds no lanes."""

import json
from pathlib import Path

import pytest

from lgad_lightning.annotations.json_files import read_text
from lgad_lightning.annotations.records import open_records
from lgad_lightning.errors import LgadError

RUN_LENGTHS = {"counts": [0, 5, 3], "size": [60, 120]}


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [(RUN_LENGTHS, "annotation 1 is a mask in run lengths: export polygons"), (None, "has no 'segmentation'")],
)
def test_masks_of_coco_are_no_polygons(segmentation: object, message: str, tmp_path: Path) -> None:
    annotation = {"image_id": 1, "segmentation": segmentation}
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [annotation]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(LgadError, match=message):
        open_records(tmp_path / "a.json").record(0)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        LgadError, match=r"none\.json: cannot read the file .No such file or directory.; check the path"
    ):
        read_text(tmp_path / "none.json")


def test_a_file_larger_than_annotations_are_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "video.json").open("wb") as file:
        file.truncate(1 << 34)  # takes no room
    with pytest.raises(LgadError, match=r"video\.json: more than \d+ MB"):
        read_text(tmp_path / "video.json")
