from pathlib import Path

import pytest

from lgad_lightning.reporting.facts import command, duration, facts, heading, read_log
from lgad_lightning.reporting.run import read_run
from tests.reporting.conftest import Make

LOG = """\
[2026-11-28 10:00:00,000][lgad_lightning.commands.fit][INFO] - Data: /d (M), images: 6 for training, 40 for test.
[2026-11-28 10:00:01,000][x][INFO] - Stage 1 of 2: training the teacher (ENet, 0.35 M parameters) for 4 epochs.
[2026-11-28 10:00:30,500][x][INFO] - Stage 2 of 2: training the student (ERFNet, 2.06 M parameters) for 4 epochs.
[2026-11-28 23:00:00,000][lgad_lightning.commands.fit][INFO] - Resuming the run in /r.
[2026-11-28 23:00:02,000][x][INFO] - Test: the weights of the best val/f1.
[2026-11-28 23:00:10,000][x][INFO] - Figures, predictions, pictures and checkpoints are in /r.
"""


def test_the_log_tells_time_at_work_networks_and_images(tmp_path: Path) -> None:
    (tmp_path / "fit.log").write_text(LOG)
    told = read_log(tmp_path / "fit.log")
    assert told.seconds == 40.5  # the half day until it was resumed is no work
    assert str(told.ended) == "2026-11-28 23:00:10"
    assert told.networks == {"teacher": "ENet, 0.35 M parameters", "student": "ERFNet, 2.06 M parameters"}
    assert told.images == "6 for training, 40 for test"
    assert told.test_seconds == 8


@pytest.mark.parametrize("content", [b"", b"\xff\0[2026-99-99 10:00:00,000]", b"Resuming the run in "])
def test_a_log_of_nothing_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fit.log").write_bytes(content)
    for path in (tmp_path / "fit.log", tmp_path / "missing.log"):
        assert read_log(path) == (None, None, "", {}, None)


def test_a_run_says_what_it_is(make: Make) -> None:
    run = read_run(make("run", 0.5, seed=3, distillation="a.LabelGuidedAttention", data_dir="o'neil"))
    assert heading(run) == "A run distilled by label guided attention"
    assert command(run) == """lgad-fit distillation=a.LabelGuidedAttention seed=3 'data_dir=o'"'"'neil'"""
    told = facts(run)
    assert (told["data"], told["folder of the data"], told["seed"]) == ("CULaneDataModule", "/data/roads", "3")
    (run.folder / "fit.log").write_text(LOG)
    assert facts(run)["test"].startswith("5 images a second")
    assert "time" not in told
    assert "epochs" not in told


def test_times_are_for_people() -> None:
    assert [duration(seconds) for seconds in (0, 59.6, 3600, 90061)] == ["0 s", "1 min", "1 h", "1 d 1 h"]


def test_what_trackers_keep_in_the_folder_can_be_shown_and_sent(make: Make) -> None:
    folder = make("run", 0.5)
    assert not {"TensorBoard", "wandb, kept offline"} & facts(read_run(folder)).keys()
    for name in ("tensorboard", "teacher/wandb/offline-run-1", "student/wandb/offline-run-2"):
        (folder / name).mkdir(parents=True)
    told = facts(read_run(folder))
    assert told["TensorBoard"] == f"tensorboard --logdir {folder}/tensorboard"
    assert told["wandb, kept offline"] == (
        f"wandb sync {folder}/student/wandb/offline-run-2 {folder}/teacher/wandb/offline-run-1"
    )
