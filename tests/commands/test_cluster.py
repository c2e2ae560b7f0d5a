"""`lgad-fit` under torchrun and Slurm, with a stand-in for Slurm's commands."""

import csv
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lgad_lightning.commands import cluster
from lgad_lightning.commands.requeue import CHECKPOINT
from tests.helpers.commands import TINY, finish, run, start

PLAIN = (*TINY, "distillation=none")
SLURM = {
    "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "lanes", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "1", "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1", "SLURM_NTASKS_PER_NODE": "1",
    "SLURM_NODELIST": "127.0.0.1",
}  # fmt: skip
FOLDER = Path("outputs", "slurm-4711.0")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def slurm(started: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in SLURM.items():
        started.setenv(name, value)
    return started


def test_by_hand_nothing_changes(started: pytest.MonkeyPatch) -> None:
    assert cluster.cluster_arguments(["seed=1"]) == ["seed=1"]


def test_a_step_of_slurm_names_the_folder(slurm: pytest.MonkeyPatch) -> None:
    assert cluster.cluster_arguments(["seed=1"]) == ["seed=1", "hydra.run.dir='outputs/slurm-4711.0'"]
    assert cluster.cluster_arguments(["-m", "seed=1,2"])[-1] == "hydra.sweep.dir='multirun/slurm-4711.0'"
    for given in (["hydra.run.dir=own"], ["-m", "hydra.sweep.dir=own"], ["resume=own"]):
        assert cluster.cluster_arguments(given) == given
    slurm.setenv("SLURM_JOB_NAME", "interactive")  # one job, many runs
    assert cluster.cluster_arguments(["seed=1"]) == ["seed=1"]


@pytest.mark.parametrize(
    "given", [[], ["hydra.run.dir=outputs/slurm-4711.0"], ["hydra.run.dir='outputs/slurm-4711.0'"]]
)
def test_a_job_that_is_started_again_goes_on_with_what_it_had_begun(
    slurm: pytest.MonkeyPatch, tmp_path: Path, given: list[str]
) -> None:
    slurm.chdir(tmp_path)
    slurm.setenv("SLURM_RESTART_COUNT", "1")
    assert "resume" not in cluster.cluster_arguments(["seed=1", *given])[-1]
    begun = tmp_path / FOLDER / ".hydra" / "config.yaml"
    begun.parent.mkdir(parents=True)
    begun.touch()
    assert cluster.cluster_arguments(["--config-dir", "own", "seed=1", *given]) == [f"resume={FOLDER}"]
    slurm.setenv("SLURM_RESTART_COUNT", "0")
    assert "resume" not in cluster.cluster_arguments(["seed=1", *given])[-1]


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run_dir / "student" / "checkpoints" / "last.ckpt", weights_only=True)
    return dict(checkpoint["state_dict"])


def logged(text: str) -> Callable[[], bool]:
    """Whether the run has come so far."""
    log = FOLDER / "fit.log"
    return lambda: log.is_file() and text in log.read_text()


def test_slurm_queues_a_job_again_which_goes_on_to_the_same_student(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in does what Slurm does: it ends the job that is queued again."""
    monkeypatch.chdir(tmp_path)
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text('#!/bin/sh\necho "$@" >> scontrol.log\nkill -9 $PPID\n')
    scontrol.chmod(0o755)
    variables = SLURM | {"PATH": f"{scontrol.parent}:{os.environ['PATH']}"}
    arguments = (*TINY, f"data.root={tiny_root}", "trainer.log_every_n_steps=1", "teacher.trainer.max_epochs=1")
    student = FOLDER / "student"
    moments = (
        logged("Stage 2 of 2"),  # between two trainings
        (student / "checkpoints" / "last.ckpt").is_file,  # in the second epoch
    )
    for restarts, is_reached in enumerate(moments):
        job = variables | {"SLURM_RESTART_COUNT": f"{restarts}"}
        process = start("lgad-fit", *arguments, folder=tmp_path, variables=job)
        while not is_reached():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGUSR1)
        assert finish(process).code == -signal.SIGKILL
        assert (tmp_path / "scontrol.log").read_text() == "requeue 4711\n" * (restarts + 1)
        if restarts == 1:
            assert 4 < torch.load(student / CHECKPOINT, weights_only=True)["global_step"] < 8

    again = finish(start("lgad-fit", *arguments, folder=tmp_path, variables=variables | {"SLURM_RESTART_COUNT": "2"}))
    assert again.code == 0, again.stderr
    assert f"Resuming the run in {tmp_path / FOLDER}" in again.stdout
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [FOLDER.name]
    assert not (student / CHECKPOINT).exists()

    run("lgad-fit", *arguments, "hydra.run.dir=whole", "teacher.cache_dir=null", folder=tmp_path)
    ours, theirs = weights(tmp_path / FOLDER), weights(tmp_path / "whole")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    metrics = [json.loads((tmp_path / folder / "metrics.json").read_text()) for folder in (FOLDER, "whole")]
    assert metrics[0] == metrics[1]
    with (tmp_path / FOLDER / "student" / "version_0" / "metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == sorted(set(steps))


def assert_one_run_of_two_processes(outputs: Path) -> None:
    """Looks for one run folder, whose test has counted every frame once."""
    marks = list(outputs.rglob(".lgad-fit.lock"))
    assert len(marks) == 1
    assert len(list(outputs.rglob(".hydra"))) == 1
    metrics = json.loads((marks[0].parent / "metrics.json").read_text())
    assert metrics["total"]["tp"] + metrics["total"]["fn"] == 26
    assert len(list((marks[0].parent / "predictions").rglob("*.lines.txt"))) == 9


TWO = (*PLAIN, "trainer.max_epochs=1", "data.batch_size=2", "trainer.strategy=ddp")


def test_torchrun_makes_one_run_folder(tmp_path: Path) -> None:
    late = tmp_path / "late.py"  # the processes agree on the first one's clock
    late.write_text(
        "import os, runpy, time\n"
        "time.sleep(1.5 * int(os.environ['RANK']))\n"
        "runpy.run_module('lgad_lightning', run_name='__main__')\n"
    )
    new = tmp_path / "roads"  # one process generates them, the other waits
    command = ("--nproc-per-node=2", str(late), "fit", *TWO, "trainer.devices=2", f"data.root={new}")
    run("torchrun", *command, folder=tmp_path)
    assert_one_run_of_two_processes(tmp_path / "outputs")


def test_two_nodes_of_slurm_make_one_run_folder(tiny_root: Path, tmp_path: Path) -> None:
    nodes = {"SLURM_NNODES": "2", "SLURM_NTASKS": "2"}
    command = (*TWO, "trainer.devices=1", "trainer.num_nodes=2", f"data.root={tiny_root}")
    processes = [
        start(
            "lgad-fit",
            *command,
            folder=tmp_path,
            variables=SLURM | nodes | dict.fromkeys(("SLURM_PROCID", "SLURM_NODEID"), number),
            warm=False,  # Lightning takes the rank from them when it is imported
        )
        for number in "01"
    ]
    for process in processes:
        end = finish(process)
        assert end.code == 0, end.stderr
    assert_one_run_of_two_processes(tmp_path / FOLDER.parent)


def test_processes_with_caches_of_their_own_agree_whether_to_train_the_teacher(tiny_root: Path, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.py"  # as if each process ran on a machine of its own
    nodes.write_text(
        "import os, runpy\n"
        "os.environ['LGAD_CACHE'] = f'node{os.environ[\"RANK\"]}'\n"
        "runpy.run_module('lgad_lightning', run_name='__main__')\n"
    )
    arguments = (
        *TINY,
        *TWO[len(PLAIN) :],
        "trainer.devices=2",
        f"data.root={tiny_root}",
        "teacher.trainer.max_epochs=1",
    )
    for number, done in enumerate(("training the teacher", "reused from node0/teachers")):
        command = ("--nproc-per-node=2", str(nodes), "fit", *arguments, f"hydra.run.dir=run{number}")
        assert done in run("torchrun", *command, folder=tmp_path).stdout
        assert (tmp_path / f"run{number}" / "metrics.json").is_file()
    one, other = ((tmp_path / f"run{number}" / "teacher/checkpoints/last.ckpt").read_bytes() for number in (0, 1))
    assert one == other
    assert not (tmp_path / "node1" / "teachers").exists()
