"""Runs a study with `lgad-fit`: each training once, whatever interrupts it.

    python -m studies.run studies/generated.yaml --processes 2 --arms none lgad control --seeds 1 2

The figures of finished runs are kept in `studies/results`, a line for each, and are not computed again. An interrupted
run is resumed from its folder below `--work`. Each process uses one thread.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from lgad_lightning import LgadError
from lgad_lightning.longwork.locked import locked
from studies.study import Job, Study, read_rows, read_study, write_rows

CHECKOUT = Path(__file__).parents[1]
CURVES = ("f1", "accuracy", "iou", "loss")
console = Console(highlight=False)
writing = threading.Lock()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY.yaml")
    parser.add_argument("--processes", type=int, default=2, help="runs at once (default: 2)")
    parser.add_argument("--work", type=Path, default=Path("outputs/studies"), help="folder of the runs")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="run these arms alone (default: all)")
    parser.add_argument("--conditions", nargs="+", metavar="CONDITION", help="under these alone (default: all)")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="with these alone (default: all)")
    options = parser.parse_args()
    chosen = {"arm": options.arms, "condition": options.conditions, "seed": options.seeds}
    try:
        for path in options.studies:
            study = read_study(path)
            jobs = [job for job in study.jobs if all(v is None or getattr(job, k) in v for k, v in chosen.items())]
            run_study(study, jobs, options.processes, options.work)
    except LgadError as error:
        sys.exit(f"studies: {error}")
    except KeyboardInterrupt:
        sys.exit("studies: interrupted; the same command goes on from here")


def run_study(study: Study, jobs: Sequence[Job], processes: int, work: Path) -> None:
    """Runs what is left of a study.

    Args:
        study: The study.
        jobs: Those of its trainings that are wanted.
        processes: How many runs at once.
        work: Where their folders are made.

    Raises:
        LgadError: If runs failed; the others are done.
    """
    left = [job for job in jobs if not is_done(study, job)]
    console.print(f"{study.name}: {len(jobs)} runs, {len(left)} of them to do")
    failed: list[str] = []
    began = time.monotonic()
    with ThreadPoolExecutor(processes) as pool:
        running = {pool.submit(run_job, study, job, work / study.name / job.name): job for job in left}
        try:
            for number, ended in enumerate(as_completed(running), start=1):
                job = running[ended]
                try:
                    told = f"F1 {ended.result():.4f}"
                except LgadError as error:
                    failed.append(job.name)
                    told = str(error)
                rest = (time.monotonic() - began) / number * (len(left) - number) / 60
                console.print(
                    f"{number}/{len(left)} {job.condition} {job.arm} seed {job.seed}: {told} ({rest:.0f} min left)"
                )
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    if failed:
        raise LgadError(f"{len(failed)} of {len(left)} runs failed: {', '.join(failed)}.")


def is_done(study: Study, job: Job) -> bool:
    """Whether a run's figures are there, from the same configuration."""
    return any(
        (row["condition"], row["arm"], row["seed"], row["overrides"])
        == (job.condition, job.arm, str(job.seed), " ".join(job.overrides))
        for row in read_rows(study.results)
    )


def run_job(study: Study, job: Job, folder: Path) -> float:
    """Runs or resumes one training, and keeps its figures.

    Args:
        study: Its study.
        job: The run.
        folder: Its folder.

    Raises:
        LgadError: If it ends without figures.
    """
    begun = (folder / ".hydra" / "config.yaml").is_file()
    arguments = [f"resume={folder}"] if begun else [*job.overrides, "data.num_workers=0", f"hydra.run.dir={folder}"]
    folder.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
    began = time.monotonic()
    with (folder.parent / f"{job.name}.out").open("w", encoding="utf-8") as output:
        code = subprocess.run(
            [sys.executable, "-m", "lgad_lightning", "fit", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
            check=False,
        ).returncode
    if code != 0:
        raise LgadError(f"ended with exit code {code}: see {output.name}")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    with writing, locked(folder.parent / "results.lock"):  # of this process's threads, and of other processes
        write_rows(study.curves, [*_of_others(study.curves, job), *curve(job, folder)])
        seconds = None if begun else round(time.monotonic() - began)
        write_rows(study.results, [*_of_others(study.results, job), figures(job, metrics, seconds)])
    return float(metrics["total"].get("f1", metrics["total"].get("accuracy")))


def _of_others(path: Path, job: Job) -> list[dict[str, str]]:
    """The lines of a file without those of earlier runs of a job, which may have had another configuration."""
    own = (job.condition, job.arm, str(job.seed))
    return [row for row in read_rows(path) if (row["condition"], row["arm"], row["seed"]) != own]


def figures(job: Job, metrics: Mapping[str, Any], seconds: int | None) -> dict[str, Any]:
    """A line of results: what was run, where, with which versions, and what it gave on the test split.

    Another kind of processor rounds otherwise, and then the same seed gives another training. So compare seed by seed
    only what ran on one kind. `seconds` is None for a run that was resumed.
    """
    scenarios = {f"f1/{name}": row["f1"] for name, row in metrics.get("scenarios", {}).items() if "f1" in row}
    return {
        "condition": job.condition,
        "arm": job.arm,
        "seed": job.seed,
        **metrics["total"],
        **metrics.get("pixels", {}),
        **scenarios,
        "seconds": seconds,
        "overrides": " ".join(job.overrides),
        "data": metrics["data"]["identity"],
        "lgad_lightning": f"{version('lgad-lightning')} {commit()}",
        "torch": version("torch"),
        "processor": torch.backends.cpu.get_cpu_capability(),
    }


def commit() -> str:
    """The checkout's commit, where there is git. It says if files were changed, other than results."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(CHECKOUT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!studies/results")
    return git("describe", "--always") + ("-dirty" if changed else "")


def curve(job: Job, folder: Path) -> list[dict[str, Any]]:
    """The validation figures of each epoch."""
    lines = []
    with next((folder / "student").glob("version_*/metrics.csv")).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = {name: row[f"val/{name}"] for name in CURVES if row.get(f"val/{name}")}
            if values:
                known = {"condition": job.condition, "arm": job.arm, "seed": job.seed}
                lines.append({**known, "step": int(row["step"]) + 1, **values})
    return lines


if __name__ == "__main__":
    main()
