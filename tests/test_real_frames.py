"""The commands on real frames, which lie beside the checkout, at reduced size."""

import json
from pathlib import Path

import pytest

from tests.helpers.commands import run
from tests.helpers.students import make_student, save_checkpoint

REDUCED = (
    "data.batch_size=4",
    "data.num_workers=0",
    "network.channels=[8,16,24]",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.limit_train_batches=2",
    "teacher.trainer.max_epochs=1",
    "hydra.run.dir=run",
)


def test_a_student_trains_on_real_culane_frames(shared_dir: Path, tmp_path: Path) -> None:
    real, root = shared_dir / "real" / "culane", tmp_path / "CULane"
    (root / "list" / "test_split").mkdir(parents=True)
    for folder in ("driver_23_30frame", "laneseg_label_w16"):
        (root / folder).symlink_to(real / folder)
    lines = (real / "list" / "train_gt.txt").read_text().splitlines()
    (root / "list" / "train_gt.txt").write_text("\n".join(lines[:29]))
    (root / "list" / "val_gt.txt").write_text("\n".join(lines[29:35]))
    test = [line.split()[0] for line in lines[35:]]
    (root / "list" / "test.txt").write_text("\n".join(test))
    (root / "list" / "test_split" / "test0_normal.txt").write_text("\n".join(test))

    run(
        "lgad-fit",
        "+experiment=culane_erfnet",
        f"data.root={root}",
        "data.input_size=[48,208]",
        *REDUCED,
        folder=tmp_path,
    )

    results = json.loads((tmp_path / "run" / "metrics.json").read_text())
    annotated = sum(len((real / name.strip("/")).with_suffix(".lines.txt").read_text().splitlines()) for name in test)
    assert results["scenarios"]["normal"]["tp"] + results["scenarios"]["normal"]["fn"] == annotated > 0
    assert len(list((tmp_path / "run" / "predictions").rglob("*.lines.txt"))) == len(test)


def test_a_student_trains_on_real_tusimple_frames(shared_dir: Path, tmp_path: Path) -> None:
    real, root = shared_dir / "real" / "tusimple" / "train_set", tmp_path / "TuSimple"
    root.mkdir()
    (root / "clips").symlink_to(real / "clips")
    labels = (real / "label_data_subset.json").read_text().splitlines()
    for name in ("label_data_0313", "label_data_0601", "label_data_0531", "test_label"):
        (root / f"{name}.json").write_text("".join(f"{line}\n" for line in labels))

    run("lgad-fit", "+experiment=tusimple_enet", f"data.root={root}", "data.input_size=[48,160]", *REDUCED,
        folder=tmp_path)  # fmt: skip

    results = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 <= results["total"]["accuracy"] <= 1
    predictions = (tmp_path / "run" / "predictions" / "predictions.json").read_text().splitlines()
    assert {json.loads(line)["raw_file"] for line in predictions} == {json.loads(line)["raw_file"] for line in labels}

    labels_file = str(root / "test_label.json")
    arguments = ("--pred", "run/predictions/predictions.json", "--gt", labels_file, "--json", "eval.json")
    run("lgad-eval", "tusimple", *arguments, folder=tmp_path)
    assert json.loads((tmp_path / "eval.json").read_text())["total"] == results["total"]


def test_lanes_are_found_in_real_frames(shared_dir: Path, tmp_path: Path) -> None:
    """A student of two clips of CULane's: predicted, drawn and scored; the figures are not the point."""
    real = shared_dir / "real" / "culane_study"
    names = [line.split()[0].lstrip("/") for line in (real / "list" / "test.txt").read_text().splitlines()][:6]
    list_file = tmp_path / "six.txt"
    list_file.write_text("".join(f"/{name}\n" for name in names))
    student = make_student()
    student.image_size = (295, 820)
    save_checkpoint(student, tmp_path / "best.ckpt")
    root = ("--root", str(real))
    run("lgad-predict", "best.ckpt", str(list_file), *root, "--write", "lines", "overlay", folder=tmp_path)
    predictions = tmp_path / "predictions"
    records = [json.loads(line) for line in (predictions / "lanes.jsonl").read_text().splitlines()]
    assert [(record["image"], record["height"], record["width"]) for record in records] == [
        (name, 295, 820) for name in names
    ]
    assert len(list((predictions / "overlays").rglob("*.jpg"))) == 6
    score = (
        "--pred",
        "predictions",
        "--data",
        str(real),
        "--list",
        str(list_file),
        "--size",
        "820x295",
        "--json",
        "eval.json",
    )
    run("lgad-eval", "culane", *score, folder=tmp_path)
    total = json.loads((tmp_path / "eval.json").read_text())["total"]
    assert total["tp"] + total["fp"] == sum(len(record["lanes"]) for record in records)


@pytest.mark.export
def test_an_export_is_checked_on_real_frames(shared_dir: Path, tmp_path: Path) -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library, reason="needs the extra `export`")
    real = shared_dir / "real" / "culane_study"
    student = make_student()
    student.image_size = (295, 820)
    save_checkpoint(student, tmp_path / "best.ckpt")
    told = run(
        "lgad-export", "best.ckpt", "--with", "preprocessing,decoding", "--check", str(real), "--check-images", "4",
        folder=tmp_path,
    ).stdout  # fmt: skip
    assert "f1 on" in told
    run("lgad-predict", "lanes.onnx", str(real / "list" / "test.txt"), folder=tmp_path)
    assert len((tmp_path / "predictions" / "lanes.jsonl").read_text().splitlines()) > 10
