import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import (
    Lane,
    TuSimpleFrame,
    parse_lines,
    read_lines,
    read_tusimple,
    tusimple_row,
    write_lines,
    write_tusimple,
)
from lgad_lightning.lanes.lane import TUSIMPLE_ROWS

finite = st.floats(-1e5, 1e5)
any_lanes = st.lists(st.lists(st.tuples(finite, finite), max_size=6).map(lambda p: Lane(p, (590, 1640))), max_size=4)


@given(any_lanes)
def test_lines_round_trip(tmp_path_factory, lanes):
    path = tmp_path_factory.mktemp("lines") / "clip" / "00000.lines.txt"
    write_lines(path, lanes)
    assert read_lines(path) == lanes


def test_whole_coordinates_are_written_without_a_point(tmp_path):
    write_lines(tmp_path / "a.lines.txt", [Lane([[1, 2.5], [-3, 4]], (590, 1640))])
    assert (tmp_path / "a.lines.txt").read_text() == "1 2.5 -3 4\n"


def test_what_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not finite"):
        write_lines(tmp_path / "a.lines.txt", [Lane([[1, np.nan]], (590, 1640))])


@pytest.mark.parametrize(
    ("line", "points"),
    [
        ("1 2 3 4", [[1, 2], [3, 4]]),
        ("1\t2\r", [[1, 2]]),
        ("  +1.5 -.5 3. 4e1 ", [[1.5, -0.5], [3, 40]]),
        ("1 2 3", [[1, 2]]),
        ("1 2 # 3 4", [[1, 2]]),
        ("1 2 nan 4", [[1, 2]]),
        ("1 2 inf 4", [[1, 2]]),
        ("1 2 1e99 4", [[1, 2]]),
        ("1 2 3e 4", [[1, 2]]),
        ("1 2 1_0 4", [[1, 2]]),  # 1 is read, then the text begins
        ("1,2,3,4", []),
        ("1-2 3.4.5 6", [[1, -2], [3.4, 0.5]]),  # numbers end where the next one can begin
        ("   ", []),
        ("", []),
    ],
)
def test_a_line_is_read_as_the_official_evaluator_reads_it(line, points):
    [lane] = parse_lines(line + "\n")
    assert lane == Lane(points, (590, 1640))


def test_every_line_is_a_lane():
    assert [len(lane) for lane in parse_lines("\n1 2\n\n")] == [0, 1, 0]
    assert parse_lines("") == []
    assert parse_lines("1 2") == parse_lines("1 2\n")


@pytest.mark.parametrize("line", ["1 2 3", "1 2 x", "1,2", "1 2 nan 3", "1 2 0x10 1", "1 2 3 " + "9" * 400])
def test_strict_reading_names_file_and_line(tmp_path, line):
    path = tmp_path / "a.lines.txt"
    path.write_text(f"1 2 3 4\n{line}\n")
    with pytest.raises(LgadError, match=r"a\.lines\.txt:2: "):
        read_lines(path)
    assert read_lines(path, strict=False) == parse_lines(path.read_text())


def test_a_line_without_any_number_is_refused_either_way(tmp_path):
    path = tmp_path / "a.lines.txt"
    path.write_bytes(b"1 2\nGIF89a \xff\n")
    for strict in (True, False):
        with pytest.raises(LgadError, match=r"a\.lines\.txt:2: 'GIF89a' is not a number"):
            read_lines(path, strict=strict)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(LgadError, match=r"none\.lines\.txt: cannot read"):
        read_lines(tmp_path / "none.lines.txt")
    with pytest.raises(LgadError, match=r"none\.json: cannot read"):
        read_tusimple(tmp_path / "none.json")


columns = st.one_of(st.integers(0, 1279), st.floats(0, 1279))
rows_of_lanes = st.lists(
    st.lists(st.one_of(st.none(), columns), min_size=len(TUSIMPLE_ROWS), max_size=len(TUSIMPLE_ROWS)), max_size=3
)


@given(rows_of_lanes, st.one_of(st.none(), st.floats(0, 1000)))
def test_tusimple_json_round_trips(tmp_path_factory, rows, run_time):
    path = tmp_path_factory.mktemp("json") / "sub" / "pred.json"
    lanes = [
        Lane([(x, y) for x, y in zip(row, TUSIMPLE_ROWS, strict=True) if x is not None], (720, 1280)) for row in rows
    ]
    frames = [TuSimpleFrame(f"clips/{number}/20.jpg", lanes, TUSIMPLE_ROWS, run_time) for number in range(2)]
    write_tusimple(path, frames)
    assert read_tusimple(path) == frames


def test_tusimple_files_hold_what_the_official_tool_wants(tmp_path):
    lane = Lane([[100, 200], [47.5, 210], [-5, 220], [8, 240]], (720, 1280))
    write_tusimple(tmp_path / "p.json", [TuSimpleFrame("clips/1/20.jpg", [lane], (190, 200, 210, 220, 230, 240), 12.5)])
    assert json.loads((tmp_path / "p.json").read_text()) == {
        "raw_file": "clips/1/20.jpg",
        "lanes": [[-2, 100, 47.5, -2, -2, 8]],
        "h_samples": [190, 200, 210, 220, 230, 240],
        "run_time": 12.5,
    }


def test_a_byte_order_mark_and_blank_lines_at_the_end_are_nothing(tmp_path):
    (tmp_path / "label.json").write_bytes(b'\xef\xbb\xbf{"raw_file": "a.jpg", "lanes": [], "h_samples": []}\n\r\n \n')
    assert [frame.raw_file for frame in read_tusimple(tmp_path / "label.json")] == ["a.jpg"]


def test_predictions_may_leave_out_their_rows(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"raw_file": "a.jpg", "lanes": [[7] * 56], "run_time": 3}))
    [frame] = read_tusimple(tmp_path / "p.json")
    assert frame == TuSimpleFrame("a.jpg", [Lane([(7, y) for y in TUSIMPLE_ROWS], (720, 1280))], TUSIMPLE_ROWS, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("\n{}", "not JSON"),
        ('{"raw_file": "a.jpg", "h_samples": []}', "'lanes' is missing"),
        ('{"raw_file": "a.jpg", "lanes": null, "h_samples": []}', "'lanes' must be a list"),
        ('{"raw_file": "a.jpg", "lanes": [], "h_samples": 5}', "'h_samples' one of numbers"),
        ('{"raw_file": "a.jpg", "lanes": [[1, 2]]}', "lane 0 has 2 values for 56 h_samples"),
        ('["raw_file"]', "'raw_file' is missing"),
        ('{"raw_file": "a.jpg", "lanes": [[1, 2]], "h_samples": [1]}', "lane 0 has 2 values for 1 h_samples"),
        ('{"raw_file": "a.jpg", "lanes": [["a"]], "h_samples": [1]}', "lane 0 is not a list of numbers"),
        ('{"raw_file": "a.jpg", "lanes": [5], "h_samples": [1]}', "lane 0 is not a list of numbers"),
    ],
)
def test_malformed_tusimple_lines_name_file_and_line(tmp_path, line, message):
    path = tmp_path / "label.json"
    path.write_text(f'{{"raw_file": "a.jpg", "lanes": [], "h_samples": []}}\n{line}\n')
    with pytest.raises(LgadError, match=rf"label\.json:2: .*{message}"):
        read_tusimple(path)


@given(st.one_of(st.binary(max_size=200), st.text(alphabet="0123456789 .-+eE\n\t,x", max_size=80).map(str.encode)))
def test_random_bytes_are_lanes_or_refused_by_name(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("noise") / "a.lines.txt"
    path.write_bytes(content)
    for strict in (True, False):
        lanes = read_or_refuse(read_lines, path, strict=strict)
        if lanes is not None:
            assert len(lanes) == len(content.split(b"\n")) - (content.endswith(b"\n") or not content)
            assert all(np.isfinite(lane.points).all() for lane in lanes)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)
keys = ("raw_file", "lanes", "h_samples")
almost_frames = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, json_values))


@given(st.one_of(st.binary(max_size=100), almost_frames.map(json.dumps).map(str.encode)))
def test_random_bytes_are_frames_or_refused_by_name(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("noise") / "label.json"
    path.write_bytes(content)
    for frame in read_or_refuse(read_tusimple, path) or ():
        assert isinstance(frame.raw_file, str)
        assert all(np.isfinite(lane.points).all() for lane in frame.lanes)


def read_or_refuse(read, path, **options):
    """What a reader gives, None where it refuses the file by its name; any other error fails the test."""
    refused = None
    try:
        return read(path, **options)
    except LgadError as error:
        refused = str(error)
    assert str(path) in refused
    return None


@pytest.mark.parametrize(
    "line",
    [
        '{"raw_file": null, "lanes": []}',
        '{"raw_file": "", "lanes": []}',
        '{"raw_file": "a.jpg", "lanes": [[NaN]], "h_samples": [10]}',
        '{"raw_file": "a.jpg", "lanes": [[Infinity]], "h_samples": [10]}',
        '{"raw_file": "a.jpg", "lanes": [[true]], "h_samples": [10]}',
        '{"raw_file": "a.jpg", "lanes": [[1' + "0" * 400 + ']], "h_samples": [10]}',
        '{"raw_file": "a.jpg", "lanes": [[1' + "0" * 5000 + ']], "h_samples": [10]}',
        "[" * 100_000,
    ],
)
def test_json_that_is_no_frame_is_refused(tmp_path, line):
    (tmp_path / "label.json").write_text(line)
    with pytest.raises(LgadError, match=r"label\.json:1: "):
        read_tusimple(tmp_path / "label.json")


def test_a_lane_that_only_ends_on_a_row_is_interpolated() -> None:
    lane = Lane([[300, 719], [332, 400]], (720, 1280))
    row = tusimple_row(lane, TUSIMPLE_ROWS)
    assert [x >= 0 for x in row] == [y >= 400 for y in TUSIMPLE_ROWS]
    assert row[-1] == pytest.approx(300.9, abs=0.1)


def test_rows_before_the_first_one_make_no_difference_to_gaps() -> None:
    lane = Lane([[10, 160], [20, 240], [40, 260]], (720, 1280))
    assert tusimple_row(lane, [240, 250, 260, 270]) == [20, -2, 40, -2]


@pytest.mark.parametrize("numbers", [(0, 1), (1, 2), ("1.0", "2.0"), (3, 2), (1,)])
def test_lines_that_begin_with_a_number_of_their_own_are_named(numbers: tuple[object, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.lines.txt"
    path.write_text("".join(f"{number} 300 589 400 300\n" for number in numbers))
    with pytest.raises(LgadError, match="begins with its number"):
        read_lines(path)


@pytest.mark.parametrize("text", ["300 589 400\n", "1 300 589\n1 300 589\n", "1 300 589\n300 589 400 300\n"])
def test_other_lines_of_an_odd_length_are_not_called_numbered(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.lines.txt").write_text(text)
    with pytest.raises(LgadError, match=r"the last x has no y; a lane is 'x y x y \.\.\.'\.$"):
        read_lines(tmp_path / "a.lines.txt")
