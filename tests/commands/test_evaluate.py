import csv
import json
import os
import subprocess
import sys

import pytest
import torch
from lightning import Trainer
from torch import nn

from lgad_lightning.callbacks.predictions import LanePredictionWriter
from lgad_lightning.commands.evaluate import main
from lgad_lightning.data import SyntheticLaneDataModule
from lgad_lightning.lanes import CULANE_SIZE, CULaneDecoder, Frame, Lane, read_lines, write_lines
from lgad_lightning.metrics import CULaneF1
from lgad_lightning.modules import LaneStudent
from lgad_lightning.networks import LaneOutput

LANE = Lane([[500, 590], [560, 500], [680, 320]], CULANE_SIZE)


@pytest.fixture
def edge_cases(golden_dir):
    return golden_dir / "culane" / "edge_cases"


@pytest.fixture
def data(tmp_path):
    """Two images with one lane each, found in the first; lists of every kind of line."""
    for name in ("a", "b"):
        write_lines(tmp_path / "data" / "drive" / f"{name}.lines.txt", [LANE])
    write_lines(tmp_path / "pred" / "drive" / "a.lines.txt", [LANE])
    splits = tmp_path / "data" / "list" / "test_split"
    splits.mkdir(parents=True)
    (splits / "test0_normal.txt").write_text("/drive/a.jpg  \n\ndrive/b.jpg")
    (splits / "test7_cross.txt").write_text("drive/a.jpg /masks/a.png\r\n/drive/b.jpg /masks/b.png 0 1 0 0\r\n")
    return tmp_path / "data"


def evaluate(tmp_path, *arguments):
    """Run the command in this process; the JSON it wrote and the rows of its CSV."""
    out, table = tmp_path / "out.json", tmp_path / "out.csv"
    main([*map(str, arguments), "--json", str(out), "--per-image", str(table)])
    with table.open() as file:
        return json.loads(out.read_text()), list(csv.DictReader(file))


def fails(capsys, *arguments):
    """Run the command, which must fail with one line on stderr; that line."""
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments)])
    assert isinstance(caught.value.code, str)  # printed by Python on the way out, with exit code 1
    assert "\n" not in caught.value.code
    return caught.value.code


@pytest.mark.parametrize("workers", [1, 2])
def test_edge_cases_have_the_official_counts_in_the_csv(edge_cases, tmp_path, workers):
    results, rows = evaluate(
        tmp_path, "culane", "--pred", edge_cases / "pred", "--data", edge_cases / "gt",
        "--list", edge_cases / "list.txt", "--workers", workers,
    )  # fmt: skip
    official = json.loads((edge_cases / "expected.json").read_text())["cases"]
    counts = {row["image"]: [int(row[key]) for key in ("tp", "fp", "fn")] for row in rows}
    assert counts == {
        image: [case["thresholds"]["0.5"][key] for key in ("tp", "fp", "fn")] for image, case in official.items()
    }
    assert list(rows[0]) == ["image", "tp", "fp", "fn"]
    assert list(results) == ["total", "scenarios"]
    assert results["scenarios"] == {"list": results["total"]}
    assert [results["total"][key] for key in ("tp", "fp", "fn")] == [33, 24, 23]


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.7])
def test_public_images_have_the_official_figures(golden_dir, tmp_path, iou):
    folder = golden_dir / "culane" / "public"
    results, _ = evaluate(
        tmp_path, "culane", "--pred", folder / "pred", "--data", folder / "gt", "--list", folder / "list.txt",
        "--iou", iou, "--workers", 1,
    )  # fmt: skip
    official = json.loads((folder / "expected.json").read_text())["thresholds"][str(iou)]["total"]
    assert results["total"] == {key: official[key] for key in results["total"]}


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("list_extra_blank_line", "/identical.jpg\n\n"),
        ("list_crlf", "/identical.jpg\r\n"),
        ("list_without_final_newline", "/identical.jpg"),
        ("list_png_name", "/identical.png\n"),
        ("list_repeated_image", "/identical.jpg\n/identical.jpg\n"),
        ("list_empty", ""),
        ("threshold_1.0_identical", "/identical.jpg\n"),
    ],
)
def test_lists_are_read_as_the_official_evaluator_reads_them(edge_cases, tmp_path, case, text):
    (tmp_path / "list.txt").write_text(text)
    results, _ = evaluate(
        tmp_path, "culane", "--pred", edge_cases / "pred", "--data", edge_cases / "gt", "--list", tmp_path / "list.txt",
        "--workers", 1, "--iou", 1.0 if case.startswith("threshold") else 0.5, *["--allow-missing"] * (text == ""),
    )  # fmt: skip
    official = json.loads((edge_cases / "expected.json").read_text())["list_handling"][case]
    assert {key: results["total"][key] for key in ("tp", "fp", "fn")} == {
        key: official[key] for key in ("tp", "fp", "fn")
    }
    for key in ("precision", "recall"):
        assert results["total"][key] == pytest.approx(float(official["printed"][key]), abs=1e-6)


def test_images_that_are_listed_twice_are_told(edge_cases, tmp_path, capsys):
    (tmp_path / "list.txt").write_text("/identical.jpg\n/identical.jpg\n")
    folders = ("--pred", edge_cases / "pred", "--data", edge_cases / "gt")
    evaluate(tmp_path, "culane", *folders, "--list", tmp_path / "list.txt", "--workers", 1)
    assert "1 of 2 images are in the lists before" in capsys.readouterr().err


def test_the_default_lists_are_the_test_splits(data, tmp_path, capsys):
    results, rows = evaluate(tmp_path, "culane", "--pred", tmp_path / "pred", "--data", data, "--workers", 1)
    assert list(results["scenarios"]) == ["normal", "cross"]
    assert {key: results["total"][key] for key in ("tp", "fp", "fn")} == {"tp": 2, "fp": 0, "fn": 2}
    assert [row["image"] for row in rows] == ["drive/a.jpg", "drive/b.jpg"] * 2
    printed = capsys.readouterr()
    assert "cross" in printed.out
    assert "2 of 4 prediction files are missing in" in printed.err


def test_without_splits_the_default_is_the_test_list(data, tmp_path):
    for path in (data / "list" / "test_split").iterdir():
        path.unlink()
    (data / "list" / "test.txt").write_text("drive/a.jpg\n")
    results, _ = evaluate(tmp_path, "culane", "--pred", tmp_path / "pred", "--data", data, "--workers", 1)
    assert list(results["scenarios"]) == ["test"]
    assert results["total"]["f1"] == 1


def test_size_width_and_mean_f1(data, tmp_path):
    results, _ = evaluate(
        tmp_path, "culane", "--pred", tmp_path / "pred", "--data", data, "--workers", 1,
        "--size", "400x200", "--width", 5, "--mean-f1",
    )  # fmt: skip
    assert results["total"]["tp"] == 0  # the lane lies outside of 400 x 200 pixels
    assert results["unofficial"].keys() == {*(f"f1_{percent}" for percent in range(50, 100, 5)), "mean_f1"}


def test_partly_read_lines_are_warned_about(data, tmp_path, capsys):
    (tmp_path / "pred" / "drive" / "b.lines.txt").write_text("1 2 3 4\n500,590,600,300\n")
    results, _ = evaluate(tmp_path, "culane", "--pred", tmp_path / "pred", "--data", data, "--workers", 1)
    assert results["total"]["fp"] == 4
    assert "b.lines.txt:2: ',590,600,300' is not a number" in capsys.readouterr().err


def test_malformed_input_is_one_line_with_file_and_line(data, tmp_path, capsys):
    arguments = ["culane", "--pred", tmp_path / "pred", "--data", data, "--workers", 1]
    (tmp_path / "pred" / "drive" / "b.lines.txt").write_text("1 2 3 4\nlane: 5 6\n")
    assert "b.lines.txt:2: 'lane:' is not a number" in fails(capsys, *arguments)
    assert "b.lines.txt:2: 'lane:' is not a number" in fails(capsys, *arguments[:-1], 2)
    (data / "list" / "test_split" / "test0_normal.txt").write_text("/drive/a.jpg\n/drive/b.jpg 1 x\n")
    assert "test0_normal.txt:2: " in fails(capsys, *arguments)


def test_missing_folders_lists_and_equal_stems_are_errors(data, tmp_path, capsys):
    pred = tmp_path / "pred"
    assert "no folder" in fails(capsys, "culane", "--pred", tmp_path / "none", "--data", data)
    assert "no folder" in fails(capsys, "culane", "--pred", pred, "--data", tmp_path / "none")
    assert "none.txt" in fails(capsys, "culane", "--pred", pred, "--data", data, "--list", tmp_path / "none.txt")
    (tmp_path / "test0_normal.txt").write_text("drive/a.jpg\n")
    lists = [data / "list" / "test_split" / "test0_normal.txt", tmp_path / "test0_normal.txt"]
    assert "test0_normal" in fails(capsys, "culane", "--pred", pred, "--data", data, "--list", *lists)


@pytest.mark.parametrize("arguments", [["--size", "1640"], ["--size", "0x590"], ["--iou", "half"], ["--width", "0"]])
def test_bad_options_are_usage_errors(data, tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(["culane", "--pred", str(tmp_path / "pred"), "--data", str(data), *arguments])
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_tusimple_has_the_official_figures(golden_dir, tmp_path):
    folder = golden_dir / "tusimple" / "public"
    results, rows = evaluate(tmp_path, "tusimple", "--pred", folder / "pred.json", "--gt", folder / "label.json")
    official = json.loads((folder / "expected.json").read_text())
    assert results == {"total": official["total"], "scenarios": {}}
    assert {row.pop("image"): {key: float(value) for key, value in row.items()} for row in rows} == official[
        "per_image"
    ]


def test_predictions_that_count_as_nothing_are_told(golden_dir, tmp_path, capsys):
    label = (golden_dir / "tusimple/public/label.json").read_text().splitlines()[0]
    lanes = json.loads(label)["lanes"]
    (tmp_path / "label.json").write_text(label + "\n")
    arguments = ("tusimple", "--pred", tmp_path / "pred.json", "--gt", tmp_path / "label.json")
    for given, message in (
        ({"run_time": 201}, "1 of 1 predictions have a run_time above 200 (ms): by the official rule"),
        ({"lanes": lanes + 3 * lanes[:1]}, "1 of 1 predictions have more than two lanes too many"),
        ({}, ""),
    ):
        record = json.loads(label) | {"run_time": 10} | given
        (tmp_path / "pred.json").write_text(json.dumps(record) + "\n")
        results, _ = evaluate(tmp_path, *arguments)
        assert message in capsys.readouterr().err
        assert results["total"]["accuracy"] == (0 if given else 1)


def test_an_image_that_is_predicted_twice_is_told(golden_dir, tmp_path, capsys):
    labels = [json.loads(line) for line in (golden_dir / "tusimple/public/label.json").read_text().splitlines()[:2]]
    (tmp_path / "label.json").write_text("".join(json.dumps(label) + "\n" for label in labels))
    (tmp_path / "pred.json").write_text(2 * (json.dumps(labels[0] | {"run_time": 1}) + "\n"))
    results, _ = evaluate(tmp_path, "tusimple", "--pred", tmp_path / "pred.json", "--gt", tmp_path / "label.json")
    assert "1 of 2 predictions are of an image that has one already" in capsys.readouterr().err
    assert results["total"]["accuracy"] == 1  # by the official rule


def test_recall_by_slot_and_distance_of_tusimple(golden_dir, tmp_path):
    label, pred = golden_dir / "tusimple/public/label.json", tmp_path / "pred.json"
    records = [json.loads(line) | {"run_time": 1} for line in label.read_text().splitlines()]
    for record in records:
        rows = record["h_samples"]
        record["lanes"] = [[x if y > 400 else -2 for x, y in zip(lane, rows, strict=True)] for lane in record["lanes"]]
    pred.write_text("".join(json.dumps(record) + "\n" for record in records))
    results, _ = evaluate(tmp_path, "tusimple", "--pred", pred, "--gt", label, "--breakdown")
    rows = {name: part["recall"] for name, part in results["breakdown"]["rows"].items()}
    assert rows["576 to 719"] == rows["432 to 575"] == 1
    assert rows["144 to 287"] == 0
    annotated = sum(part["annotated"] for part in results["breakdown"]["slots"].values())
    assert annotated == sum(len(record["lanes"]) for record in records)

    size = ("--size", "1280x1440")  # twice as high
    results, _ = evaluate(tmp_path, "tusimple", "--pred", pred, "--gt", label, "--breakdown", *size)
    assert list(results["breakdown"]["rows"]) == ["576 to 863", "288 to 575", "0 to 287"]


def test_a_mark_of_a_windows_editor_is_no_text(tmp_path):
    path = tmp_path / "0.lines.txt"
    path.write_bytes(b"\xef\xbb\xbf800 589 810 579\r\n")
    assert read_lines(path)[0].points.tolist() == [[800, 589], [810, 579]]


def test_recall_by_slot_and_distance_of_culane(data, tmp_path, capsys):
    right = Lane([[1300, 590], [1100, 320]], CULANE_SIZE)
    write_lines(tmp_path / "data/drive/a.lines.txt", [LANE, right])
    write_lines(tmp_path / "pred/drive/a.lines.txt", [LANE, Lane([[1300, 590], [1226, 490]], CULANE_SIZE)])
    scenario = data / "list/test_split/test0_normal.txt"
    results, _ = evaluate(
        tmp_path, "culane", "--data", data, "--pred", tmp_path / "pred", "--list", scenario, "--breakdown"
    )
    assert results["breakdown"]["slots"] == {
        "slot 2": {"annotated": 2, "found": 1, "recall": 0.5},
        "slot 3": {"annotated": 1, "found": 0, "recall": 0.0},
    }
    rows = {name: (part["found"], part["annotated"]) for name, part in results["breakdown"]["rows"].items()}
    assert rows == {"472 to 589": (22, 36), "354 to 471": (12, 36), "236 to 353": (3, 9)}
    assert "not part of the official protocol" in capsys.readouterr().out
    assert results["total"]["tp"] == 1


def test_tusimple_errors_name_file_and_line(golden_dir, capsys):
    folder = golden_dir / "tusimple" / "edge_cases" / "garbage_line"
    message = fails(capsys, "tusimple", "--pred", folder / "pred.json", "--gt", folder / "label.json")
    assert "pred.json:3: " in message


@pytest.mark.parametrize("option", ["--json", "--per-image"])
def test_places_that_cannot_be_written_are_told_before_the_work(data, tmp_path, capsys, option):
    arguments = ["culane", "--pred", tmp_path / "none", "--data", data, option]
    for place in (tmp_path, "/dev/null", "/proc/x"):
        assert "cannot be written" in fails(capsys, *arguments, place)
    own = data / "list" / "test_split" / "test0_normal.txt"
    before = own.read_bytes()
    assert "--overwrite" in fails(capsys, *arguments, own)
    assert own.read_bytes() == before
    assert "no folder" in fails(capsys, *arguments, own, "--overwrite")


def test_one_file_for_both_outputs_is_refused(data, tmp_path, capsys):
    both = ["--json", tmp_path / "x", "--per-image", tmp_path / "x"]
    assert "two names" in fails(capsys, "culane", "--pred", tmp_path / "pred", "--data", data, *both)


def test_results_of_before_are_replaced(data, tmp_path):
    for option in ([], ["--mean-f1"], []):
        evaluate(tmp_path, "culane", "--pred", tmp_path / "pred", "--data", data, "--workers", 1, *option)


def test_names_in_latin_1_keep_their_bytes_in_the_table(data, tmp_path):
    (tmp_path / "list.txt").write_bytes(b"drive/a.jpg\ndrive/\xe4.jpg\n")
    arguments = ["culane", "--pred", tmp_path / "pred", "--data", data, "--list", tmp_path / "list.txt"]
    main([*map(str, arguments), "--per-image", str(tmp_path / "t.csv"), "--workers", "1"])
    assert (tmp_path / "t.csv").read_bytes().split(b"\r\n")[2] == b"drive/\xe4.jpg,0,0,0"


def test_a_scenario_of_a_latin_1_name_is_printed(data, tmp_path):
    (data / "list" / "test_split" / os.fsdecode(b"test1_\xe4.txt")).write_text("drive/a.jpg\n")
    code = f"from lgad_lightning.commands.evaluate import main; main({['culane', '--pred', 'pred', '--data', 'data']})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path, check=True)
    assert b"cross" in run.stdout


def test_half_a_surrogate_pair_does_not_spoil_the_table(tmp_path):
    record = {"raw_file": "\ud800.jpg", "lanes": [], "h_samples": [], "run_time": 1}
    (tmp_path / "a.json").write_text(json.dumps(record))
    _, rows = evaluate(tmp_path, "tusimple", "--pred", tmp_path / "a.json", "--gt", tmp_path / "a.json")
    assert rows[0]["image"] == "\\ud800.jpg"


@pytest.mark.parametrize("arguments", [["--width", "100000"], ["--size", "100000x100000"], ["--width", "9" * 30]])
def test_widths_and_sizes_of_no_image_are_refused(data, tmp_path, capsys, arguments):
    assert arguments[0] in fails(capsys, "culane", "--pred", tmp_path / "pred", "--data", data, *arguments)


def test_hidden_lists_are_of_another_system(data, tmp_path):
    (data / "list" / "test_split" / "._test0_normal.txt").write_bytes(b"\0\5\x16\7")
    results, _ = evaluate(tmp_path, "culane", "--pred", tmp_path / "pred", "--data", data, "--workers", 1)
    assert list(results["scenarios"]) == ["normal", "cross"]


def test_a_missing_output_folder_is_told_before_the_work(data, tmp_path, capsys):
    for option in ("--json", "--per-image"):
        path = tmp_path / "none" / "out"
        assert str(path.parent) in fails(capsys, "culane", "--pred", tmp_path / "pred", "--data", data, option, path)


class AlwaysTheSame(nn.Module):
    """A network that sees the lanes of one image in every image."""

    def __init__(self, label, num_classes):
        super().__init__()
        self.num_classes = num_classes
        maps = nn.functional.one_hot(torch.from_numpy(label).long(), num_classes).permute(2, 0, 1)
        self.register_buffer("maps", 20.0 * maps)
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return LaneOutput((self.maps + self.weight).expand(len(x), -1, -1, -1), None)


def test_a_test_loop_and_the_command_agree_on_its_predictions(tmp_path):
    size = (148, 410)
    data = SyntheticLaneDataModule(
        tmp_path / "data", image_size=size, input_size=size, train=1, val=1, test=9, batch_size=4, num_workers=0
    )
    data.prepare_data()
    label = data.source("test").label(0, Frame(*size), size)
    metric = CULaneF1(image_size=size, width=8, threshold=0.3)
    student = LaneStudent(AlwaysTheSame(label, data.num_classes), CULaneDecoder(), metric)
    writer = LanePredictionWriter(tmp_path / "pred")
    trainer = Trainer(callbacks=[writer], logger=False, accelerator="cpu", devices=1, enable_progress_bar=False)
    [logged] = trainer.test(student, data, verbose=False)

    results, _ = evaluate(
        tmp_path, "culane", "--pred", tmp_path / "pred", "--data", data.root,
        "--size", "410x148", "--width", 8, "--iou", 0.3, "--workers", 1,
    )  # fmt: skip
    assert results["total"] == student.test_results["total"]
    assert logged["test/f1"] == pytest.approx(results["total"]["f1"])
    assert results["total"]["tp"] > 2
    by_name = results["scenarios"]
    assert {name: by_name[name] for name in student.test_results["scenarios"]} == student.test_results["scenarios"]


def test_the_exit_code_says_whether_it_went_well(data, tmp_path):
    command = [sys.executable, "-c", "from lgad_lightning.commands.evaluate import main; main()", "culane"]
    run = subprocess.run([*command, "--pred", "none", "--data", str(data)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("lgad-eval: There is no folder none")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(("folder", "kind"), [("pred", "prediction"), ("data", "annotation")])
def test_scoring_nothing_at_all_is_refused(data, tmp_path, capsys, folder, kind):
    for path in (tmp_path / folder).rglob("*.lines.txt"):
        path.unlink()
    arguments = ["culane", "--pred", tmp_path / "pred", "--data", data, "--workers", 1]
    message = fails(capsys, *arguments)
    assert f"None of the 4 {kind} files" in message
    assert str(tmp_path / folder / "drive" / "a.lines.txt") in message
    results, _ = evaluate(tmp_path, *arguments, "--allow-missing")
    assert results["total"]["tp"] == 0


def test_a_breakdown_of_no_image_is_left_out(data, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    lists = ("--list", tmp_path / "empty.txt", "--allow-missing")
    results, _ = evaluate(tmp_path, "culane", "--pred", tmp_path / "pred", "--data", data, *lists, "--breakdown")
    assert "breakdown" not in results


def test_lists_that_name_no_image_are_told(data, tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("\n\n")
    message = fails(capsys, "culane", "--pred", tmp_path / "pred", "--data", data, "--list", tmp_path / "empty.txt")
    assert "No image is named in empty" in message


def test_predictions_of_absolute_names_are_looked_for_among_the_predictions(data, tmp_path, capsys):
    (tmp_path / "list.txt").write_text("../data/drive/a.jpg\n")
    arguments = ["culane", "--pred", data, "--data", data, "--list", tmp_path / "list.txt", "--workers", 1]
    assert str(data / "__" / "data" / "drive" / "a.lines.txt") in fails(capsys, *arguments)


@pytest.mark.parametrize("iou", ["nan", "2", "-1", "x"])
def test_thresholds_that_no_iou_can_be_at_are_refused(data, tmp_path, capsys, iou):
    with pytest.raises(SystemExit) as caught:
        main(["culane", "--pred", str(tmp_path), "--data", str(data), f"--iou={iou}"])
    assert caught.value.code == 2
    assert "--iou" in capsys.readouterr().err


@pytest.mark.parametrize("content", [".\n", "..\n", "a/..\n", "a\0b.jpg\n"])
def test_lines_that_name_no_image_are_told(data, tmp_path, capsys, content):
    (tmp_path / "list.txt").write_text(content)
    arguments = ["culane", "--pred", tmp_path, "--data", data, "--list", tmp_path / "list.txt", "--workers", 1]
    assert "list.txt:1: " in fails(capsys, *arguments)


def test_a_list_in_utf_16_is_told(data, tmp_path, capsys):
    (tmp_path / "list.txt").write_text("drive/a.jpg\n", encoding="utf-16")
    arguments = ["culane", "--pred", tmp_path, "--data", data, "--list", tmp_path / "list.txt", "--workers", 1]
    assert "UTF-8" in fails(capsys, *arguments)


def test_a_list_that_is_not_there_is_named(data, tmp_path, capsys):
    arguments = ["--pred", tmp_path / "pred", "--data", data, "--list", tmp_path / "test9_fog.txt"]
    assert "There is no list" in fails(capsys, "culane", *arguments)


def test_two_lists_of_one_scenario_are_refused(data, tmp_path, capsys):
    lists = [tmp_path / name for name in ("test0_fog.txt", "test1_fog.txt")]
    for path in lists:
        path.write_text("")
    assert "scenario fog too" in fails(capsys, "culane", "--pred", tmp_path / "pred", "--data", data, "--list", *lists)
