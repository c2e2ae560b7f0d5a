"""`lgad-fit` through its console script, on a tiny generated data set."""

import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import yaml

from lgad_lightning.reporting.facts import facts
from lgad_lightning.reporting.run import read_run
from tests.helpers.commands import TINY, finish, run, start
from tests.helpers.html import Page


@pytest.fixture(scope="module")
def first_run(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one run went through both stages, into `run`."""
    folder = tmp_path_factory.mktemp("fit")
    run("lgad-fit", *TINY, "report=true", f"data.root={tiny_root}", "hydra.run.dir=run", folder=folder)
    return folder


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return loaded


def read_log(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def assert_equal_weights(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_leaves_figures_predictions_and_configuration(first_run: Path) -> None:
    metrics = json.loads((first_run / "run" / "metrics.json").read_text())
    assert set(metrics["total"]) >= {"f1", "precision", "recall", "tp", "fp", "fn"}
    assert set(metrics["scenarios"]) == {
        "normal", "crowd", "hlight", "shadow", "noline", "arrow", "curve", "cross", "night",
    }  # fmt: skip
    assert metrics["total"]["fn"] == sum(scenario["fn"] for scenario in metrics["scenarios"].values())
    assert 0 <= metrics["pixels"]["iou"] <= 1
    assert 0 <= metrics["pixels"]["existence_accuracy"] <= 1
    assert len(list((first_run / "run" / "predictions").rglob("*.lines.txt"))) == 9
    assert cv2.imread(str(first_run / "run" / "pictures" / "test.png")) is not None

    told = facts(read_run(first_run / "run"))
    assert (told["images"], told["network"][:8], told["teacher"][:8]) == (
        "16 for training, 4 for validation, 9 for test",
        "ERFNet, ",
        "ERFNet, ",
    )
    assert {"time", "test", "last written"} <= told.keys()

    configuration = (first_run / "run" / "config.yaml").read_text()
    assert "${" not in configuration
    assert yaml.safe_load(configuration)["data"]["input_size"] == [32, 96]


def test_leaves_a_page_of_its_figures_and_frames(first_run: Path) -> None:
    pytest.importorskip("plotly", reason="needs the extra report")
    page = Page((first_run / "run" / "report.html").read_bytes())
    total = json.loads((first_run / "run" / "metrics.json").read_text())["total"]
    assert page.tables["figures"][-1][-1] == f"{total['f1']:.4f}"
    assert "All 9 test frames" in page.text
    assert [tag for tag, _ in page.elements].count("img") > 3


def test_logs_both_stages_as_csv(first_run: Path) -> None:
    for stage, expected in (("teacher", "val/iou"), ("student", "val/f1")):
        with (first_run / "run" / stage / "version_0" / "metrics.csv").open() as file:
            assert expected in next(csv.reader(file))


def test_every_checkpoint_opens_with_weights_only_and_holds_no_teacher(first_run: Path) -> None:
    checkpoints = list((first_run / "run").rglob("*.ckpt"))
    assert {path.relative_to(first_run / "run").as_posix() for path in checkpoints} == {
        "teacher/checkpoints/last.ckpt",
        "student/checkpoints/last.ckpt",
        "student/checkpoints/best.ckpt",
    }
    for path in checkpoints:
        assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    student = weights(first_run / "run" / "student" / "checkpoints" / "last.ckpt")
    assert all(name.startswith("network.") for name in student)


def test_reuses_a_teacher_that_the_same_configuration_trained(first_run: Path, tiny_root: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "trainer.max_epochs=1")
    again = run("lgad-fit", *arguments, "hydra.run.dir=again", folder=first_run)
    assert "reused from" in again.stdout
    kept = Path("teacher", "checkpoints", "last.ckpt")
    assert_equal_weights(first_run / "again" / kept, first_run / "run" / kept)
    assert not (first_run / "again" / "teacher" / "version_0").exists()
    other = run(
        "lgad-fit", *arguments, "teacher.module.optimizer.lr=0.001", "stage=student", folder=first_run, fails=True
    )
    assert "teacher.checkpoint=PATH" in other.stderr


def test_stages_apart_give_what_they_give_together(first_run: Path, tiny_root: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", f"teacher.cache_dir={first_run / 'cache'}")
    archive = (
        "+teacher.callbacks.archive._target_=lightning.pytorch.callbacks.ModelCheckpoint",
        "+teacher.callbacks.archive.dirpath=${run_dir}/archive",
        "+teacher.callbacks.archive.every_n_train_steps=3",
    )
    run("lgad-fit", *arguments, *archive, "stage=teacher", "hydra.run.dir=only-teacher", folder=first_run)
    teacher = first_run / "only-teacher" / "teacher" / "checkpoints" / "last.ckpt"
    assert_equal_weights(teacher, first_run / "run" / "teacher" / "checkpoints" / "last.ckpt")
    assert [path.read_bytes() for path in (first_run / "cache").glob("*.ckpt")] == [teacher.read_bytes()]
    assert list((first_run / "only-teacher" / "archive").iterdir())
    assert not (first_run / "only-teacher" / "student").exists()

    run("lgad-fit", *arguments, f"teacher.checkpoint={teacher}", "hydra.run.dir=only-student", folder=first_run)
    student = first_run / "only-student" / "student" / "checkpoints" / "last.ckpt"
    assert_equal_weights(student, first_run / "run" / "student" / "checkpoints" / "last.ckpt")


def test_a_student_is_trained_further(first_run: Path, tiny_root: Path) -> None:
    trained = first_run / "run" / "student" / "checkpoints" / "last.ckpt"
    still = ("distillation=none", "trainer.max_epochs=1", "optimizer.lr=0", f"student.checkpoint={trained}")
    told = run("lgad-fit", *TINY, *still, f"data.root={tiny_root}", "hydra.run.dir=further", folder=first_run).stdout
    assert f"Student: begins with the weights of {trained}.\n" in told
    before, after = weights(trained), weights(first_run / "further" / "student" / "checkpoints" / "last.ckpt")
    learned = [name for name in before if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(before[name], after[name]) for name in learned)


def test_without_distillation_no_teacher_is_trained_and_the_student_differs(first_run: Path, tiny_root: Path) -> None:
    (first_run / "link").symlink_to(first_run, target_is_directory=True)
    overrides = ("distillation=none", "trainer.default_root_dir=${run_dir}/other", "hydra.run.dir=link/none")
    plain = run("lgad-fit", *TINY, f"data.root={tiny_root}", *overrides, folder=first_run)
    assert "'trainer.default_root_dir=${run_dir}/other' distillation=lgad, to compare with" in plain.stdout
    metrics = json.loads((first_run / "none" / "metrics.json").read_text())
    assert metrics["checkpoint"] == "student/checkpoints/best.ckpt"
    assert not (first_run / "none" / "teacher").exists()
    plain_weights = weights(first_run / "none" / "student" / "checkpoints" / "last.ckpt")
    distilled = weights(first_run / "run" / "student" / "checkpoints" / "last.ckpt")
    assert plain_weights.keys() == distilled.keys()
    assert any(not torch.equal(value, distilled[name]) for name, value in plain_weights.items())


@pytest.mark.parametrize("stage", ["teacher", "student"])
def test_a_killed_run_resumes_to_the_same_student(first_run: Path, tiny_root: Path, stage: str, tmp_path: Path) -> None:
    process = start("lgad-fit", *TINY, f"data.root={tiny_root}", "hydra.run.dir=run", folder=tmp_path)
    while not (tmp_path / "run" / stage / "checkpoints" / "last.ckpt").is_file():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    run("lgad-fit", "resume=run", folder=tmp_path)
    last = Path("run", "student", "checkpoints", "last.ckpt")
    assert_equal_weights(tmp_path / last, first_run / last)
    ours = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert ours == json.loads((first_run / "run" / "metrics.json").read_text())
    for phase in ("teacher", "student"):  # one run, one log
        logs = list((tmp_path / "run" / phase).rglob("metrics.csv"))
        assert [read_log(path) for path in logs] == [read_log(first_run / "run" / phase / "version_0" / "metrics.csv")]


def test_a_resumed_run_takes_no_other_override(first_run: Path) -> None:
    refused = run("lgad-fit", "resume=run", "trainer.max_epochs=9", folder=first_run, fails=True)
    assert "drop trainer.max_epochs=9" in refused.stderr
    unknown = run("lgad-fit", "resume=nowhere", folder=first_run, fails=True)
    assert "is no run folder" in unknown.stderr


def test_a_missing_data_root_is_told_in_one_message_before_anything_is_built(tmp_path: Path) -> None:
    failed = run("lgad-fit", "+experiment=culane_erfnet", "data.root=/nowhere/CULane", folder=tmp_path, fails=True)
    assert failed.code == 1
    assert "Traceback" not in failed.stderr + failed.stdout
    for part in ("/nowhere/CULane", "list/train_gt.txt", "data.root=", "lgad-fit without arguments"):
        assert part in failed.stderr


def test_an_experiment_of_ones_own_beside_ours(first_run: Path, tiny_root: Path) -> None:
    own = first_run / "own" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - synthetic_enet\ntrainer:\n  max_epochs: 1\ndistillation: null\n"
    )
    arguments = [argument for argument in TINY if "max_epochs" not in argument]
    run(
        "lgad-fit", "--config-dir", "own", "+experiment=mine", *arguments, f"data.root={tiny_root}",
        "hydra.run.dir=mine", folder=first_run,
    )  # fmt: skip
    configuration = yaml.safe_load((first_run / "mine" / "config.yaml").read_text())
    assert configuration["network"]["_target_"].endswith("ENet")


def test_trains_on_two_processes_into_one_folder(first_run: Path, tiny_root: Path) -> None:
    arguments = (*TINY, "trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=2")
    run("lgad-fit", *arguments, f"data.root={tiny_root}", "hydra.run.dir=ddp/run", folder=first_run)
    assert [path.name for path in (first_run / "ddp").iterdir()] == ["run"]
    metrics = json.loads((first_run / "ddp" / "run" / "metrics.json").read_text())
    single = json.loads((first_run / "run" / "metrics.json").read_text())
    truth = {name: scenario["tp"] + scenario["fn"] for name, scenario in single["scenarios"].items()}
    assert {name: scenario["tp"] + scenario["fn"] for name, scenario in metrics["scenarios"].items()} == truth


def test_an_interrupted_sweep_over_seeds_goes_on_and_ddp_is_refused(first_run: Path, tiny_root: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "distillation=none", "trainer.max_epochs=1", "seed=1,2")
    jobs = [first_run / "sweep" / number for number in "01"]
    process = start("lgad-fit", "-m", *arguments, "hydra.sweep.dir=sweep", folder=first_run, new_group=True)
    while not (jobs[1] / ".hydra").is_dir():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    interrupted = finish(process)
    assert interrupted.code == 130
    assert f"To go on: lgad-fit resume={first_run}/sweep" in interrupted.stdout
    first = (jobs[0] / "metrics.json").stat().st_mtime_ns

    ended = run("lgad-fit", "resume=sweep", folder=first_run).stdout
    assert "sweep/0 is complete: skipped." in ended
    assert (jobs[0] / "metrics.json").stat().st_mtime_ns == first
    with (first_run / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    figures = [json.loads((job / "metrics.json").read_text())["total"]["f1"] for job in jobs]
    assert [(row["seed"], row["f1"]) for row in rows] == [("1", f"{figures[0]:.4f}"), ("2", f"{figures[1]:.4f}")]
    again = run("lgad-fit", "-m", *arguments, "hydra.sweep.dir=sweep", folder=first_run).stdout
    assert again.count("is complete: skipped.") == 2

    refused = run("lgad-fit", "-m", *arguments, "trainer.devices=2", folder=first_run, fails=True)
    assert "set trainer.devices=1" in refused.stderr


def test_processes_that_keep_their_results_are_refused(first_run: Path, tiny_root: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "trainer.devices=2", "trainer.strategy=ddp_spawn")
    told = run("lgad-fit", *arguments, "hydra.run.dir=spawn", folder=first_run, fails=True).stderr
    assert "set trainer.strategy=ddp" in told
    assert not list((first_run / "spawn").rglob("*.ckpt"))


def test_an_interrupted_run_says_how_to_go_on(tiny_root: Path, tmp_path: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "trainer.max_epochs=1000", "distillation=none")
    process = start("lgad-fit", *arguments, "hydra.run.dir=run", folder=tmp_path)
    while not (tmp_path / "run" / "student" / "checkpoints" / "last.ckpt").is_file():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"lgad-fit resume={tmp_path / 'run'}" in stdout


def test_wandb_stays_offline_without_a_key_and_gives_each_stage_its_run(tiny_root: Path, tmp_path: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "trainer.max_epochs=1", "teacher.trainer.max_epochs=1")
    result = run("lgad-fit", *arguments, "logger=wandb", "hydra.run.dir=run", folder=tmp_path)
    assert result.stdout.count("no API key is configured") == 1
    for stage in ("teacher", "student"):
        (kept,) = (tmp_path / "run" / stage / "wandb").glob("offline-run-*")
        assert list(kept.glob("*.wandb"))


def test_a_mistake_in_the_distillation_shows_before_the_teacher_is_trained(tiny_root: Path, tmp_path: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "hydra.run.dir=run")
    failed = run(
        "lgad-fit", *arguments, "distillation.student_layers=[network.encoder.stag1]", folder=tmp_path, fails=True
    )
    assert "network.encoder.stage1" in failed.stderr
    assert not (tmp_path / "run" / "teacher").exists()


def test_a_mistake_inside_a_node_is_told_without_a_traceback(tiny_root: Path, tmp_path: Path) -> None:
    network = "network:{_target_:lgad_lightning.ERFNet}"
    node = f"distillation.teacher={{_target_:lgad_lightning.load_teacher,checkpoint:missing.ckpt,{network}}}"
    failed = run("lgad-fit", *TINY, f"data.root={tiny_root}", node, folder=tmp_path, fails=True)
    assert "Traceback" not in failed.stderr
    assert "missing.ckpt" in failed.stderr


@pytest.mark.parametrize("distillation", ["joint", "sad"])
def test_every_distillation_trains(tiny_root: Path, tmp_path: Path, distillation: str) -> None:
    arguments = (
        *TINY,
        f"data.root={tiny_root}",
        "trainer.max_epochs=1",
        "callbacks=pictures",
        "logger=none",
        "hydra.run.dir=run",
    )
    small = ["distillation.teacher.network.channels=[8,16,24]"] if distillation == "joint" else []
    run("lgad-fit", *arguments, f"distillation={distillation}", *small, folder=tmp_path)
    assert len(list((tmp_path / "run" / "pictures").glob("*.png"))) == 2
    assert not (tmp_path / "run" / "teacher").exists()


def test_the_last_weights_of_a_training_counted_in_steps_are_validated(tiny_root: Path, tmp_path: Path) -> None:
    steps = ("trainer.max_epochs=-1", "trainer.max_steps=6", "trainer.val_check_interval=3")
    arguments = (*TINY, f"data.root={tiny_root}", *steps, "trainer.check_val_every_n_epoch=null", "distillation=none")
    run("lgad-fit", *arguments, "hydra.run.dir=run", folder=tmp_path)
    with (tmp_path / "run" / "student" / "version_0" / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file) if row["val/f1"]] == ["2", "5"]


def test_relative_paths_hold_when_a_run_is_resumed_elsewhere(first_run: Path, tiny_root: Path, tmp_path: Path) -> None:
    teacher = first_run / "run" / "teacher" / "checkpoints" / "last.ckpt"
    (tmp_path / "teacher.ckpt").symlink_to(teacher)
    arguments = (*TINY, f"data.root={tiny_root}", "teacher.checkpoint=teacher.ckpt", "trainer.max_epochs=1")
    run("lgad-fit", *arguments, "hydra.run.dir=run", folder=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "run" / "student" / "checkpoints" / "last.ckpt").unlink()
    for _ in range(2):  # a resumed run keeps the place and the overrides that it was begun with
        resumed = run("lgad-fit", f"resume={tmp_path / 'run'}", folder=elsewhere)
        assert "teacher.checkpoint=teacher.ckpt" in resumed.stdout.splitlines()[-1]
        assert "have changed" not in resumed.stdout
    (tmp_path / "run" / ".hydra" / "data.txt").write_text("SyntheticLaneDataModule-of-other-images")
    resumed = run("lgad-fit", f"resume={tmp_path / 'run'}", folder=elsewhere)
    assert "have changed since this run began" in resumed.stdout


def test_training_on_what_is_not_finite_ends(first_run: Path, tiny_root: Path, tmp_path: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", f"teacher.cache_dir={first_run}/cache/teachers", "optimizer.lr=1e30")
    failed = run("lgad-fit", *arguments, folder=tmp_path, fails=True)
    assert failed.code == 1
    assert "The loss is no longer finite after optimiser step" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_best_loss_is_the_lowest(first_run: Path, tiny_root: Path) -> None:
    run("lgad-fit", *TINY, f"data.root={tiny_root}", "monitor=val/loss", "hydra.run.dir=by-loss", folder=first_run)
    folder = first_run / "by-loss" / "student"
    with (folder / "version_0" / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["callbacks"]
    score = next(state for name, state in best.items() if "val/loss" in name)["best_model_score"]
    assert float(score) == pytest.approx(min(losses))


def test_a_moved_run_goes_on_where_it_lies_now(first_run: Path, tmp_path: Path) -> None:
    shutil.copytree(first_run / "run", tmp_path / "moved")
    (first_run / "run").rename(first_run / "elsewhere")
    try:
        run("lgad-fit", "resume=moved", folder=tmp_path)
    finally:
        (first_run / "elsewhere").rename(first_run / "run")
    ours = json.loads((tmp_path / "moved" / "metrics.json").read_text())
    assert ours == json.loads((first_run / "run" / "metrics.json").read_text())


def test_a_damaged_checkpoint_is_passed_over(first_run: Path, tmp_path: Path) -> None:
    shutil.copytree(first_run / "run", tmp_path / "run")
    last = tmp_path / "run" / "student" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    resumed = run("lgad-fit", "resume=run", folder=tmp_path)
    assert "last.ckpt is damaged and passed over" in resumed.stdout
    assert_equal_weights(last, first_run / "run" / "student" / "checkpoints" / "last.ckpt")


def test_a_teacher_cache_that_cannot_be_written_costs_nothing(first_run: Path, tiny_root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    arguments = (*TINY, f"data.root={tiny_root}", f"teacher.cache_dir={tmp_path}/cache/teachers", "hydra.run.dir=run")
    result = run("lgad-fit", *arguments, folder=tmp_path)
    assert "The teacher is not kept for other runs" in result.stdout
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_a_folder_that_holds_a_run_is_refused(first_run: Path, tiny_root: Path) -> None:
    before = {path: path.read_bytes() for path in (first_run / "run").rglob("*") if path.is_file()}
    arguments = (*TINY, f"data.root={tiny_root}", "seed=2", "hydra.run.dir=run")
    failed = run("lgad-fit", *arguments, folder=first_run, fails=True)
    assert "holds a run already" in failed.stderr
    assert "resume=" in failed.stderr
    after = {path: path.read_bytes() for path in (first_run / "run").rglob("*") if path.is_file()}
    assert after == before


def test_two_runs_at_once_into_one_folder_are_refused(first_run: Path, tiny_root: Path, tmp_path: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "trainer.max_epochs=1000", "hydra.run.dir=run")
    process = start("lgad-fit", *arguments, f"teacher.cache_dir={first_run}/cache/teachers", folder=tmp_path)
    while not (tmp_path / "run" / "student" / "checkpoints" / "last.ckpt").is_file():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    for second in (arguments, ("resume=run",)):
        failed = run("lgad-fit", *second, folder=tmp_path, fails=True)
        assert "Another lgad-fit is at work" in failed.stderr
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_failed_start_leaves_the_folder_for_the_next(first_run: Path, tiny_root: Path, tmp_path: Path) -> None:
    cache = f"teacher.cache_dir={first_run}/cache/teachers"
    arguments = (*TINY, f"data.root={tiny_root}", cache, "hydra.run.dir=run", "trainer.max_epochs=1")
    run("lgad-fit", *arguments, "monitor=val/nope", folder=tmp_path, fails=True)
    run("lgad-fit", *arguments, folder=tmp_path)
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_a_bad_job_does_not_end_a_sweep(first_run: Path, tiny_root: Path, tmp_path: Path) -> None:
    cache = f"teacher.cache_dir={first_run}/cache/teachers"
    arguments = (*TINY, f"data.root={tiny_root}", cache, "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    failed = run("lgad-fit", "-m", *arguments, "data.batch_size=4,-1,2", folder=tmp_path, fails=True)
    assert failed.code == 1
    assert "1 of 3 jobs failed: 1." in failed.stderr
    assert "Traceback" not in failed.stderr
    with (tmp_path / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["job"], row["data.batch_size"]) for row in rows] == [("0", "4"), ("1", "-1"), ("2", "2")]
    assert ["batch_size" in row["failed"] for row in rows] == [False, True, False]
    metrics = json.loads((tmp_path / "sweep" / "2" / "metrics.json").read_text())
    assert rows[2]["f1"] == f"{metrics['total']['f1']:.4f}"
    again = run("lgad-fit", "-m", *arguments, "seed=1,2", folder=tmp_path, fails=True)
    assert "another sweep" in again.stderr


def test_a_teacher_alone_ends_with_its_figure(first_run: Path, tiny_root: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "stage=teacher", "hydra.run.dir=a-teacher")
    result = run("lgad-fit", *arguments, folder=first_run)
    metrics = json.loads((first_run / "a-teacher" / "metrics.json").read_text())
    assert f"{metrics['total']['iou']:.4f}" in result.stdout
    assert (first_run / "a-teacher" / metrics["checkpoint"]).is_file()


def test_figures_name_what_they_belong_to(first_run: Path, tiny_root: Path) -> None:
    metrics = json.loads((first_run / "run" / "metrics.json").read_text())
    assert (first_run / "run" / metrics["configuration"]).is_file()
    assert (first_run / "run" / metrics["checkpoint"]).is_file()
    assert metrics["data"]["root"] == str(tiny_root)
    assert metrics["data"]["identity"].startswith("SyntheticLaneDataModule-")


def test_a_run_tells_its_story_and_libraries_keep_to_the_log(first_run: Path, tiny_root: Path) -> None:
    arguments = (*TINY, f"data.root={tiny_root}", "hydra.run.dir=story", "teacher.cache_dir=null", "seed=7")
    result = run("lgad-fit", *arguments, folder=first_run)
    said = [line for line in result.stdout.splitlines() if line.endswith(".")]
    expected = ("Data: ", "Stage 1 of 2: ", "Stage 2 of 2: ", "Test: ", "Figures, predictions", "Next: lgad-fit ")
    assert [any(line.startswith(start) for line in said) for start in expected] == [True] * len(expected), said
    assert "16 for training, 4 for validation, 9 for test" in said[0]
    both = result.stdout + result.stderr
    assert "Teacher, epoch 1 of 2" in both
    assert "Student, epoch 2 of 2" in both
    for of_libraries in ("GPU available", "Tip:", "is deprecated", "rank_zero"):
        assert of_libraries not in both
    assert "GPU available" in (first_run / "story" / "fit.log").read_text()


def test_a_checkpoint_of_another_network_is_one_message(first_run: Path, tiny_root: Path, tmp_path: Path) -> None:
    for name, content in (("list.ckpt", [1]), ("student.ckpt", None)):
        path = tmp_path / name
        if content is None:
            shutil.copy(first_run / "run" / "student" / "checkpoints" / "last.ckpt", path)
        else:
            torch.save(content, path)
        arguments = (*TINY, f"data.root={tiny_root}", f"teacher.checkpoint={path}")
        failed = run("lgad-fit", *arguments, folder=tmp_path, fails=True)
        assert len(failed.stderr.strip().splitlines()) == 1, failed.stderr
        assert "loaded from" not in failed.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("trainer.limit_test_batches=0",), "leaves no figures"),
        (("stage=teacher", "+teacher.trainer.limit_val_batches=0"), "leaves no figures"),
        (("trainer.limit_train_batches=0", "distillation=none"), "trains nothing"),
        (("+teacher.trainer.limit_train_batches=0",), "trains nothing"),
        (("teacher.trainer.max_epochs=0",), "teaches nothing"),
    ],
)
def test_a_run_without_figures_or_training_is_refused_first(
    arguments: Any, reason: str, first_run: Path, tiny_root: Path, tmp_path: Path
) -> None:
    told = run(
        "lgad-fit", *TINY, *arguments, f"data.root={tiny_root}", f"hydra.run.dir={tmp_path}/run", folder=first_run,
        fails=True,
    ).stderr  # fmt: skip
    assert reason in told
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_teacher_that_was_begun_with_other_data_is_not_kept(tiny_root: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_root, tmp_path / "roads"))
    arguments = (*TINY, "stage=teacher", f"data.root={root}", "teacher.cache_dir=kept", "hydra.run.dir=run")
    run("lgad-fit", *arguments, folder=tmp_path)
    kept = [path.name for path in (tmp_path / "kept").iterdir()]
    assert len(kept) == 1
    for mask in root.rglob("*.png"):
        cv2.imwrite(str(mask), cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)[:, ::-1])
    for lines in root.rglob("*.lines.txt"):
        lines.write_text("")
    told = run("lgad-fit", "resume=run", folder=tmp_path)
    assert "begun with other data or code" in told.stdout + told.stderr
    assert [path.name for path in (tmp_path / "kept").iterdir()] == kept
